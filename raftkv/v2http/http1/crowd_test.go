// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"bufio"
	"log/slog"
	"runtime"
	"strings"
	"testing"
)

// quickEcho answers as echo does, if it does not take long.
func quickEcho(r *Request, b []byte) ([]byte, bool) {
	switch string(r.Path) {
	case "/slow", "/wait", "/big":
		return append(b, "what is not to be sent"...)[:len(b)], false
	case "/panic":
		panic("on the way")
	}
	body := r.Method + " " + string(r.Path) + " "
	return append(r.AppendEnd(AppendStatus(b, 200), len(body)), body...), true
}

// inCrowd makes a pair of a TCP connection that has joined a crowd.
func inCrowd(t *testing.T) *pair {
	t.Helper()
	p := freshTCP(t)
	p.loop.config.Quick, p.loop.config.QuickQuery, p.loop.config.Crowd = quickEcho, "quick", 1
	p.joinsAfter(shortestRow)
	return p
}

// joinsAfter checks after how many quick requests the connection joins a crowd. It does so before
// it looks for the next one, so that is asked for each time.
func (p *pair) joinsAfter(many int) {
	p.t.Helper()
	for i := range many + 1 {
		if i > 0 && i < many {
			p.isMember(false)
		}
		p.send(request("/a"))
		p.want("GET /a ")
	}
	p.isMember(true)
}

// isMember checks whether the connection is one of a crowd.
func (p *pair) isMember(want bool) {
	p.t.Helper()
	if got := p.loop.members.Load() == 1; got != want {
		p.t.Errorf("it is in a crowd: %v, want %v", got, want)
	}
}

// TestCrowdMany: no request is overlooked, however the clients and the crowds interleave, and
// nothing is left when all have gone.
func TestCrowdMany(t *testing.T) {
	loop := New(Config{Handler: &echo{}, Quick: quickEcho, Crowd: 3, HeaderTime: 1 << 40, BodyTime: 1 << 40, IdleTime: 1 << 40, StallTime: 1 << 40, Log: slog.Default()})
	askMany(t, loop, getA)
	loop.running.Wait()
	if n := loop.members.Load(); n != 0 || len(loop.conns) != 0 {
		t.Errorf("%d members and %d connections are left", n, len(loop.conns))
	}
}

// TestCrowdsForProcessors: there are as many crowds as there were processors at first, though Go is
// told of more when the first connection joins.
func TestCrowdsForProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := freshTCP(t)
	p.loop.config.Quick, p.loop.config.Crowd = quickEcho, 1
	runtime.GOMAXPROCS(9)
	p.joinsAfter(shortestRow)
	if n := len(p.loop.crowds); n != 1 {
		t.Errorf("there are %d crowds", n)
	}
}

// TestCrowdIsForMany: with few connections, or without Quick, each keeps its goroutine.
func TestCrowdIsForMany(t *testing.T) {
	for _, quick := range []func(*Request, []byte) ([]byte, bool){quickEcho, nil} {
		p := freshTCP(t)
		p.loop.config.Quick = quick
		if quick != nil {
			p.loop.config.Crowd = 2
		}
		for range 5 * shortestRow {
			p.send(request("/a"))
			p.want("GET /a ")
			p.isMember(false)
		}
	}
}

// TestCrowdInOrder: what a member sends is answered in order, though a part of it is not for a
// crowd, and wherever it is cut.
func TestCrowdInOrder(t *testing.T) {
	put := "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
	for _, test := range []struct {
		input string
		stays bool
		want  []string
	}{
		{request("/c") + request("/d"), true, []string{"GET /c ", "GET /d "}},
		{request("/slow"), false, []string{"GET /slow "}},
		{request("/c") + request("/slow") + request("/d"), false, []string{"GET /c ", "GET /slow ", "GET /d "}},
		{request("/c") + put + request("/d"), false, []string{"GET /c ", "PUT /b body", "GET /d "}},
		{request("/c?x"), false, []string{"GET /c "}},
		{request("/c?quick") + request("/c"), true, []string{"GET /c ", "GET /c "}},
		{request("/c") + strings.Repeat(request("/d"), 2*MaxHead/len(request("/d"))), false, []string{"GET /c ", "GET /d "}},
	} {
		p := inCrowd(t)
		p.send(test.input)
		for _, want := range test.want {
			p.want(want)
		}
		if len(test.input) < MaxHead {
			p.isMember(test.stays)
		}
	}
	for cut := range len(put) + 1 {
		p := inCrowd(t)
		p.send(request("/c") + put[:cut])
		p.want("GET /c ")
		p.send(put[cut:] + request("/d"))
		p.want("PUT /b body")
		p.want("GET /d ")
	}
}

// TestCrowdPatience: who was dismissed joins again, later each time.
func TestCrowdPatience(t *testing.T) {
	p := inCrowd(t)
	for _, row := range []int{2 * shortestRow, 4 * shortestRow} {
		p.send(request("/slow"))
		p.want("GET /slow ")
		p.isMember(false)
		// The slow one looked as if it were quick, and counts.
		p.joinsAfter(row - 1)
	}
}

// TestCrowdHandOver: another server gets exactly what was not answered.
func TestCrowdHandOver(t *testing.T) {
	p := inCrowd(t)
	p.send(request("/a") + request("/strange") + "rest")
	p.want("GET /a ")
	p.loop.running.Wait()
	if want := request("/strange") + "rest"; p.early != want {
		t.Errorf("handed over with %q, want %q", p.early, want)
	}
	p.handed.Close()
}

// TestCrowdHoldsNobodyUp: a member whose answer takes long, or who does not read, is not waited
// for by the others.
func TestCrowdHoldsNobodyUp(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<20) // more than the sockets hold
	p := inCrowd(t)
	p.loop.config.Quick = func(r *Request, b []byte) ([]byte, bool) {
		if string(r.Path) == "/large" {
			return append(r.AppendEnd(AppendStatus(b, 200), len(large)), large...), true
		}
		return quickEcho(r, b)
	}
	p.loop.crowds = p.loop.crowds[:1] // for all
	others := func() {
		t.Helper()
		theirs, ours := dial(t)
		if _, err := p.loop.Listener(&listenOnce{conn: ours}).Accept(); err != errLast {
			t.Fatal(err)
		}
		o := &pair{t: t, loop: p.loop, Conn: theirs, r: bufio.NewReader(theirs)}
		for range 2 * shortestRow {
			o.send(request("/a"))
			o.want("GET /a ")
		}
		theirs.Close()
	}
	p.send(request("/large"))
	others()
	p.want(large)
	p.send(request("/wait"))
	others()
	p.echo.wait <- struct{}{}
	p.want("GET /wait ")
}
