// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"confd/raftkv/rawio"
)

const (
	// atOnce is how many members of a crowd are served before Go looks for what has come
	// elsewhere, unless so many are ready each time; then it does that each 10 ms.
	atOnce = 256

	// longOut is from what length on, in bytes, answers are sent before there are more.
	longOut = 64 << 10
)

// watched is what epoll is to tell of. All but EPOLLIN is rare, and a reason to dismiss.
const watched = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLPRI | edgeTriggered

const edgeTriggered = 1 << 31 // syscall.EPOLLET is below zero

// A crowd is connections that one goroutine serves, since their requests are likely to be
// answered at once. It has an epoll of its own, which Go's epoll watches over.
type crowd struct {
	loop  *Loop
	file  *os.File // the epoll
	raw   syscall.RawConn
	epoll int

	// Owned by the goroutine.
	events [atOnce]syscall.EpollEvent
	in     buffer
	out    []byte
	req    Request
	busy   int // how many members have a request that is begun
	failed bool
	spare  int // a descriptor for when there are no others, or -1; see open

	begun

	mu      sync.Mutex
	members []*member // guarded by mu: by descriptor
	size    int       // guarded by mu: how many there are
	ended   bool      // guarded by mu: it takes no more
}

// end has the crowd end, and its members, once those that have a request are answered. It
// waits for nothing.
func (c *crowd) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	_ = c.file.SetReadDeadline(time.Unix(1, 0)) // fails only once it has ended
}

// isOver reports whether the crowd takes no more members, also since nobody is left.
func (c *crowd) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = c.ended || c.size == 0
	return c.ended
}

// isDone reports whether the goroutine is to end: nobody waits for an answer, unless by Close or a
// failure.
func (c *crowd) isDone() bool {
	return c.isOver() && (c.busy == 0 || c.failed || c.loop.ctx.Err() != nil)
}

// fail has the crowd end at once.
func (c *crowd) fail(err error) {
	c.loop.config.Log.Error("connections that share a goroutine are closed", "err", err)
	c.failed = true
	c.end()
}

// run serves the members until there are none, or the crowd is ended.
func (c *crowd) run() {
	for !c.isDone() {
		switch err := c.raw.Read(c.serveReady); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.sweep(time.Now())
		case err != nil:
			c.fail(err)
		}
	}
	for _, m := range c.members {
		if m != nil {
			c.drop(m)
		}
	}
	c.close()
}

// serveReady serves the members that have something, and reports false: call it again when
// there are others. With true it is to be called at once, unless it is time for something else or
// the crowd is to end.
//
// It looks again until there is nothing, or until it has served as many as are looked for at
// once. What has come after that look is an edge for Go's epoll, so it is not overlooked, and Go
// looks at all that has come elsewhere before it goes on here.
func (c *crowd) serveReady(uintptr) bool {
	for served := 0; ; {
		finished := c.finish()
		n, err := rawio.Ready(c.epoll, c.events[:])
		if err != nil {
			c.fail(err)
			return true
		}
		for i := range n {
			c.serve(&c.events[i])
		}
		if n+finished > 0 && c.isOver() {
			return true
		}
		switch served += n; {
		case n == 0 || served >= atOnce && n < atOnce:
			return !c.park()
		case n == atOnce:
			runtime.Gosched()
			return true
		}
	}
}

// serve serves the member that an event tells of.
func (c *crowd) serve(e *syscall.EpollEvent) {
	m := c.member(int(e.Fd))
	if m == nil {
		return
	}
	if m.open {
		m.missed |= e.Events
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.loop.config.Log.Error("a request made the server panic", "err", p, "stack", string(debug.Stack()))
			c.drop(m)
		}
	}()
	n, err := rawio.Read(m.fd, c.in[:])
	for err == syscall.EINTR {
		n, err = rawio.Read(m.fd, c.in[:])
	}
	odd := e.Events != syscall.EPOLLIN || n == len(c.in)
	switch {
	case err == syscall.EAGAIN && !odd:
		return
	case err == syscall.EAGAIN:
		n = 0
	case n <= 0:
		c.drop(m)
		return
	}
	rest := c.answer(m, c.in[:n], !odd)
	if m.open {
		return
	}
	sent, err := writeAtOnce(m.fd, c.out)
	switch {
	case err != nil:
		c.drop(m)
	case odd || len(rest) > 0 || sent < len(c.out):
		c.dismiss(m, rest, c.out[sent:])
	}
	c.trim()
}

// trim lets go of memory that one long answer has taken.
func (c *crowd) trim() {
	if cap(c.out) > 2*longOut {
		c.out = nil
	}
}

// answer has the requests that in begins with answered in out, as far as that can be done at
// once, and returns what is behind them. If in is all that there is, and one request, it may begin
// that.
func (c *crowd) answer(m *member, in []byte, all bool) []byte {
	c.out = c.out[:0]
	r, config := &c.req, &c.loop.config
	for len(in) > 0 && len(c.out) < longOut {
		n, v := r.parse(in)
		if v != clean || !c.loop.isQuick(r) || r.Close || c.loop.ending.Load() || !config.Handler.Takes(r) {
			break
		}
		r.Began = time.Now()
		r.date = c.loop.dates.at(r.Began)
		m.used = r.Began
		if r.Method != "GET" {
			if all && len(c.out) == 0 && len(in) == n+r.Length {
				c.begin(m, in[n:])
			}
			break
		}
		out, ok := config.Quick(r, c.out)
		if !ok {
			break
		}
		c.out, in = out, in[n:]
	}
	return in
}

// sweep closes the connections that have waited for too long, all that wait if the crowd is to end,
// and sets when to look again.
func (c *crowd) sweep(now time.Time) {
	next, over := now.Add(c.loop.config.IdleTime), c.isOver()
	for fd := range c.count() {
		m := c.member(fd)
		if m == nil || m.open {
			continue
		}
		switch until := m.used.Add(c.loop.config.IdleTime); {
		case over || !now.Before(until):
			c.drop(m)
		case until.Before(next):
			next = until
		}
	}
	if least := now.Add(slack); next.Before(least) {
		next = least
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		next = time.Time{} // for those who have not got their answers, unless isDone says otherwise
	}
	_ = c.file.SetReadDeadline(next) // fails only once it is closed
}
