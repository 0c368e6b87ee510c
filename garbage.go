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

const (
	// smallHeap is collected by Go's own measure, whatever is in it.
	smallHeap = 64 << 20

	// smallObject is the mean size of objects up to which a large heap is, too. The
	// collector's work is to find each object; how large they are makes no difference to it.
	smallObject = 1 << 10

	// leastGarbage is how much garbage there may be, in bytes, in a heap of few large objects,
	// though not more than mostOfFew percent of it, nor less than leastPercent.
	leastGarbage = 20 << 20
	mostOfFew    = 25
	leastPercent = 7

	// percentStep is how far the measure must be from the one in force to be set, for which
	// everything stops for a moment.
	percentStep = 5
)

// A collector sets how much garbage Go's garbage collector waits for, in percent of what is
// live, after each collection, for as long as the process lives. While the process starts, and
// its heap is small, that is more than Go's own measure; while there are few large objects,
// values of a MiB, say, less. A nil one does nothing.
type collector struct {
	mu     sync.Mutex
	strict bool // the start is over
	base   int  // Go's own measure
	set    int  // the one in force
}

// loosen returns a collector that is loose until tighten is called. It returns nil if
// the user has told Go's collector what to do, by GOGC.
func loosen(getenv func(string) string) *collector {
	if getenv("GOGC") != "" {
		return nil
	}
	c := &collector{set: 100 * looseGarbage / minHeap}
	c.base = debug.SetGCPercent(c.set)
	c.follow()
	return c
}

// follow has the measure set anew after the next collection.
func (c *collector) follow() {
	runtime.AddCleanup(new([64]byte), (*collector).collected, c)
}

// collected sets the measure by what is live.
func (c *collector) collected() {
	c.tune(liveHeap())
	c.follow()
}

// tune sets the measure for a heap with so many live bytes in so many objects.
func (c *collector) tune(live, objects uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	percent := c.base * percentOf(live, objects) / 100
	if !c.strict {
		percent = max(percent, loosePercent(live))
	}
	if percent >= c.set+percentStep || percent <= c.set-percentStep {
		debug.SetGCPercent(percent)
		c.set = percent
	}
}

// percentOf returns how much of Go's own measure is good for a heap, in percent. To collect
// a few large objects four times as often costs less than many small ones once.
func percentOf(live, objects uint64) int {
	if live < smallHeap {
		return 100
	}
	least := min(max(100*leastGarbage/live, leastPercent), mostOfFew)
	return int(min(max(100*smallObject*objects/live, least), 100))
}

// loosePercent returns how much garbage there may be beside so many live bytes while a
// process starts, in percent of them.
func loosePercent(live uint64) int { return int(100 * looseGarbage / max(live, minHeap)) }

// liveHeap returns how many bytes the last collection has found live, and how many objects
// there are.
func liveHeap() (live, objects uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/objects:objects"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// tighten ends the start, and gives the memory that its garbage has taken to the system.
func (c *collector) tighten() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.strict = true
	c.mu.Unlock()
	debug.FreeOSMemory() // a collection
	c.tune(liveHeap())
}
