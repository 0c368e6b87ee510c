// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"os"
	"path/filepath"
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

// TestLastNonZeroOfHoles has files whose holes the file system knows, with data, and with
// zeros that were written, in all kinds of places.
func TestLastNonZeroOfHoles(t *testing.T) {
	const block = 64 << 10
	parts := []struct {
		at   int64
		text string
	}{{0, "x"}, {block - 1, "yz"}, {3 * block, "\x00\x00"}, {5*block + 17, "a\x00"}, {9*block - 1, "b"}}
	for have := range 1 << len(parts) {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(9 * block); err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			if have&(1<<i) == 0 {
				continue
			}
			if _, err := f.WriteAt([]byte(p.text), p.at); err != nil {
				t.Fatal(err)
			}
		}
		all, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []int64{0, 1, 32, block, 5*block + 18, 9 * block} {
			want := max(from, int64(len(bytes.TrimRight(all, "\x00"))))
			if got, err := lastNonZero(f, from); err != nil || got != want {
				t.Errorf("parts %05b, from %d: %d, %v, want %d", have, from, got, err, want)
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
