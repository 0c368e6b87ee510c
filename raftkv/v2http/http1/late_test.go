// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// leaver is a handler that leaves the answers to /late open.
type leaver struct {
	echo
	opened chan *lateAnswer
}

func (l *leaver) Serve(ctx context.Context, r *Request, client Client) {
	if string(r.Path) != "/late" {
		l.echo.Serve(ctx, r, client)
		return
	}
	if _, err := client.Write(r.AppendChunked(AppendStatus(nil, 200))); err != nil {
		return
	}
	late := &lateAnswer{client: client, ended: make(chan bool, 1), taken: make(chan net.Conn, 1)}
	client.Leave(late)
	l.opened <- late
}

// A lateAnswer is an answer that was left open.
type lateAnswer struct {
	client Client
	ended  chan bool
	taken  chan net.Conn
	early  string
}

func (l *lateAnswer) Ended(whole bool) { l.ended <- whole }

func (l *lateAnswer) Take(conn net.Conn, early []byte) {
	l.early = string(early)
	l.taken <- conn
}

// end ends the answer with that body.
func (l *lateAnswer) end(body string, last bool) {
	l.client.End(l, func() ([]byte, bool) { return []byte(chunked(body)), last })
}

// chunked returns a body of at most one chunk below 16 bytes.
func chunked(body string) string {
	if body == "" {
		return "0\r\n\r\n"
	}
	return string("0123456789abcdef"[len(body)]) + "\r\n" + body + "\r\n0\r\n\r\n"
}

// leaves has a pair's handler leave answers open.
func (p *pair) leaves() *leaver {
	l := &leaver{echo: *p.echo, opened: make(chan *lateAnswer, 10)}
	p.loop.config.Handler = l
	return l
}

// isEnded checks that an answer is ended, whole or not.
func (p *pair) isEnded(l *lateAnswer, whole bool) {
	p.t.Helper()
	select {
	case got := <-l.ended:
		if got != whole {
			p.t.Errorf("ended, whole: %v", got)
		}
	case <-time.After(time.Minute):
		p.t.Error("not ended")
	}
}

// bothTCP runs a test with a connection that was not read by its descriptor yet, and with one
// that was.
func bothTCP(t *testing.T, test func(t *testing.T, p *pair)) {
	t.Helper()
	t.Run("fresh", func(t *testing.T) { test(t, freshTCP(t)) })
	t.Run("known", func(t *testing.T) { test(t, overTCP(t)) })
}

// TestLate: an answer is ended later, and the connection goes on.
func TestLate(t *testing.T) {
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		for range 3 {
			p.send(request("/late"))
			late := <-l.opened
			late.end("body", false)
			late.end("again", false) // does nothing
			p.want("body")
			p.isEnded(late, true)
			p.send(request("/a"))
			p.want("GET /a ")
		}
	})
}

// TestLateLast: the connection ends with an answer if its end says so, or the client has.
func TestLateLast(t *testing.T) {
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.send(request("/late"))
		late := <-l.opened
		late.end("", true)
		p.want("")
		p.isEnded(late, true)
		p.closes(0, time.Minute)
		p.loop.running.Wait()
	})
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.send(strings.Replace(request("/late"), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
		(<-l.opened).end("body", false)
		if resp, body := p.answer(); body != "body" || !resp.Close {
			t.Errorf("got %q, close: %v", body, resp.Close)
		}
		p.closes(0, time.Minute)
		p.loop.running.Wait()
	})
}

// TestLateGone: a client that goes is noticed at once, and so is one that ends its side together
// with the request.
func TestLateGone(t *testing.T) {
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.send(request("/late"))
		late := <-l.opened
		p.Close()
		p.isEnded(late, false)
		late.end("body", false) // does nothing
		p.loop.running.Wait()
	})
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.send(request("/late"))
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p.isEnded(<-l.opened, false)
		p.loop.running.Wait()
		if took := time.Since(began); took >= probeTime {
			t.Errorf("noticed after %v", took)
		}
	})
}

// TestLateEarly: who sends more before the answer has ended leaves the loop, with what was
// read, be it sent together with the request or later.
func TestLateEarly(t *testing.T) {
	for _, together := range []bool{true, false} {
		bothTCP(t, func(t *testing.T, p *pair) {
			l := p.leaves()
			more := request("/a") + "GET /b"
			if together {
				p.send(request("/a") + request("/late") + more)
				p.want("GET /a ")
			} else {
				p.send(request("/late"))
			}
			late := <-l.opened
			if !together {
				p.send(more)
			}
			conn := <-late.taken
			defer conn.Close()
			p.loop.running.Wait()
			if late.early != more || len(p.loop.conns) != 0 {
				t.Errorf("together %v: taken with %q", together, late.early)
			}
			late.end("body", false) // does nothing, as it was taken
			if _, err := io.WriteString(conn, chunked("mine")); err != nil {
				t.Error(err)
			}
			p.want("mine")
			if !p.loop.Serve(conn, []byte(late.early)) {
				t.Fatal("not served again")
			}
			p.want("GET /a ")
			p.send(" HTTP/1.1\r\nHost: x\r\n\r\n")
			p.want("GET /b ")
		})
	}
}

// TestLatePipe: a connection without a descriptor is taken with the answer open, and one whose
// answer has ended by then is not.
func TestLatePipe(t *testing.T) {
	inBubble(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.sending.Go(func() { _, _ = io.WriteString(p, request("/late")+request("/a")) })
		resp := make([]byte, 8)
		if _, err := io.ReadFull(p.r, resp); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		late := <-l.opened
		p.handed = <-late.taken
		if late.early != request("/a") {
			t.Errorf("taken with %q", late.early)
		}
	})
}

// TestServeRefuses: what does not fit, and what comes too late, is not served.
func TestServeRefuses(t *testing.T) {
	p := freshTCP(t)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	if p.loop.Serve(server, make([]byte, MaxHead+1)) {
		t.Error("served with more than fits")
	}
	if err := p.loop.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if p.loop.Serve(server, nil) {
		t.Error("served after Shutdown")
	}
}

// TestLateShutdown: Shutdown waits for the ends of open answers, and Close for nothing.
func TestLateShutdown(t *testing.T) {
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.send(request("/late"))
		late := <-l.opened
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := p.loop.Shutdown(ctx); err == nil {
			t.Error("Shutdown has not waited")
		}
		p.sending.Go(func() {
			if err := p.loop.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
		late.end("body", false)
		p.want("body")
		p.closes(0, time.Minute)
		p.sending.Wait()
		p.isEnded(late, true)
	})
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		p.send(request("/late"))
		late := <-l.opened
		p.loop.Close()
		p.isEnded(late, false)
		p.loop.running.Wait()
	})
}
