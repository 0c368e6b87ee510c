// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCrowdCloses: a member is closed if its client closes or has ended its side, the handler
// panics, or nothing comes for too long. The others stay.
func TestCrowdCloses(t *testing.T) {
	p := inCrowd(t)
	p.Close()
	p.loop.running.Wait()

	p = inCrowd(t)
	p.send(request("/panic"))
	p.closes(0, time.Minute)
	p.loop.running.Wait()
	if got := p.log.String(); !strings.Contains(got, "on the way") {
		t.Errorf("the log has %q", got)
	}

	for range 20 {
		p = inCrowd(t)
		p.send(request("/a"))
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		p.want("GET /a ")
		p.closes(0, probeTime+slack+time.Minute)
	}

	p = freshTCP(t)
	p.loop.config.Quick, p.loop.config.IdleTime = quickEcho, 300*time.Millisecond
	p.joinsAfter(shortestRow)
	p.closes(0, time.Minute)
	p.loop.running.Wait()
}

// TestCrowdShutdown: a member that waits is closed at once, what it has begun is answered.
func TestCrowdShutdown(t *testing.T) {
	p := inCrowd(t)
	if err := p.loop.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	p.closes(0, time.Minute)

	p = inCrowd(t)
	p.loop.Close()
	p.closes(0, time.Minute)
	p.loop.running.Wait()

	inCrowd(t).shutdownWaits("/slow")
}

// TestCrowdShutdownMidway: connections come and go while the loop is shut down, and all end.
func TestCrowdShutdownMidway(t *testing.T) {
	for range 50 {
		p := inCrowd(t)
		p.sending.Go(func() {
			for {
				// An error is that of a server that has closed.
				if _, err := p.Write([]byte(request("/a") + request("/slow"))); err != nil {
					return
				}
			}
		})
		p.want("GET /a ")
		p.sending.Go(func() {
			for _, err := p.r.ReadByte(); err == nil; _, err = p.r.ReadByte() {
			}
		})
		if err := p.loop.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		p.Close()
		p.sending.Wait()
	}
}

// TestCrowdUrgent: a read ends before urgent data, and what follows is not overlooked.
func TestCrowdUrgent(t *testing.T) {
	for range 20 {
		p := inCrowd(t)
		raw, err := p.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Write(func(fd uintptr) bool {
			for i, part := range []string{request("/a"), "!", request("/b")} {
				if err := syscall.Sendto(int(fd), []byte(part), i%2*syscall.MSG_OOB, nil); err != nil {
					t.Error(err)
				}
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		p.want("GET /a ")
		p.want("GET /b ")
	}
}

// TestCrowdCloseMidway: a connection that a crowd dismisses once the loop is closed does not
// outlive it.
func TestCrowdCloseMidway(t *testing.T) {
	p := inCrowd(t)
	p.loop.config.Quick = func(r *Request, b []byte) ([]byte, bool) {
		p.loop.Close()
		return quickEcho(r, b)
	}
	p.send(request("/a") + "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
	began := time.Now()
	p.loop.running.Wait()
	if took := time.Since(began); took > p.loop.config.BodyTime/2 {
		t.Errorf("it was there for %v", took)
	}
}

// A doorman is a handler that looks at who asks.
type doorman struct{ echo }

func (d *doorman) Serve(ctx context.Context, r *Request, client Client) {
	_ = client.RemoteAddr().String()
	d.echo.Serve(ctx, r, client)
}

// TestCrowdReset: a client that resets the connection while a request of it is looked at does not
// make the server panic, as it has no address any more.
func TestCrowdReset(t *testing.T) {
	p := inCrowd(t)
	p.loop.config.Handler = &doorman{}
	asked, reset := make(chan struct{}), make(chan struct{})
	p.loop.config.Quick = func(_ *Request, b []byte) ([]byte, bool) {
		close(asked)
		<-reset
		return b, false
	}
	p.send(request("/slow"))
	<-asked
	if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Error(err)
	}
	p.Close()
	close(reset)
	p.loop.running.Wait()
	if got := p.log.String(); got != "" {
		t.Errorf("the log has %.200q", got)
	}
}

// TestCrowdIsNotForgotten: a crowd that cannot take a connection stays known, and so is ended with
// the loop.
func TestCrowdIsNotForgotten(t *testing.T) {
	p := inCrowd(t)
	p.loop.mu.Lock()
	p.loop.crowds = p.loop.crowds[:1]
	old := p.loop.crowds[0]
	p.loop.mu.Unlock()
	for fd := range old.count() {
		if old.member(fd) != nil && p.loop.enter(&member{fd: fd, used: time.Now()}) {
			t.Error("it is a member twice")
		}
	}
	if p.loop.crowds[0] != old {
		t.Error("another crowd is in its place")
	}
	if err := p.loop.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCrowdWithoutDescriptors: a member is dismissed, and its request answered, also if there are
// no descriptors left.
func TestCrowdWithoutDescriptors(t *testing.T) {
	p := inCrowd(t)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = min(few.Cur, 512)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}()
	raw, err := p.Conn.(*net.TCPConn).SyscallConn()
	for err == nil {
		var fd int
		if fd, err = duplicate(raw); err == nil {
			defer syscall.Close(fd)
		}
	}
	if err != syscall.EMFILE {
		t.Fatal(err)
	}
	p.send("PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	p.want("PUT /b body")
}

// TestCrowdSaysThatItEnds: what is answered once Shutdown was called says that the connection ends,
// as it does elsewhere.
func TestCrowdSaysThatItEnds(t *testing.T) {
	p := inCrowd(t)
	p.loop.config.Quick = func(r *Request, b []byte) ([]byte, bool) {
		p.loop.end(func(*conn) {}) // as Shutdown does
		return quickEcho(r, b)
	}
	p.send(request("/a") + request("/b"))
	p.want("GET /a ")
	if resp, body := p.answer(); body != "GET /b " || !resp.Close {
		t.Errorf("got %q, close: %v", body, resp.Close)
	}
	p.closes(0, time.Minute)
}
