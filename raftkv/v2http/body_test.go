// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReadAll: bodies of all lengths, with their length told, not told, or told wrong, one
// after the other in one exchange.
func TestReadAll(t *testing.T) {
	const limit = 2 << 20
	var x exchange
	for _, size := range []int{0, 1, 600, maxKept - 1, maxKept, maxKept + 1, maxKept + 6, 2 * maxKept, 1<<20 + 6, limit} {
		want := strings.Repeat("0123456789abcde", size/15+1)[:size]
		for _, length := range []int64{int64(size), -1, 0, 1 << 40} {
			for _, r := range []io.Reader{strings.NewReader(want), iotest.DataErrReader(strings.NewReader(want)), iotest.HalfReader(strings.NewReader(want))} {
				if got, err := x.readAll(r, length, limit); got != want || err != nil {
					t.Errorf("%d bytes, length %d: got %d others, %v", size, length, len(got), err)
				}
				x.reset()
			}
		}
	}
}

// TestReadAllStops: no more is read than shows that it is too much, and an error has what
// came before it.
func TestReadAllStops(t *testing.T) {
	var x exchange
	endless := bytes.NewReader(make([]byte, 10<<20))
	got, err := x.readAll(endless, -1, 1<<20)
	if len(got) <= 1<<20 || err != nil || endless.Len() < 8<<20 {
		t.Errorf("got %d bytes, %v, %d are left", len(got), err, endless.Len())
	}
	broken := errors.New("broken")
	for _, size := range []int{10, maxKept + 10} {
		r := io.MultiReader(strings.NewReader(strings.Repeat("x", size)), iotest.ErrReader(broken))
		if got, err := x.readAll(r, 1<<20, 1<<20); len(got) != size || !errors.Is(err, broken) {
			t.Errorf("got %d bytes, %v, want %d and %v", len(got), err, size, broken)
		}
	}
}

// TestRoom: what a client says that it will send takes no more memory than 32 times what it
// has sent, what is true is there at once, and there is always room for more.
func TestRoom(t *testing.T) {
	for _, test := range []struct {
		length   int64
		min, max int
	}{{1 << 40, 2 * maxKept, 32 * maxKept}, {1<<20 + 6, 1<<20 + 7, 1<<20 + 7}, {-1, 2 * maxKept, 2 * maxKept}, {maxKept, maxKept + 1, 2 * maxKept}} {
		if got := room(maxKept, test.length); got < test.min || got > test.max {
			t.Errorf("length %d: room for %d bytes, want %d to %d", test.length, got, test.min, test.max)
		}
	}
}
