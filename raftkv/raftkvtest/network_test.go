// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const latency = 10 * time.Millisecond

// inNetwork runs a test in a bubble, with two hosts of a network that have a connection.
func inNetwork(t *testing.T, test func(t *testing.T, n *Network, a, b net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(rand.New(rand.NewPCG(1, 2)), Link{Latency: latency})
		ln, err := n.Host("b").Listen("b:1")
		if err != nil {
			t.Fatal(err)
		}
		a, err := n.Host("a").Dial(t.Context(), "b:1")
		if err != nil {
			t.Fatal(err)
		}
		b, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		test(t, n, a, b)
		a.Close()
		b.Close()
		ln.Close()
		if n.Open() != 0 {
			t.Errorf("%d ends are open", n.Open())
		}
	})
}

func writeTo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
}

// wantRead reads the text, and wants to get it exactly after a time.
func wantRead(t *testing.T, c net.Conn, text string, after time.Duration) {
	t.Helper()
	start := time.Now()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != text {
		t.Errorf("read %q, %v, want %q", b, err, text)
	}
	if got := time.Since(start); got != after {
		t.Errorf("read %q after %v, want %v", text, got, after)
	}
}

func wantError(t *testing.T, want error) func(int, error) {
	return func(n int, err error) {
		t.Helper()
		if n != 0 || !errors.Is(err, want) {
			t.Errorf("got %d bytes, %v, want %v", n, err, want)
		}
	}
}

// TestHealthyLink sends a lot both ways at once, in writes of all sizes.
func TestHealthyLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(rand.New(rand.NewPCG(1, 2)), Link{Latency: latency, Jitter: latency, Loss: 0.2})
		ln, _ := n.Host("b").Listen("b:0")
		a, err := n.Host("a").Dial(t.Context(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := ln.Accept()
		var wg sync.WaitGroup
		r := rand.New(rand.NewPCG(3, 4))
		for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
			sent := make([]byte, 3*window+r.IntN(window))
			for i := range sent {
				sent[i] = byte(r.Uint32())
			}
			var writes []int
			for left := len(sent); left > 0; left -= writes[len(writes)-1] {
				writes = append(writes, min(left, 1+r.IntN(window/4)))
			}
			wg.Go(func() {
				for rest := sent; len(rest) > 0; writes = writes[1:] {
					if _, err := way[0].Write(rest[:writes[0]]); err != nil {
						t.Error(err)
					}
					rest = rest[writes[0]:]
				}
			})
			wg.Go(func() {
				got := make([]byte, len(sent))
				if k, err := io.ReadFull(way[1], got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("read %d bytes of %d, or others, %v", k, len(sent), err)
				}
			})
		}
		wg.Wait()
		if n.Count().Lost == 0 {
			t.Error("nothing had to be sent again")
		}
		a.Close()
		wantError(t, io.EOF)(b.Read(make([]byte, 1)))
		b.Close()
		ln.Close()
	})
}

func TestEndOfConnection(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		writeTo(t, a, "last")
		a.Close()
		wantRead(t, b, "last", latency)
		wantError(t, io.EOF)(b.Read(make([]byte, 1)))
		wantError(t, net.ErrClosed)(a.Read(make([]byte, 1)))
		wantError(t, net.ErrClosed)(a.Write([]byte("x")))
		writeTo(t, b, "into nothing") // cannot know it yet
		time.Sleep(2 * latency)
		wantError(t, syscall.ECONNRESET)(b.Write([]byte("x")))
	})
}

func TestDeadlines(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		a.SetDeadline(time.Now().Add(time.Second))
		start := time.Now()
		_, err := a.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read: %v", err)
		}
		if time.Since(start) != time.Second {
			t.Errorf("read gave up after %v", time.Since(start))
		}
		wantError(t, os.ErrDeadlineExceeded)(a.Write([]byte("x")))
		a.SetDeadline(time.Time{})
		writeTo(t, a, "x")
		wantRead(t, b, "x", latency)

		// A deadline wakes who waits already.
		go func() {
			time.Sleep(time.Second)
			b.SetReadDeadline(time.Unix(1, 0))
		}()
		wantError(t, os.ErrDeadlineExceeded)(b.Read(make([]byte, 1)))

		// A full buffer.
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if k, err := a.Write(make([]byte, 2*window)); k != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v", k, err)
		}
	})
}

func TestCloseWakesReader(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		go func() {
			time.Sleep(time.Second)
			a.Close()
		}()
		wantError(t, net.ErrClosed)(a.Read(make([]byte, 1)))
		wantError(t, io.EOF)(b.Read(make([]byte, 1)))
	})
}

// TestCut breaks one direction for less long than anybody is patient.
func TestCut(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		writeTo(t, a, "in flight ")
		n.Cut("a", "b")
		writeTo(t, a, "and behind")
		writeTo(t, b, "back")
		wantRead(t, a, "back", latency)
		b.SetReadDeadline(time.Now().Add(5 * time.Second))
		wantError(t, os.ErrDeadlineExceeded)(b.Read(make([]byte, 1)))
		b.SetReadDeadline(time.Time{})
		n.Heal()
		wantRead(t, b, "in flight and behind", resend)
	})
}

// TestLongCut breaks it for longer. Only the sender can know; the other learns it late.
func TestLongCut(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Partition([]string{"a"}, []string{"b", "c"})
		writeTo(t, a, "lost")
		start := time.Now()
		wantError(t, syscall.ETIMEDOUT)(a.Read(make([]byte, 1)))
		if got := time.Since(start); got < patience/2 || got > 2*patience {
			t.Errorf("broke after %v", got)
		}
		b.SetReadDeadline(time.Now().Add(time.Minute))
		wantError(t, os.ErrDeadlineExceeded)(b.Read(make([]byte, 1)))
		n.Heal()
		b.SetReadDeadline(time.Time{})
		wantError(t, syscall.ECONNRESET)(b.Read(make([]byte, 1)))
		if n.Count().Expired != 1 {
			t.Errorf("%+v", n.Count())
		}
	})
}

func TestDial(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		h := n.hosts["a"]
		dial := func(addr string, want error, after time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			start := time.Now()
			c, err := h.Dial(ctx, addr)
			if !errors.Is(err, want) || time.Since(start) != after {
				t.Errorf("%v after %v, want %v after %v", err, time.Since(start), want, after)
			}
			if err == nil {
				c.Close()
			}
		}
		dial("b:1", nil, 2*latency)
		dial("b:2", syscall.ECONNREFUSED, 2*latency)
		n.Cut("b", "a")
		dial("b:1", context.DeadlineExceeded, 3*time.Second)
		time.AfterFunc(time.Second, n.Heal)
		dial("b:1", nil, time.Second+2*latency)
		n.PowerOff("b")
		dial("b:1", context.DeadlineExceeded, 3*time.Second)
		n.Host("b")
		dial("b:1", syscall.ECONNREFUSED, 2*latency)
		n.Kill("a")
		dial("b:1", syscall.ENETDOWN, 0)
	})
}

func TestKill(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Kill("b")
		wantError(t, syscall.ECONNRESET)(a.Read(make([]byte, 1)))
		wantError(t, syscall.ECONNABORTED)(b.Write([]byte("x")))
	})
}

// TestPowerOff takes the power of a host away. The other end learns it when it is back.
func TestPowerOff(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.PowerOff("b")
		a.SetReadDeadline(time.Now().Add(time.Minute))
		wantError(t, os.ErrDeadlineExceeded)(a.Read(make([]byte, 1)))
		a.SetReadDeadline(time.Time{})
		n.Host("b")
		wantError(t, syscall.ECONNRESET)(a.Read(make([]byte, 1)))
	})
}

func TestFreeze(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.Freeze("b")
		writeTo(t, a, "hello") // the system takes it
		b.SetReadDeadline(time.Now().Add(time.Second))
		time.AfterFunc(time.Minute, func() { n.Thaw("b") })
		start := time.Now()
		wantError(t, os.ErrDeadlineExceeded)(b.Read(make([]byte, 1)))
		if time.Since(start) != time.Minute {
			t.Errorf("read while frozen, after %v", time.Since(start))
		}
		b.SetReadDeadline(time.Time{})
		wantRead(t, b, "hello", 0)
	})
}

func TestReset(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		n.SetLink("a", "b", Link{Latency: latency, Reset: 1})
		writeTo(t, a, "x")
		wantError(t, syscall.ECONNRESET)(a.Write([]byte("x")))
		wantError(t, syscall.ECONNRESET)(b.Read(make([]byte, 1)))
	})
}

func TestListen(t *testing.T) {
	inNetwork(t, func(t *testing.T, n *Network, a, b net.Conn) {
		h := n.hosts["b"]
		for addr, want := range map[string]error{"b:1": syscall.EADDRINUSE, "a:9": syscall.EADDRNOTAVAIL} {
			if _, err := h.Listen(addr); !errors.Is(err, want) {
				t.Errorf("%s: %v", addr, err)
			}
		}
		// What nobody has accepted is reset when the listener closes.
		ln, err := h.Listen("b:2")
		if err != nil {
			t.Fatal(err)
		}
		c, err := n.hosts["a"].Dial(t.Context(), "b:2")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		wantError(t, syscall.ECONNRESET)(c.Read(make([]byte, 1)))
		c.Close()
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
