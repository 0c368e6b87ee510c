// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

// With the race detector a sync.Pool forgets at random, so allocations cannot be counted.

package http1

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
)

// TestIdleHoldsNoBuffer: connections that wait for their next request share the buffers of
// those that have one, and so do those whose answers are open.
func TestIdleHoldsNoBuffer(t *testing.T) {
	for _, path := range []string{"/a", "/late"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var made atomic.Int32
		const many = 100
		handler := &leaver{opened: make(chan *lateAnswer, many)}
		loop := New(Config{Handler: handler, HeaderTime: 1 << 40, BodyTime: 1 << 40, IdleTime: 1 << 40, StallTime: 1 << 40})
		loop.buffers.New = func() any { made.Add(1); return new(buffer) }
		defer loop.running.Wait()
		defer loop.Close()
		for range many {
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := loop.Listener(&listenOnce{conn: server}).Accept(); err != errLast {
				t.Fatal(err)
			}
			for _, path := range []string{"/a", path} {
				if _, err := client.Write([]byte(request(path))); err != nil {
					t.Fatal(err)
				}
				if n, err := client.Read(make([]byte, 1<<10)); err != nil || n == 0 {
					t.Fatal(err)
				}
			}
		}
		if got := made.Load(); got > many/5 {
			t.Errorf("%s: %d connections have made %d buffers", path, many, got)
		}
	}
}

// fixed is a handler with one answer.
type fixed struct{ answer []byte }

func (f *fixed) Takes(*Request) bool { return true }

func (f *fixed) Serve(_ context.Context, r *Request, client Client) {
	f.answer = r.AppendEnd(AppendStatus(f.answer[:0], 200), 0)
	_, _ = client.Write(f.answer)
}

// TestAllocations: the loop allocates nothing for a request.
func TestAllocations(t *testing.T) {
	theirs, ours := net.Pipe()
	loop := New(Config{Handler: &fixed{}, HeaderTime: 1 << 40, BodyTime: 1 << 40, IdleTime: 1 << 40, StallTime: 1 << 40})
	defer loop.running.Wait()
	defer theirs.Close()
	if _, err := loop.Listener(&listenOnce{conn: ours}).Accept(); err != errLast {
		t.Fatal(err)
	}
	input := bytes.Repeat([]byte("PUT /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nAuthorization: x\r\n\r\nx"), 10)
	buf := make([]byte, 1<<10)
	got := testing.AllocsPerRun(50, func() {
		if _, err := theirs.Write(input); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := theirs.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got > 1 { // a date may be made in between
		t.Errorf("10 requests allocate %v times", got)
	}
}

// TestLongBodies: the memory of a long body is used again, and each has what was sent.
func TestLongBodies(t *testing.T) {
	theirs, ours := net.Pipe()
	handler := &bodies{}
	loop := New(Config{Handler: handler, HeaderTime: 1 << 40, BodyTime: 1 << 40, IdleTime: 1 << 40, StallTime: 1 << 40})
	var made atomic.Int32
	loop.bodies.New = func() any { made.Add(1); return new(body) }
	defer loop.running.Wait()
	defer theirs.Close()
	if _, err := loop.Listener(&listenOnce{conn: ours}).Accept(); err != errLast {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<10)
	for i := range 50 {
		sent := bytes.Repeat([]byte{byte('a' + i%20)}, MaxBody-i)
		head := fmt.Appendf(nil, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(sent))
		if _, err := theirs.Write(append(head, sent...)); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Read(buf); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(handler.last, sent) {
			t.Fatalf("request %d: the body is another", i)
		}
	}
	if got := made.Load(); got > 10 {
		t.Errorf("50 bodies have taken new memory %d times", got)
	}
	handler.keeps = true
	made.Store(0)
	for range 20 {
		if _, err := theirs.Write(append([]byte("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n"), make([]byte, 64<<10)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	if got := made.Load(); got < 10 { // the first ones may have what was left above, one for each processor
		t.Errorf("20 bodies that were kept have taken new memory %d times", got)
	}
}

// bodies is a handler that remembers the last body.
type bodies struct {
	fixed
	last  []byte
	keeps bool
}

func (b *bodies) Serve(ctx context.Context, r *Request, client Client) {
	b.last, r.Kept = bytes.Clone(r.Body), b.keeps
	b.fixed.Serve(ctx, r, client)
}
