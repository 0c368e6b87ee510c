// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowClients: a client has 10 s for the first request and for the rest of a head, a
// minute for a body, 5 minutes between requests, each perhaps a second longer; how often it
// sends a byte is nothing to us.
func TestSlowClients(t *testing.T) {
	trickle := func(p *pair, head string) {
		_, _ = io.WriteString(p, head)
		for {
			time.Sleep(700 * time.Millisecond)
			if _, err := io.WriteString(p, "x"); err != nil {
				return
			}
		}
	}
	t.Run("nothing", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p *pair) { p.closes(10*time.Second, 10*time.Second+slack) })
	})
	t.Run("head", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p *pair) {
			p.sending.Go(func() { trickle(p, "GET /a HTTP/1.1\r\nHost: x") })
			p.closes(10*time.Second, 10*time.Second)
		})
	})
	t.Run("second head", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p *pair) {
			p.send(request("/a"))
			p.want("GET /a ")
			time.Sleep(4 * time.Minute)
			p.sending.Go(func() { trickle(p, "GET /a HTTP/1.1\r\nHost: x") })
			p.closes(10*time.Second, 10*time.Second)
		})
	})
	t.Run("body", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p *pair) {
			began := time.Now()
			p.sending.Go(func() { trickle(p, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") })
			resp, body := p.answer()
			if took := time.Since(began); took != time.Minute || !resp.Close || !strings.Contains(body, "timeout") {
				t.Errorf("got %q after %v, close: %v", body, took, resp.Close)
			}
			p.closes(0, 0)
		})
	})
	t.Run("idle", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p *pair) {
			for range 3 {
				time.Sleep(9 * time.Second)
				p.send(request("/a"))
				p.want("GET /a ")
			}
			for range 3 {
				time.Sleep(5*time.Minute - time.Second)
				p.send(request("/a"))
				p.want("GET /a ")
			}
			p.closes(5*time.Minute, 5*time.Minute+slack)
		})
	})
	t.Run("stalled", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p *pair) {
			p.send(request("/big"))
			began := time.Now()
			p.loop.running.Wait()
			if took := time.Since(began); took < 30*time.Second || took > 30*time.Second+slack {
				t.Errorf("given up after %v", took)
			}
		})
	})
}

// TestLargeBodyOnTheWay: what a client says it will send takes no memory before it does.
func TestLargeBodyOnTheWay(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		p.send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\nx")
		synctest.Wait()
		for c := range p.loop.conns {
			if got := cap(c.req.Body); got > 1<<10 {
				t.Errorf("a body of 1 byte has %d bytes of memory", got)
			}
		}
		for sent := 1; sent < 64<<10; sent += 1 << 10 {
			p.send(strings.Repeat("x", 1<<10)[:min(1<<10, 64<<10-sent)])
			synctest.Wait()
			for c := range p.loop.conns {
				if got := cap(c.req.Body); got > 5*(sent+1<<10) {
					t.Errorf("%d bytes of a body have %d bytes of memory", sent, got)
				}
			}
		}
		p.want("PUT /a " + strings.Repeat("x", 64<<10))
	})
}

// TestShutdown: a connection that waits is closed at once, a request under way is answered
// and told that it was the last.
func TestShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		p.send(request("/a"))
		p.want("GET /a ")
		synctest.Wait()
		if err := p.loop.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		p.closes(0, 0)
	})
	inBubble(t, func(t *testing.T, p *pair) {
		p.send(request("/wait"))
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- p.loop.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		p.echo.wait <- struct{}{}
		if resp, body := p.answer(); body != "GET /wait " || resp.Close {
			t.Errorf("got %q, close: %v; it began before Shutdown", body, resp.Close)
		}
		p.closes(0, 0)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownMidway: of a request that has begun to come the rest is waited for, and its
// answer says that it is the last.
func TestShutdownMidway(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		p.send(request("/a")[:20])
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- p.loop.Shutdown(context.Background()) }()
		synctest.Wait()
		p.send(request("/a")[20:])
		if resp, body := p.answer(); body != "GET /a " || !resp.Close {
			t.Errorf("got %q, close: %v", body, resp.Close)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownBounded: Shutdown waits no longer than it is told to, and then Close ends
// everything.
func TestShutdownBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		p.send(request("/wait"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := p.loop.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		p.loop.Close()
		p.closes(0, 0)
		p.loop.running.Wait()
	})
}

// TestAfterShutdown: a connection that comes later is closed.
func TestAfterShutdown(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		if err := p.loop.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		p.closes(0, 0)
		theirs, ours := listenPipe()
		if _, err := p.loop.Listener(ours).Accept(); err != errLast {
			t.Errorf("accepting: %v", err)
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v, want the end", err)
		}
	})
}
