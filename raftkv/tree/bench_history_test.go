// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkHistoryAdd adds events to a full history: of small values, which their number
// bounds, and of large ones, which their size does.
func BenchmarkHistoryAdd(b *testing.B) {
	for _, size := range []int{256, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			n := &Node{Value: strings.Repeat("v", size)}
			e := &Event{Action: Set, Key: "/service/app/host", Node: n, Prev: n}
			var h history
			for range 2 * historyLen {
				h.add(e)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.add(e)
			}
		})
	}
}

// BenchmarkHistoryScan begins a watch of one key so many events back, which no event or the
// last one is for.
func BenchmarkHistoryScan(b *testing.B) {
	tr := New()
	for i := range historyLen {
		if _, err := tr.Apply(&Op{Action: Set, Key: fmt.Sprintf("/service/app-%d/host", i%100), Value: "10.0.0.1:8080"}, t0); err != nil {
			b.Fatal(err)
		}
	}
	last, err := tr.Apply(&Op{Action: Set, Key: "/last", Value: "x"}, t0)
	if err != nil {
		b.Fatal(err)
	}
	tr.Publish()
	for _, back := range []uint64{0, 10, 999} {
		for _, key := range []string{"/none", "/last"} {
			b.Run(fmt.Sprintf("back=%d/key=%s", back, key[1:]), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					w, err := tr.Watch(key, true, false, last.Index()-back)
					if err != nil {
						b.Fatal(err)
					}
					w.Close()
				}
			})
		}
	}
}
