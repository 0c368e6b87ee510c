// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// failureBurst is how many failures a source has free with one name, and failureTime
	// how long it takes to get one of them back.
	failureBurst = 10
	failureTime  = time.Second

	// sourceBurst and sourceTime are the same for a source with all names.
	sourceBurst = 100
	sourceTime  = failureTime / 2

	// maxCounted is how many sources, and how many names of sources, are counted.
	maxCounted = 4096

	// warnTime is how long nothing more is logged about a source.
	warnTime = 10 * time.Minute
)

// An account is one name, as a tag, as one source uses it.
type account struct {
	source netip.Prefix
	name   tag
}

// failures counts the failed logins.
type failures struct {
	now func() time.Time // set on construction

	mu       sync.Mutex
	accounts deadlines[account]      // when it has all of its burst again
	sources  deadlines[netip.Prefix] // when it has all of its burst again
	rests    deadlines[netip.Prefix] // when its next comparison may begin
	warned   deadlines[netip.Prefix] // when it may be logged again
}

func newFailures(now func() time.Time) *failures {
	if now == nil {
		now = time.Now
	}
	return &failures{
		now:      now,
		accounts: make(deadlines[account]),
		sources:  make(deadlines[netip.Prefix]),
		rests:    make(deadlines[netip.Prefix]),
		warned:   make(deadlines[netip.Prefix]),
	}
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

// allow reports whether acc may fail once more. If not, warn is whether to log that.
func (f *failures) allow(acc account) (ok, warn bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.accounts.left(acc, now) <= (failureBurst-1)*failureTime &&
		f.sources.left(acc.source, now) <= (sourceBurst-1)*sourceTime {
		return true, false
	}
	if f.warned.left(acc.source, now) > 0 {
		return false, false
	}
	f.warned.extend(acc.source, now, warnTime)
	return false, true
}

// add counts a failure, after which the source has to rest.
func (f *failures) add(acc account, rest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	f.accounts.extend(acc, now, failureTime)
	f.sources.extend(acc.source, now, sourceTime)
	f.rests.extend(acc.source, now, rest)
}

// rest returns how long the source still has to rest.
func (f *failures) rest(source netip.Prefix) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rests.left(source, f.now())
}

// deadlines are times by key, at most maxCounted of them. One that has passed is as good as
// none.
type deadlines[K comparable] map[K]time.Time

// left returns how long it is until the deadline of k, 0 if it has passed.
func (d deadlines[K]) left(k K, now time.Time) time.Duration {
	return max(0, d[k].Sub(now))
}

// extend moves the deadline of k, or now if it has passed, by dur. If there is no room,
// those that have passed are forgotten, or any one.
func (d deadlines[K]) extend(k K, now time.Time, dur time.Duration) {
	at, found := d[k]
	if !found && len(d) >= maxCounted {
		d.evict(now)
	}
	if at.Before(now) {
		at = now
	}
	d[k] = at.Add(dur)
}

func (d deadlines[K]) evict(now time.Time) {
	var last K
	for k, at := range d {
		if !at.After(now) {
			delete(d, k)
		}
		last = k
	}
	if len(d) >= maxCounted {
		delete(d, last)
	}
}
