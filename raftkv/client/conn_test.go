// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestConnRead reads as the connection below it does: what comes, its end, after a
// deadline, and when it is closed meanwhile.
func TestConnRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	c := newConn(ours, time.Minute)
	if c.raw == nil {
		t.Error("a TCP connection has no descriptor")
	}
	buf := make([]byte, 10)
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("into nothing: got %d, %v", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: got %d, %v", n, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = theirs.Write([]byte("hello"))
		_ = theirs.Close()
	}()
	if text, err := io.ReadAll(c); string(text) != "hello" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	_ = c.Close()
	if n, err := c.Read(buf); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: got %d, %v", n, err)
	}
	near, far := net.Pipe()
	defer near.Close()
	go func() { _, _ = far.Write([]byte("x")) }()
	if n, err := newConn(near, time.Minute).Read(buf); n != 1 || err != nil {
		t.Errorf("without a descriptor: got %d, %v", n, err)
	}
}
