// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The states of a connection: it waits for a request, has one, or Shutdown has closed it.
const (
	idle = iota
	active
	ended
)

// A conn is a connection. Its goroutine owns everything but state, rwc and what mu guards.
type conn struct {
	loop  *Loop
	rwc   net.Conn
	state atomic.Int32 // active while an answer is open

	buf        *buffer // nil while there is nothing in it
	body       *body   // that of a request which is long; nil if it is not
	start, end int     // what has been read and not consumed
	req        Request
	later      bool // there was a request before that

	readBy, writeBy time.Time // the deadlines; writeBy is whose the answer is
	writeErr        error     // that of the first write that failed

	// Of a connection that can be read by its descriptor; see raw.go.
	raw     syscall.RawConn
	tryRead func(fd uintptr) bool // serveRaw, once it was looked for
	now     time.Time             // of what was done last, about
	unsure  bool                  // there may be something to read that nobody will tell of
	over    bool                  // the answer was the last
	fd      int                   // while serveRaw is called, else -1

	row    int    // so many quick requests were the last; see crowd.go
	need   int    // so many it takes to join a crowd, at least
	joins  bool   // it wants to
	unsent []byte // what is to be sent before anything else
	begun  Answer // and what is to be made for that; nil if nothing

	open bool // the last answer was left open, and its end was not noticed; see late.go

	mu    sync.Mutex // held while the end of an answer is sent
	late  Late       // guarded by mu: what is open; nil if nothing
	last  bool       // guarded by mu: the connection ends with it
	since time.Time  // guarded by mu: when the last one has ended
}

// RemoteAddr returns the address of the client.
func (c *conn) RemoteAddr() net.Addr { return c.rwc.RemoteAddr() }

// Close closes the connection, which may have to wait for the handler.
func (c *conn) Close() { c.rwc.Close() }

// serve answers requests until the connection ends or is handed over. The first is waited for
// so long.
func (c *conn) serve(wait time.Duration) {
	given := false
	defer func() {
		if p := recover(); p != nil {
			c.loop.config.Log.Error("a request made the server panic", "err", p, "stack", string(debug.Stack()))
		}
		if !given {
			c.rwc.Close()
		}
		c.abandon()
		c.release()
		c.loop.remove(c)
	}()
	if !c.sendFirst() {
		return
	}
	for ; c.await(wait); wait = c.loop.config.IdleTime {
		switch c.answer() {
		case handOver:
			given = c.handOver()
			return
		case taken:
			given = true
			return
		case hangUp:
			return
		}
	}
}

// sendFirst sends what a crowd has left to be sent, and reports whether the connection goes on.
func (c *conn) sendFirst() bool {
	if c.begun != nil {
		c.req = c.loop.noRequest()
		c.unsent = c.begun.Append(&c.req, nil)
		c.begun = nil
	}
	if len(c.unsent) > 0 {
		if _, err := c.Write(c.unsent); err != nil {
			return false
		}
		c.unsent = nil
	}
	return !c.req.Close
}

// noRequest returns what Answer.Append needs to know of one.
func (l *Loop) noRequest() Request {
	now := time.Now()
	return Request{Began: now, Close: l.ending.Load(), date: l.dates.at(now)}
}

// A fate is what becomes of a connection after a request.
type fate uint8

const (
	keep fate = iota
	handOver
	taken // by who is to end the answer
	hangUp
)

// answer answers the request whose beginning has been read, if there is one. If the answer to
// the one before is open it must end first.
func (c *conn) answer() fate {
	if c.open {
		if f := c.giveAway(); f != keep || c.start == c.end {
			return f
		}
	}
	n, v := c.req.parse(c.buf[c.start:c.end])
	for first := true; v == more || v == strange && c.unseen(); n, v = c.req.parse(c.buf[c.start:c.end]) {
		if c.start > 0 {
			c.end = copy(c.buf[:], c.buf[c.start:c.end])
			c.start = 0
		}
		if c.end == len(c.buf) {
			return handOver
		}
		if first {
			c.readUntil(time.Now().Add(c.loop.config.HeaderTime))
			first = false
		}
		if f := c.readMore(); f != keep {
			return f
		}
	}
	if v == strange || !c.loop.config.Handler.Takes(&c.req) {
		return handOver
	}
	c.readBody(n)
	return c.run()
}

// unseen reports whether net/http would not have looked at what there is: it waits for four
// bytes of each request but the first.
func (c *conn) unseen() bool { return c.later && c.end-c.start < 4 }

// run has the handler answer the request.
func (c *conn) run() fate {
	r := &c.req
	r.Began = time.Now()
	c.now = r.Began
	r.date = c.loop.dates.at(r.Began)
	r.Close = r.Close || c.loop.ending.Load()
	c.loop.config.Handler.Serve(c.loop.ctx, r, c)
	c.releaseBody()
	c.count()
	// After an open answer, as net/http, which is given the connection anew then.
	c.later = !c.open
	if c.open {
		return keep // whoever ends it knows what is to become of the connection
	}
	if r.Close || r.BodyErr != nil || c.writeErr != nil {
		return hangUp
	}
	return keep
}

// readMore reads the next part of a head.
func (c *conn) readMore() fate {
	n, err := c.rwc.Read(c.buf[c.end:])
	c.end += n
	switch {
	case n > 0 || err == nil:
		return keep
	case err == io.EOF && !c.unseen():
		return handOver // it has an answer to half a request
	}
	return hangUp
}

// handOver gives the connection to the other server. It reports whether that took it.
func (c *conn) handOver() bool {
	if c.rwc.SetDeadline(time.Time{}) != nil {
		return false
	}
	return c.loop.config.HandOver(c.rwc, bytes.Clone(c.buf[c.start:c.end]))
}

// Write writes to the client, which takes it in StallTime or is given up.
func (c *conn) Write(b []byte) (int, error) {
	if c.now = c.req.Ready; c.now.IsZero() {
		c.now = time.Now()
	}
	c.req.Ready = time.Time{} // it is later when there is another part
	if c.writeErr == nil && c.loop.ctx.Err() != nil {
		c.writeErr = net.ErrClosed // Close was called, and will get to this one
	}
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	n := c.writeRaw(b)
	if n < len(b) && c.writeErr == nil {
		c.writeWithin(c.loop.config.StallTime)
	}
	if n < len(b) && c.writeErr == nil {
		var rest int
		rest, c.writeErr = c.rwc.Write(b[n:])
		n += rest
	}
	return n, c.writeErr
}

// await waits until a request begins that answer has to see, for d at most. It reports
// whether one does. Others are answered meanwhile.
func (c *conn) await(d time.Duration) bool {
	if c.start < c.end || c.open && c.raw == nil {
		return true // it came with the one before, or this cannot wait
	}
	if c.raw != nil {
		return c.awaitRaw(d)
	}
	c.readWithin(d, time.Now())
	if !c.rest() {
		return false
	}
	c.acquire()
	for err := error(nil); c.end == 0 && err == nil; {
		c.end, err = c.rwc.Read(c.buf[:])
	}
	c.findRaw()
	return c.state.CompareAndSwap(idle, active) && c.end > 0
}

// rest marks the connection as one that has nothing to do. It reports false if it is to
// end.
func (c *conn) rest() bool {
	c.start, c.end = 0, 0
	c.state.Store(idle)
	return !c.loop.ending.Load() // Shutdown may have looked before
}

// closeIdle closes the connection if it waits for a request, and reports whether it did. It
// may be called by any goroutine.
func (c *conn) closeIdle() bool {
	if !c.state.CompareAndSwap(idle, ended) {
		return false
	}
	c.rwc.Close()
	return true
}

// acquire makes sure that there is a buffer.
func (c *conn) acquire() {
	if c.buf == nil {
		c.buf = c.loop.buffers.Get().(*buffer)
	}
}

// release gives the buffer back.
func (c *conn) release() {
	if c.buf != nil {
		c.loop.buffers.Put(c.buf)
		c.buf = nil
	}
}
