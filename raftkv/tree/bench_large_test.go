// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"strings"
	"testing"
)

// plain is a value of 256 bytes that needs no escape in JSON.
var plain = strings.Repeat("0123456789abcdef", 16)

// valued returns a tree with n files of 256 bytes, and their keys.
func valued(b *testing.B, n int) (*Tree, []string) {
	tr, keys := New(), keysOf(n)
	for i, key := range keys {
		// Each has a string of its own, as if it had come from the log.
		if _, err := tr.Apply(&Op{Action: Set, Key: key, Value: strings.Clone(plain)}, t0); err != nil {
			b.Fatal(err)
		}
		if i%64 == 63 {
			tr.Publish()
		}
	}
	tr.Publish()
	return tr, keys
}

// BenchmarkList lists n files of 256 bytes: into a buffer that is large enough, and into
// one that has to grow.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		tr, _ := valued(b, n)
		var buf []byte
		for _, start := range []string{"kept", "new"} {
			b.Run(fmt.Sprintf("keys=%d/buffer=%s", n, start), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if start == "new" {
						buf = nil
					}
					buf, _ = tr.View().AppendGet(buf[:0], "/", true, t0)
				}
				b.SetBytes(int64(len(buf)))
			})
		}
	}
}

// BenchmarkString escapes values of 256 bytes.
func BenchmarkString(b *testing.B) {
	for _, tt := range []struct{ name, s string }{
		{"plain", plain},
		{"lines", strings.Repeat("listen 127.0.0.1:8080;\n", 11) + "abc"},
		{"json", strings.Repeat(`{"host":"10.0.0.1"},`, 13)[:256]},
		{"umlauts", strings.Repeat("größer als", 22)[:256]},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var buf []byte
			b.SetBytes(int64(len(tt.s)))
			for b.Loop() {
				buf = appendString(buf[:0], tt.s)
			}
		})
	}
}

// BenchmarkApply sets keys among n that are there, 256 bytes each, and publishes each batch.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		tr, keys := valued(b, n)
		for _, batch := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("keys=%d/batch=%d", n, batch), func(b *testing.B) {
				b.ReportAllocs()
				op := Op{Action: Set, Value: plain}
				for i := 0; b.Loop(); i++ {
					op.Key = keys[i*7919%n]
					if _, err := tr.Apply(&op, t0); err != nil {
						b.Fatal(err)
					}
					if i%batch == 0 {
						tr.Publish()
					}
				}
			})
		}
	}
}

// BenchmarkAmong is the floor for BenchmarkApply: what it takes to set one of n keys in a map,
// and in a B-tree of which no copies are made.
func BenchmarkAmong(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
		keys := keysOf(n)
		m, t := make(map[string]*Node, n), newKeymap()
		for _, key := range keys {
			m[key] = &Node{Value: plain}
			t.set(key, m[key])
		}
		b.Run(fmt.Sprintf("keys=%d/map", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				key := keys[i*7919%n]
				m[key] = &Node{Value: plain, Modified: m[key].Modified + 1}
			}
		})
		b.Run(fmt.Sprintf("keys=%d/tree", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				key := keys[i*7919%n]
				t.set(key, &Node{Value: plain, Modified: t.get(key).Modified + 1})
			}
		})
	}
}

// BenchmarkSnapshotValues does the same with 100,000 files of 256 bytes.
func BenchmarkSnapshotValues(b *testing.B) {
	tr, _ := valued(b, 100_000)
	benchmarkSnapshot(b, tr)
}
