// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// A conn is one end of a connection. All but host, local, remote, peer, in and out is
// guarded by the network's mu.
type conn struct {
	host          *Host
	local, remote address
	peer          *conn
	in, out       *stream

	closed                      bool
	err                         error // why it is broken
	readDeadline, writeDeadline time.Time
	waiting                     int
	wake                        chan struct{} // closed and replaced when something changes, if somebody waits
}

func newConn(h *Host, local, remote address) *conn {
	return &conn{host: h, local: local, remote: remote, wake: make(chan struct{})}
}

func (c *conn) wakeLocked() {
	if c.waiting > 0 {
		close(c.wake)
		c.wake = make(chan struct{})
		c.waiting = 0
	}
}

// waitLocked waits until something changes, or until a moment if one is given. It
// releases the lock meanwhile.
func (c *conn) waitLocked(until time.Time) {
	wake := c.wake
	c.waiting++
	c.host.net.mu.Unlock()
	defer c.host.net.mu.Lock()
	if until.IsZero() {
		<-wake
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-wake:
	case <-t.C:
	}
}

// usableLocked waits until the host is not frozen, and returns why the connection
// cannot be used, if so.
func (c *conn) usableLocked(deadline *time.Time) error {
	c.host.awakeLocked()
	now := time.Now()
	if c.in.reset && arrived(c.in.resetAt, now) {
		c.breakLocked(syscall.ECONNRESET)
	}
	switch {
	case c.closed:
		return net.ErrClosed
	case !deadline.IsZero() && !now.Before(*deadline):
		return os.ErrDeadlineExceeded
	}
	return c.err
}

// Read reads what has arrived, or waits for it.
func (c *conn) Read(b []byte) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	for {
		if err := c.usableLocked(&c.readDeadline); err != nil {
			return 0, c.error("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		n, end := c.in.take(b)
		if n > 0 {
			c.peer.wakeLocked() // there is room again
			return n, nil
		}
		if end {
			return 0, io.EOF
		}
		c.waitLocked(first(c.readDeadline, c.in.next()))
	}
}

// Write returns when the bytes are on their way, or in a buffer.
func (c *conn) Write(b []byte) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	done := 0
	for {
		if err := c.usableLocked(&c.writeDeadline); err != nil {
			return done, c.error("write", err)
		}
		if done == len(b) {
			return done, nil
		}
		n := min(len(b)-done, window-c.out.size)
		if n == 0 {
			c.waitLocked(first(c.writeDeadline, c.in.resetAt))
			continue
		}
		c.host.net.sendLocked(c.out, packet{data: append([]byte(nil), b[done:done+n]...)})
		if done += n; done == len(b) {
			return done, nil
		}
	}
}

// Close ends the connection: the other end reads what was written, and then the end.
func (c *conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	c.host.awakeLocked()
	if c.closed {
		return c.error("close", net.ErrClosed)
	}
	c.closeLocked()
	return nil
}

func (c *conn) closeLocked() {
	n := c.host.net
	if c.err == nil {
		n.sendLocked(c.out, packet{fin: true})
		if c.in.size > 0 {
			n.resetLocked(c.out) // what was sent here is not wanted
		}
	}
	c.closed = true
	c.out.calm()
	delete(n.conns, c)
	delete(n.resets, c)
	c.wakeLocked()
}

// breakLocked makes the connection unusable at this end.
func (c *conn) breakLocked(err error) {
	if c.err == nil && !c.closed {
		c.err = err
		c.out.calm()
		c.wakeLocked()
	}
}

// gone reports whether nobody reads at this end any more.
func (c *conn) gone() bool { return c.closed || c.err != nil }

// LocalAddr returns the address of this end.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return c.set(func() { c.readDeadline, c.writeDeadline = t, t })
}

// SetReadDeadline sets when Read gives up; zero is never.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.set(func() { c.readDeadline = t })
}

// SetWriteDeadline sets when Write gives up; zero is never.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.set(func() { c.writeDeadline = t })
}

func (c *conn) set(f func()) error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return c.error("set", net.ErrClosed)
	}
	f()
	c.wakeLocked()
	return nil
}

func (c *conn) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// first returns the earlier of two moments, of which zero is never.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// arrived reports whether something that arrives at a moment, zero being never, is there.
func arrived(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
