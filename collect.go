// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// smallHeap is what is collected as Go does: when it has doubled.
	smallHeap = 64 << 20

	// smallObject is the mean size of objects up to which it is, too. The collector's work is
	// to find each object; how large they are makes no difference to it.
	smallObject = 1 << 10

	minPercent, maxPercent, percentStep = 25, 100, 10
)

// gcPercent returns by how much a heap of live bytes in so many objects may grow before it is
// collected. With large values there are few objects, and collecting four times as often costs
// less than with small ones.
func gcPercent(live, objects uint64) int {
	if live < smallHeap {
		return maxPercent
	}
	return int(min(max(100*smallObject*objects/live, minPercent), maxPercent))
}

// tuneGC sets the garbage collector's percentage by what is in the heap, after each
// collection, for as long as the process lives. Only main may call it.
func tuneGC() {
	set := maxPercent
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/objects:objects"}}
	type sentinel [4]uint64 // not so small that it shares a block with others
	var collected func(*sentinel)
	collected = func(*sentinel) {
		metrics.Read(samples)
		percent := gcPercent(samples[0].Value.Uint64(), samples[1].Value.Uint64())
		if percent >= set+percentStep || percent <= set-percentStep {
			debug.SetGCPercent(percent)
			set = percent
		}
		runtime.SetFinalizer(new(sentinel), collected) // run after the next one
	}
	runtime.SetFinalizer(new(sentinel), collected)
}
