// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"confd/raftkv/rawio"
)

// TestBegunEnds: a client that has ended its side has its answer, one that has gone costs nothing,
// and an answer that panics, or cannot be sent at once, holds nobody up.
func TestBegunEnds(t *testing.T) {
	p, d := atDesk(t)
	p.send(put)
	slot := <-d.slots
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	slot.Fill(said("last"))
	p.want("last")
	p.closes(0, probeTime+slack+time.Minute)
	p.loop.running.Wait()

	p, d = atDesk(t)
	p.send(put)
	slot = <-d.slots
	if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	p.Close()
	slot.Fill(said("nobody"))
	p.loop.running.Wait()

	for _, path := range []string{"/panic", "/b"} {
		p, d = atDesk(t)
		p.send(strings.Replace(put, "/b", path, 1))
		if path == "/b" {
			(<-d.slots).Fill(said("panic"))
		}
		p.closes(0, time.Minute)
		p.loop.running.Wait()
		if got := p.log.String(); !strings.Contains(got, "on the way") && !strings.Contains(got, "at the end") {
			t.Errorf("%s: the log has %q", path, got)
		}
	}

	p, d = atDesk(t)
	large := strings.Repeat("0123456789abcdef", 1<<20) // more than the sockets hold
	p.send(put)
	(<-d.slots).Fill(said(large))
	p.want(large)
}

// TestBegunShutdown: Shutdown waits for the answers that are to come, and they say that the
// connection ends; who has nothing to wait for is closed at once. Close waits for nothing, and an
// answer that comes after it does no harm.
func TestBegunShutdown(t *testing.T) {
	p, d := atDesk(t)
	o := p.neighbour()
	p.send(put)
	slot := <-d.slots
	p.sending.Go(func() {
		if err := p.loop.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	o.closes(0, time.Minute)
	slot.Fill(said("at last"))
	if resp, body := p.answer(); body != "at last" || !resp.Close {
		t.Errorf("got %q, close: %v", body, resp.Close)
	}
	p.closes(0, time.Minute)
	p.sending.Wait()

	p, d = atDesk(t)
	p.send(put)
	slot = <-d.slots
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.loop.Shutdown(ctx); err == nil {
		t.Error("Shutdown has not waited")
	}
	p.loop.Close()
	p.closes(0, time.Minute)
	p.loop.running.Wait()
	slot.Fill(said("nobody"))
}

// TestBegunLongEnds: the connection ends with an answer that takes long and says so, and Shutdown
// waits for one that does not.
func TestBegunLongEnds(t *testing.T) {
	for _, last := range []bool{true, false} {
		p, d := atDesk(t)
		p.send(put)
		v := make(volume)
		(<-d.slots).Fill(v)
		for p.loop.members.Load() > 0 {
			runtime.Gosched()
		}
		if !last {
			p.sending.Go(func() {
				if err := p.loop.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
			for !p.loop.ending.Load() {
				runtime.Gosched()
			}
		}
		v <- last
		if resp, body := p.answer(); body != "a volume" || resp.Close != last {
			t.Errorf("got %q, close: %v", body, resp.Close)
		}
		p.closes(0, time.Minute)
		p.sending.Wait()
	}
}

// isParked reports whether the goroutine waits.
func (b *begun) isParked() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.parked
}

// TestBegunAfterClose: an answer that comes after Close writes nothing to who has the descriptor
// since then by which the crowd was woken.
func TestBegunAfterClose(t *testing.T) {
	p, d := atDesk(t)
	p.send(put)
	slot := <-d.slots
	c := slot.(*member).crowd
	for !c.isParked() {
		runtime.Gosched()
	}
	wake := c.wake
	p.loop.Close()
	p.loop.running.Wait()

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), syscall.F_DUPFD_CLOEXEC, uintptr(wake))
	w.Close()
	if errno != 0 || int(fd) != wake {
		t.Fatalf("got the descriptor %d, %v, want %d", fd, errno, wake)
	}
	slot.Fill(said("nobody"))
	syscall.Close(wake)
	if got, err := io.ReadAll(r); len(got) > 0 || err != nil {
		t.Errorf("it has written %q, %v", got, err)
	}
}

// TestBegunWakes: who is woken is woken once, and costs one of the 2^64 times that this may be done.
func TestBegunWakes(t *testing.T) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(epoll)
	c := &crowd{}
	if err := c.init(epoll); err != nil {
		t.Fatal(err)
	}
	defer c.begun.close()
	m := &member{crowd: c}
	for range 3 {
		if !c.park() {
			t.Error("there is something to do")
		}
		m.Fill(said("a"))
		m.Fill(said("b"))
		if c.park() {
			t.Error("there is nothing to do")
		}
		var events [2]syscall.EpollEvent
		if n, err := rawio.Ready(epoll, events[:]); n != 1 || err != nil {
			t.Errorf("there are %d events, %v", n, err)
		}
		if got := len(c.take()); got != 2 {
			t.Errorf("%d answers are there, want 2", got)
		}
	}
	var count [8]byte
	if _, err := rawio.Read(c.wake, count[:]); err != nil || binary.NativeEndian.Uint64(count[:]) != 3 {
		t.Errorf("got %x, %v, want 3", count, err)
	}
}
