// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"testing"
)

// TestLastNonZero has one byte that is not zero anywhere around the ends of blocks.
func TestLastNonZero(t *testing.T) {
	const block = 64 << 10
	for _, size := range []int{0, 1, block - 1, block, block + 1, 3*block + 7} {
		for _, at := range []int{0, 1, block - 1, block, block + 1, 2*block - 1, 2 * block, 3*block + 6} {
			for _, from := range []int{0, 32, block, block + 33} {
				b := make([]byte, size)
				want := from
				if at < size {
					b[at] = 1
					if at >= from {
						want = at + 1
					}
				}
				got, err := lastNonZero(bytes.NewReader(b), int64(from))
				if err != nil || got != int64(want) {
					t.Errorf("%d bytes, %d is set, from %d: %d, %v, want %d", size, at, from, got, err, want)
				}
			}
		}
	}
}

// BenchmarkLastNonZero reads a new file of the log: its size, and zeros.
func BenchmarkLastNonZero(b *testing.B) {
	file := bytes.NewReader(make([]byte, 16<<20))
	b.SetBytes(file.Size())
	for b.Loop() {
		if end, err := lastNonZero(file, segmentHeader); err != nil || end != segmentHeader {
			b.Fatal(end, err)
		}
	}
}
