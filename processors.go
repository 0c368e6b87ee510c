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

	// spareFor is how long they are kept after they were needed last. To give and to take them
	// stops everything for some 40 µs, and waits for a garbage collection to end.
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
	normal  int         // how many processors there were when there were no more than that
	spare   bool        // Go is to have more
	back    *time.Timer // takes them away; nil until they were given once

	telling sync.Mutex // held while Go is told, and not by who writes files
	told    bool       // of more
}

// spareAsNeeded returns processors, nil if the user has told Go how many there are, by GOMAXPROCS.
func spareAsNeeded(getenv func(string) string) *processors {
	if getenv("GOMAXPROCS") != "" {
		return nil
	}
	return new(processors)
}

// wait says that the goroutine is about to wait for the disk, until done is called. It does not
// block.
func (p *processors) wait() (done func()) {
	if p == nil {
		return func() {}
	}
	if p.begin() {
		go p.tell()
		runtime.Gosched() // to it, before this goroutine takes the place in which it would run
	}
	return p.done
}

// begin counts one more that waits, and reports whether Go is to be told of more processors.
func (p *processors) begin() (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	if !p.spare {
		p.normal = runtime.GOMAXPROCS(0)
	}
	if p.waiting == 1 || p.waiting < p.normal {
		return false
	}
	more, p.spare = !p.spare, true
	if p.back == nil {
		p.back = time.AfterFunc(spareFor, p.takeBack)
	} else {
		p.back.Reset(spareFor)
	}
	return more
}

func (p *processors) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

// takeBack is called when nobody has needed more for a while. Some may wait still, for a disk
// that hangs; Go has found by now that their places are free.
func (p *processors) takeBack() {
	p.mu.Lock()
	p.spare = false
	p.mu.Unlock()
	p.tell()
}

// tell tells Go of more processors, or has it find out by itself how many there are, as before.
// That may take as long as a collection of all garbage does.
func (p *processors) tell() {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	spare := p.spare
	p.mu.Unlock()
	switch {
	case spare && !p.told:
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareProcessors)
	case !spare && p.told:
		runtime.SetDefaultGOMAXPROCS()
	}
	p.told = spare
}
