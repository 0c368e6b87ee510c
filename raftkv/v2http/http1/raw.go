// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"os"
	"syscall"
	"time"

	"confd/raftkv/rawio"
)

// probeTime is after what time of waiting a connection is read from once more, though
// nothing has come. It may be a little later, by slack.
const probeTime = time.Second

// findRaw finds out whether the connection can be read by its descriptor.
func (c *conn) findRaw() {
	sc, ok := c.rwc.(syscall.Conn)
	if !ok || c.tryRead != nil {
		return
	}
	c.tryRead = c.serveRaw
	if raw, err := sc.SyscallConn(); err == nil {
		c.raw = raw
	}
}

// awaitRaw is await for a connection that can be read by its descriptor.
func (c *conn) awaitRaw(d time.Duration) bool {
	for c.idleRaw(time.Now()) {
		err := c.raw.Read(c.tryRead)
		for errors.Is(err, os.ErrDeadlineExceeded) && c.waitOn(time.Now(), d) {
			err = c.raw.Read(c.tryRead)
		}
		if !c.joins {
			return c.start < c.end && !c.over
		}
		if c.joins = false; c.loop.join(c) {
			return false
		}
		c.row, c.need = 0, longestRow // it may be out of descriptors
	}
	return false
}

// waitOn sets the next deadline of a connection that waits, when one has come. It reports
// false if that was the last.
func (c *conn) waitOn(now time.Time, d time.Duration) bool {
	if c.unsure {
		c.unsure = false
		c.readUntil(now.Add(d - probeTime))
		return true
	}
	if !c.open {
		return false
	}
	c.mu.Lock()
	since := c.since
	if c.late != nil {
		since = now
	}
	c.mu.Unlock()
	// It may have been set before the answer has ended, but not much later.
	until := since.Add(d)
	if !now.Before(until) {
		return false
	}
	c.readUntil(until)
	return true
}

// idleRaw makes the connection wait for its next request. It reports false if it is to end.
// While an answer is open it is not marked as one that Shutdown may close.
func (c *conn) idleRaw(now time.Time) bool {
	if c.open {
		c.unsure = false // serveRaw reads once more before it waits
		c.readWithin(c.loop.config.IdleTime, now)
		c.start, c.end = 0, 0
		return true
	}
	c.unsure = c.loop.config.IdleTime > probeTime
	c.readWithin(min(c.loop.config.IdleTime, probeTime), now)
	return c.rest()
}

// serveRaw reads what is there and answers it, if these are whole requests, and reports
// false: call it again when something has come. While it waits it holds no buffer. With
// true there is something for answer, or the connection is to end or joins a crowd.
//
// It is called by RawConn.Read alone, over and over, so that a request costs one read and
// one write: the usual read that finds nothing, before waiting, is not needed. As of Go
// 1.26, RawRead of internal/poll forgets that the descriptor was ready once, before the
// first call. After that, and after each wake, epoll tells of everything that comes, since
// it is edge-triggered, and pollDesc keeps that as pdReady until the next wait, which then
// does not wait. So whatever comes after the read below makes another call, and what has
// come before it was read by it, if it has not filled the buffer.
//
// With two exceptions, which a probe after probeTime finds: the end of what a client sends,
// if that comes together with a request which is not its first, and what follows urgent
// data. While an answer is open, which is seldom soon over, another read finds them at once.
//
// RawConn.Read holds the lock for reading, and Close of the connection waits until it
// returns. So nothing here may read from the connection, close it or hand it over.
func (c *conn) serveRaw(fd uintptr) bool {
	c.acquire()
	c.fd = int(fd)
	defer func() { c.fd = -1 }()
	for {
		n, err := rawio.Read(c.fd, c.buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.release()
			return false
		case c.open && !c.noticeEnd():
			c.end = max(n, 0) // for who is to end the answer, if it is not the client's end
			return true
		case n <= 0 || !c.state.CompareAndSwap(idle, active):
			return true
		}
		c.end = n
		if !c.answerWhole() || !c.idleRaw(c.now) {
			return true
		}
		if n < len(c.buf) && !c.open {
			c.release()
			c.joins = c.wantsCrowd()
			return c.joins
		}
	}
}

// writeRaw writes what the socket takes at once of b, if this is called below serveRaw, and
// returns how much that is.
func (c *conn) writeRaw(b []byte) (sent int) {
	if c.fd >= 0 {
		sent, c.writeErr = writeAtOnce(c.fd, b)
	}
	return sent
}

// writeAtOnce writes what the socket takes at once of b, and returns how much that is.
func writeAtOnce(fd int, b []byte) (sent int, err error) {
	for sent < len(b) {
		n, err := rawio.Write(fd, b[sent:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return sent, nil
		case err != nil:
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

// answerWhole answers the requests that have been read. It reports false if there is one
// that is not all there or not for the loop or behind an open answer, or the connection is to
// end.
func (c *conn) answerWhole() bool {
	for c.start < c.end {
		if c.open {
			return false
		}
		n, v := c.req.parse(c.buf[c.start:c.end])
		if v != clean || c.end-c.start-n < c.req.Length || !c.loop.config.Handler.Takes(&c.req) {
			return false
		}
		c.readBody(n)
		if c.run() == hangUp {
			c.over = true
			return false
		}
	}
	return true
}
