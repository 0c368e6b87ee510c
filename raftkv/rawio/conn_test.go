// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pipe returns both ends of a connection, the first of them by Conn.
func pipe(t *testing.T) (net.Conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	c := Conn(a)
	if _, ok := c.(*conn); !ok {
		t.Fatalf("a %T", c)
	}
	return c, b.(*net.TCPConn)
}

// TestConnCarriesEverything: what goes in comes out, in any sizes, while a socket is full too.
func TestConnCarriesEverything(t *testing.T) {
	a, b := pipe(t)
	want := make([]byte, 5<<20+7)
	for i := range want {
		want[i] = byte(i * i >> 3)
	}
	var both sync.WaitGroup
	both.Go(func() {
		for left, size := want, 1; len(left) > 0; size = size*3%(2*maxAtOnce) + 1 {
			n := min(size, len(left))
			if m, err := a.Write(left[:n]); m != n || err != nil {
				t.Errorf("%d of %d written: %v", m, n, err)
				b.Close()
				return
			}
			left = left[n:]
		}
		a.(*conn).CloseWrite()
	})
	both.Go(func() {
		if _, err := io.Copy(b, b); err != nil { // the echo
			t.Error(err)
		}
		b.CloseWrite()
	})
	got, err := io.ReadAll(a)
	both.Wait()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came back: %v", len(got), len(want), err)
	}
	if n, err := a.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
}

// TestConnFailsLikeTheOther: deadlines, a close and a reset end what waits, with the errors
// of package net.
func TestConnFailsLikeTheOther(t *testing.T) {
	one := make([]byte, 1)
	fill := func(c net.Conn) (err error) {
		for b := make([]byte, 32<<10); err == nil; {
			_, err = c.Write(b)
		}
		return err
	}
	t.Run("deadline", func(t *testing.T) {
		a, _ := pipe(t)
		a.SetDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := a.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if err := fill(a); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("close", func(t *testing.T) {
		a, b := pipe(t)
		ended := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		b.Write(one)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		a.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := a.Write(one); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("end", func(t *testing.T) {
		a, b := pipe(t)
		b.Close()
		if _, err := a.Read(one); err != io.EOF {
			t.Error(err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		a, b := pipe(t)
		b.SetLinger(0)
		b.Close()
		var op *net.OpError
		if _, err := a.Read(one); !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
			t.Error(err)
		}
		if err := fill(a); !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
	})
}

// TestConnIsForSockets: anything else is returned as it is.
func TestConnIsForSockets(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if c := Conn(a); c != a {
		t.Errorf("a %T", c)
	}
}
