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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"confd/raftkv/rawio"
)

// TestBegunEnds: a client that has ended its side has its answer, and one that has gone costs nothing.
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

	for range 20 {
		p, _ = atDesk(t)
		p.send(strings.Replace(put, "/b", "/now", 1))
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, body := p.answer(); body != "now" && body != "PUT /now body" {
			t.Errorf("got %q", body)
		}
		p.closes(0, probeTime+slack+time.Minute)
	}

	// What has come before the end is answered, and the end not overlooked.
	p, d = atDesk(t)
	o := p.neighbour()
	p.send(put)
	slot = <-d.slots
	p.send(request("/c"))
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	o.send(request("/d")) // so the crowd has been told of that
	o.want("GET /d ")
	slot.Fill(said("first"))
	p.want("first")
	p.want("GET /c ")
	p.closes(0, probeTime+slack+time.Minute)
}

// tooMuch is more than the sockets hold.
var tooMuch = strings.Repeat("0123456789abcdef", 1<<20)

// TestBegunFails: an answer that panics or cannot be sent at once, and Begin that panics, hold nobody
// up, and no memory.
func TestBegunFails(t *testing.T) {
	for _, path := range []string{"/panic", "/b"} {
		p, d := atDesk(t)
		o := p.neighbour()
		p.send(strings.Replace(put, "/b", path, 1))
		if path == "/b" {
			(<-d.slots).Fill(said("panic"))
		}
		p.closes(0, time.Minute)
		o.send(request("/d"))
		o.want("GET /d ")
		if err := p.loop.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if got := p.log.String(); !strings.Contains(got, "on the way") && !strings.Contains(got, "at the end") {
			t.Errorf("%s: the log has %q", path, got)
		}
	}

	p, d := atDesk(t)
	p.send(put)
	slot := <-d.slots
	slot.Fill(said(tooMuch))
	p.want(tooMuch)
	p.Close()
	p.loop.running.Wait()
	if kept := cap(slot.(*member).crowd.out); kept > 2*longOut {
		t.Errorf("%d bytes are kept", kept)
	}
}

// TestBegunShutdown: Shutdown waits for the answers that are to come, and they say that the
// connection ends; who has nothing to wait for is closed at once, and who has been answered, as soon
// as all of it is sent. Close waits for nothing, and an answer that comes after it does no harm.
func TestBegunShutdown(t *testing.T) {
	p, d := atDesk(t)
	o, slow := p.neighbour(), p.neighbour()
	p.send(put)
	slot := <-d.slots
	slow.send(put)
	last := <-d.slots
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
	last.Fill(said(tooMuch))
	slow.want(tooMuch)
	slow.closes(0, time.Minute)
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

// TestBegunWithoutEpoll: a crowd that fails ends at once, though an answer is to come.
func TestBegunWithoutEpoll(t *testing.T) {
	p, d := atDesk(t)
	p.send(put)
	slot := <-d.slots
	slot.(*member).crowd.file.Close()
	p.closes(0, time.Minute)
	p.loop.running.Wait()
	slot.Fill(said("nobody"))
	if got := strings.Count(p.log.String(), "connections that share a goroutine are closed"); got != 1 {
		t.Errorf("the log says so %d times", got)
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
		m.Fill(said("c")) // who is awake is not woken
		if n, err := rawio.Ready(epoll, events[:]); n != 0 || err != nil {
			t.Errorf("%d events are there still, %v", n, err)
		}
		c.take()
		c.park()
		c.take()
		m.Fill(said("d")) // nor is who was to wait, and has been woken otherwise
		if n, err := rawio.Ready(epoll, events[:]); n != 0 || err != nil {
			t.Errorf("%d events are there, %v", n, err)
		}
		c.take()
		c.take()
		if kept := append(c.filled[:cap(c.filled):cap(c.filled)], c.taking[:cap(c.taking)]...); slices.ContainsFunc(kept, func(m *member) bool { return m != nil }) {
			t.Errorf("it keeps %v", kept)
		}
	}
	var count [8]byte
	if _, err := rawio.Read(c.wake, count[:]); err != nil || binary.NativeEndian.Uint64(count[:]) != 3 {
		t.Errorf("got %x, %v, want 3", count, err)
	}
}
