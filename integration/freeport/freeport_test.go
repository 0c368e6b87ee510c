// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package freeport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// TestKept: the server that the port is for may come and go, and to others it is taken.
func TestKept(t *testing.T) {
	addr := Addr(t)
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v, %v before anyone listens, want %v", c, err, syscall.ECONNREFUSED)
	}
	for range 2 {
		for _, listen := range []string{addr, "0.0.0.0" + addr[len("127.0.0.1"):]} {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			l.Close()
		}
	}
	other, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.DialTCP("tcp", other, l.Addr().(*net.TCPAddr)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a connection from the port: got %v, %v, want %v", c, err, syscall.EADDRINUSE)
	}
}

// TestNotGivenAway: no outgoing connection is given a port that is kept, in as many as there are
// ports to give.
func TestNotGivenAway(t *testing.T) {
	kept := make(map[string]bool)
	for range 200 {
		kept[Addr(t)] = true
	}
	if len(kept) != 200 {
		t.Fatalf("got %d addresses, want 200", len(kept))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.Close()
		}
	}()
	defer func() {
		l.Close()
		<-accepted
	}()
	low, high := ephemeral(t)
	for range high - low + 1 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if kept[c.LocalAddr().String()] {
			t.Fatalf("a connection was given %v", c.LocalAddr())
		}
		if err := c.(*net.TCPConn).SetLinger(0); err != nil { // no TIME_WAIT: the port is free again
			t.Fatal(err)
		}
		c.Close()
	}
}

// ephemeral returns the ports that the kernel gives to outgoing connections.
func ephemeral(t *testing.T) (low, high int) {
	t.Helper()
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(data), &low, &high); err != nil {
		t.Fatalf("%s: %v", strconv.Quote(string(data)), err)
	}
	return low, high
}
