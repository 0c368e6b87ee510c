// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// failureBurst is how many failures a source has free.
	failureBurst = 10

	// failureTime is how long it takes to get one of them back.
	failureTime = time.Second

	// maxSources is how many sources are counted.
	maxSources = 4096
)

// failures counts the failed logins of each source.
type failures struct {
	now func() time.Time // set on construction

	mu   sync.Mutex
	free map[netip.Prefix]time.Time // :: source → when it has all of its burst again
}

// sourceOf returns what an address is counted as: itself, of IPv6 the /64, which one
// machine can have all of. What is no address is counted together.
func sourceOf(from string) netip.Prefix {
	ap, err := netip.ParseAddrPort(from)
	if err != nil {
		return netip.Prefix{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// allow reports whether the source may fail once more.
func (f *failures) allow(source netip.Prefix) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.free[source].Sub(f.now()) <= (failureBurst-1)*failureTime
}

// add counts a failure.
func (f *failures) add(source netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.free == nil {
		f.free = make(map[netip.Prefix]time.Time)
	}
	at, found := f.free[source]
	if !found && len(f.free) >= maxSources {
		f.evictLocked(now)
	}
	if at.Before(now) {
		at = now
	}
	f.free[source] = at.Add(failureTime)
}

// evictLocked forgets the sources that have all of their burst, or any one.
func (f *failures) evictLocked(now time.Time) {
	var last netip.Prefix
	for source, at := range f.free {
		if !at.After(now) {
			delete(f.free, source)
		}
		last = source
	}
	if len(f.free) >= maxSources {
		delete(f.free, last)
	}
}
