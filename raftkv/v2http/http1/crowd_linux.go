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
	spare  int // a descriptor for when there are no others, or -1; see open

	mu      sync.Mutex
	members []*member // guarded by mu: by descriptor
	size    int       // guarded by mu: how many there are
	ended   bool      // guarded by mu: it takes no more
}

// A member is a connection of a crowd, which owns it.
type member struct {
	fd   int
	row  int       // as that of a conn
	used time.Time // when it had its last request
}

// add adds a member. It reports false if that cannot be.
func (c *crowd) add(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, m.fd, &syscall.EpollEvent{Events: watched, Fd: int32(m.fd)}) != nil {
		return false
	}
	for len(c.members) <= m.fd {
		c.members = append(c.members, nil)
	}
	c.members[m.fd] = m
	c.size++
	c.loop.members.Add(1)
	return true
}

// remove takes out a member, whose descriptor is the caller's then. It reports false if that
// has been done.
func (c *crowd) remove(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members[m.fd] != m {
		return false
	}
	c.members[m.fd] = nil
	c.size--
	c.loop.members.Add(-1)
	// It can fail only if it was not there, and then there is nothing to be told of.
	_ = syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_DEL, m.fd, nil)
	return true
}

// drop closes the connection of a member.
func (c *crowd) drop(m *member) {
	if c.remove(m) {
		syscall.Close(m.fd)
	}
}

// end has the crowd end, and its members, once those that have a request are answered. It
// waits for nothing.
func (c *crowd) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	_ = c.file.SetReadDeadline(time.Unix(1, 0)) // fails only once it has ended
}

// isOver reports whether the crowd is to end, also since nobody is left, and takes no more then.
func (c *crowd) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = c.ended || c.size == 0
	return c.ended
}

// run serves the members until there are none, or the crowd is ended.
func (c *crowd) run() {
	for !c.isOver() {
		switch err := c.raw.Read(c.serveReady); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.sweep(time.Now())
		case err != nil:
			c.loop.config.Log.Error("connections that share a goroutine are closed", "err", err)
			c.end()
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
		n, err := rawio.Ready(c.epoll, c.events[:])
		if err != nil {
			c.loop.config.Log.Error("connections that share a goroutine are closed", "err", err)
			c.end()
			return true
		}
		for i := range n {
			c.serve(&c.events[i])
		}
		if n > 0 && c.isOver() {
			return true
		}
		switch served += n; {
		case n == 0 || served >= atOnce && n < atOnce:
			return false
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
	rest := c.answer(m, c.in[:n])
	sent, err := writeAtOnce(m.fd, c.out)
	switch {
	case err != nil:
		c.drop(m)
	case odd || len(rest) > 0 || sent < len(c.out):
		c.dismiss(m, rest, c.out[sent:])
	}
	if cap(c.out) > 2*longOut {
		c.out = nil
	}
}

// member returns the member with a descriptor, nil if there is none.
func (c *crowd) member(fd int) *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fd < len(c.members) {
		return c.members[fd]
	}
	return nil
}

// answer has the requests that in begins with answered in out, as far as that can be done at
// once, and returns what is behind them.
func (c *crowd) answer(m *member, in []byte) []byte {
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
		out, ok := config.Quick(r, c.out)
		if !ok {
			break
		}
		c.out, in = out, in[n:]
	}
	return in
}

// sweep closes the connections that have waited for too long, and sets when to look again.
func (c *crowd) sweep(now time.Time) {
	next := now.Add(c.loop.config.IdleTime)
	for fd := range c.count() {
		m := c.member(fd)
		if m == nil {
			continue
		}
		switch until := m.used.Add(c.loop.config.IdleTime); {
		case !now.Before(until):
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
	if !c.ended {
		_ = c.file.SetReadDeadline(next) // fails only once it is closed
	}
}

// count returns up to which descriptor there may be members.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members)
}
