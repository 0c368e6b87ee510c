// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// looseGarbage is how many bytes of garbage may lie about, at least, while a [collector]
// is loose. By its own measure, as much garbage as there is live, Go would collect a small
// heap many times over before the first files are written.
const looseGarbage = 48 << 20

// minHeap is the size that the heap has at Go's own measure before it is collected for
// the first time: 4 MiB at a hundred percent, and in proportion.
const minHeap = 4 << 20

// A collector makes Go's garbage collector wait for more garbage while a process starts,
// for as long as its heap is small. A nil one does nothing.
type collector struct {
	mu      sync.Mutex
	strict  bool
	percent int // of before
}

// loosen returns a collector that is loose until tighten is called. It returns nil if
// the user has told Go's collector what to do, by GOGC.
func loosen(getenv func(string) string) *collector {
	if getenv("GOGC") != "" {
		return nil
	}
	c := &collector{percent: debug.SetGCPercent(100 * looseGarbage / minHeap)}
	c.follow()
	return c
}

// follow has the measure set anew after the next collection.
func (c *collector) follow() {
	runtime.AddCleanup(new([64]byte), (*collector).collected, c)
}

// collected sets the measure by what is live.
func (c *collector) collected() { c.collectedWith(liveHeap()) }

func (c *collector) collectedWith(live uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.strict {
		return
	}
	debug.SetGCPercent(max(c.percent, loosePercent(live)))
	c.follow()
}

// loosePercent returns how much garbage there may be beside so many live bytes, in percent
// of them.
func loosePercent(live uint64) int { return int(100 * looseGarbage / max(live, minHeap)) }

// liveHeap returns how many bytes the last collection has found live.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// tighten gives the collector back its own measure, and to the system the memory that the
// garbage of the start has taken.
func (c *collector) tighten() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.strict = true
	debug.SetGCPercent(c.percent)
	c.mu.Unlock()
	debug.FreeOSMemory()
}
