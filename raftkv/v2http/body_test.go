// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"confd/raftkv"
	"confd/raftkv/v2http/http1"
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

// TestLongBodiesAreKept: the memory of a body is used again after a write that was carried out,
// and only then: of one that may still be on its way it is not.
func TestLongBodiesAreKept(t *testing.T) {
	const size = 1 << 20
	var b buffers
	read := func(done bool) *byte {
		x := exchange{buffers: &b}
		if _, err := x.readAll(strings.NewReader(strings.Repeat("x", size)), size, size); err != nil {
			t.Fatal(err)
		}
		memory := &x.long[:1][0]
		x.resp.done = done
		x.reset()
		return memory
	}
	for range 10 {
		if lost := read(false); lost == &b.get(size + 1)[:1][0] {
			t.Fatal("memory is used again that may be looked at")
		}
	}
	again := 0
	for range 100 {
		if memory := read(true); memory == &b.get(size + 1)[:1][0] {
			again++
		}
	}
	if again == 0 {
		t.Error("no memory is used again")
	}
}

// A keptOnes is a plain that remembers which bodies it has kept.
type keptOnes struct {
	*plain
	kept []bool
}

func (k *keptOnes) Serve(ctx context.Context, r *http1.Request, client http1.Client) {
	k.plain.Serve(ctx, r, client)
	k.kept = append(k.kept, r.Kept)
}

// TestLentBodies: the loop has its memory back after a write that was carried out, and not if
// that may still be on its way.
func TestLentBodies(t *testing.T) {
	h, node := newTestHandler(Options{})
	handler := &keptOnes{plain: &plain{front: h}}
	loop := http1.New(http1.Config{Handler: handler, HeaderTime: time.Minute, BodyTime: time.Minute, IdleTime: time.Minute, StallTime: time.Minute})
	defer loop.Close()
	theirs, ours := net.Pipe()
	defer theirs.Close()
	_, _ = loop.Listener(&oneListener{conn: ours}).Accept() // errOneListener
	answer := bufio.NewReader(theirs)
	for _, fails := range []error{nil, raftkv.ErrTimeout, nil} {
		node.fail = fails
		request := fmt.Sprintf("PUT /v2/keys/a?noValueOnSuccess=true HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\nvalue=%s",
			hostLine, formType, 60<<10+6, strings.Repeat("x", 60<<10))
		if _, err := io.WriteString(theirs, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := loop.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []bool{false, true, false}; !slices.Equal(handler.kept, want) {
		t.Errorf("kept %v, want %v", handler.kept, want)
	}
	if e, err := node.View().Get("/a"); err != nil || len(e.Value) != 60<<10 {
		t.Errorf("the value: %v", err)
	}
}
