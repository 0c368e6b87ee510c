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

// TestPercentOf: a heap of large values may not double, one of small ones may, as Go has it.
func TestPercentOf(t *testing.T) {
	for _, test := range []struct {
		what          string
		live, objects uint64
		want          int
	}{
		{"nothing", 0, 0, 100},
		{"a small heap of large values", 60 << 20, 100, 100},
		{"1,000,000 keys of 256 bytes", 450 << 20, 3_100_000, 100},
		{"100,000 keys of 4 KiB", 420 << 20, 310_000, 72},
		{"50 keys of 1 MiB", 70 << 20, 10_000, 25},
		{"100 keys of 1 MiB", 200 << 20, 20_000, 10},
		{"1,000 keys of 1 MiB", 1100 << 20, 20_000, 7},
	} {
		if got := percentOf(test.live, test.objects); got != test.want {
			t.Errorf("%s: got %d, want %d", test.what, got, test.want)
		}
	}
}

// TestCollector looks at what Go's collector is told: much garbage while the process starts
// and its heap is small, its own measure for a large one and in the end, and less for large
// values.
func TestCollector(t *testing.T) {
	const before = 80
	defer debug.SetGCPercent(debug.SetGCPercent(before))
	check := func(when string, least, most int) {
		t.Helper()
		got := debug.SetGCPercent(-1) // there is no way to ask only
		debug.SetGCPercent(got)
		if got < least || got > most {
			t.Errorf("%s it is %d, want %d to %d", when, got, least, most)
		}
	}
	if loosen(func(string) string { return "50" }) != nil {
		t.Error("GOGC is not left alone")
	}
	check("with GOGC", before, before)
	c := loosen(func(string) string { return "" })
	check("at the start", 1200, 1200)
	c.collected()
	check("after a collection", before+1, 1200)
	c.tune(200<<20, 10_000_000)
	check("with a large heap", before, before)
	c.tune(8<<20, 100_000)
	check("with a small one again", 600, 600)
	c.tighten()
	check("in the end", before, before)
	c.tune(8<<20, 100_000) // it was on its way
	check("in the end", before, before)
	c.tune(70<<20, 10_000)
	check("with large values", before/4, before/4)
	c.tune(200<<20, 10_000_000)
	check("with small ones again", before, before)
	(*collector)(nil).tighten()
}
