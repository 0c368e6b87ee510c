// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"
	"testing"
)

func TestLoosePercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 1200}, {4 << 20, 1200}, {16 << 20, 300}, {48 << 20, 100}, {480 << 20, 10},
	} {
		if got := loosePercent(c.live); got != c.want {
			t.Errorf("%d MiB live: %d %%, want %d", c.live>>20, got, c.want)
		}
	}
}

// TestCollector looks at what Go's collector is told: much garbage while the heap is
// small, its own measure for a large one, and that again in the end.
func TestCollector(t *testing.T) {
	const before = 77
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	now := func() int { // there is no way to ask only
		n := debug.SetGCPercent(-1)
		debug.SetGCPercent(n)
		return n
	}
	if c := loosen(func(string) string { return "50" }); c != nil || now() != before {
		t.Errorf("with GOGC=50 it is %d, and was %d", now(), before)
	}
	c := loosen(func(string) string { return "" })
	if got := now(); got != 1200 {
		t.Errorf("at the start it is %d, want 1200", got)
	}
	c.collected()
	if got := now(); got <= before || got > 1200 {
		t.Errorf("after a collection it is %d", got)
	}
	c.collectedWith(200 << 20)
	if got := now(); got != before {
		t.Errorf("with a large heap it is %d, want %d", got, before)
	}
	c.tighten()
	c.collected() // that was on its way
	if got := now(); got != before {
		t.Errorf("in the end it is %d, want %d", got, before)
	}
	(*collector)(nil).tighten()
}
