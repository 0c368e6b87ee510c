// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// TestGCPercent: a heap of large values may not double, one of small ones may, as Go has it.
func TestGCPercent(t *testing.T) {
	for _, test := range []struct {
		what          string
		live, objects uint64
		want          int
	}{
		{"nothing", 0, 0, 100},
		{"a small heap of large values", 60 << 20, 100, 100},
		{"1,000,000 keys of 256 bytes", 450 << 20, 3_100_000, 100},
		{"100,000 keys of 4 KiB", 420 << 20, 310_000, 72},
		{"100 keys of 1 MiB", 150 << 20, 20_000, 25},
	} {
		if got := gcPercent(test.live, test.objects); got != test.want {
			t.Errorf("%s: got %d, want %d", test.what, got, test.want)
		}
	}
}
