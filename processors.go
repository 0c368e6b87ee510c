// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"
	"time"
)

const (
	// spareProcessors is how many more files are synced at a time than there are processors. Half
	// of those that resource lets be written; the others do something else meanwhile.
	spareProcessors = 30

	// spareFor is how long they are kept when nobody waits for the disk any more. To give and to
	// take them stops everything for some 30 µs.
	spareFor = time.Second
)

// Processors lets many files wait for the disk at a time.
//
// Go runs as many goroutines as there are processors, and one that waits for the disk counts: its
// place is taken away from it only if a thread of Go's that looks for such finds it twice in the
// same wait. That thread looks every 20 µs to 10 ms, the longer the less it finds. Syncs take a
// millisecond, so it may find none, and then goes on to find none: with two processors two
// files are synced at a time, not the dozens that would share their syncs, and whoever reads or writes
// keys waits for the disk as well. So while as many wait as there are processors Go is told of more.
//
// A nil one does nothing.
type processors struct {
	mu      sync.Mutex
	waiting int
	spare   bool        // Go has been told of more
	back    *time.Timer // takes them away; nil until they were given once
}

// spareAsNeeded returns processors, nil if the user has told Go how many there are, by GOMAXPROCS.
func spareAsNeeded(getenv func(string) string) *processors {
	if getenv("GOMAXPROCS") != "" {
		return nil
	}
	return new(processors)
}

// wait says that the goroutine is about to wait for the disk, until done is called.
func (p *processors) wait() (done func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	if p.waiting > 1 && !p.spare {
		if n := runtime.GOMAXPROCS(0); p.waiting >= n {
			runtime.GOMAXPROCS(n + spareProcessors)
			p.spare = true
		}
	}
	return p.done
}

func (p *processors) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
	if p.waiting > 0 || !p.spare {
		return
	}
	if p.back == nil {
		p.back = time.AfterFunc(spareFor, p.takeBack)
		return
	}
	p.back.Reset(spareFor)
}

// takeBack has Go find out by itself how many processors there are, as before.
func (p *processors) takeBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting > 0 || !p.spare {
		return
	}
	runtime.SetDefaultGOMAXPROCS()
	p.spare = false
}
