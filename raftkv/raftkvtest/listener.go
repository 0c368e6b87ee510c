// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import "net"

// A listener is an address that somebody listens at.
type listener struct {
	host *Host
	addr address

	// Guarded by the network's mu.
	waiting []*conn
	closed  bool
	wake    chan struct{} // closed and replaced when something changes
}

func (l *listener) wakeLocked() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// Accept returns the next connection. When the host has ended it waits for Close.
func (l *listener) Accept() (net.Conn, error) {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	for {
		l.host.awakeLocked()
		if l.closed {
			return nil, l.error("accept", net.ErrClosed)
		}
		if len(l.waiting) > 0 && !l.host.dead {
			c := l.waiting[0]
			l.waiting = l.waiting[1:]
			return c, nil
		}
		wake := l.wake
		l.host.net.mu.Unlock()
		<-wake
		l.host.net.mu.Lock()
	}
}

// Close ends Accept, and resets the connections that nobody has accepted.
func (l *listener) Close() error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return l.error("close", net.ErrClosed)
	}
	l.closed = true
	if l.host.net.ports[string(l.addr)] == l {
		delete(l.host.net.ports, string(l.addr))
	}
	for _, c := range l.waiting {
		l.host.net.resetLocked(c.out)
		c.closeLocked()
	}
	l.wakeLocked()
	return nil
}

// Addr returns the address.
func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) error(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.addr, Err: err}
}
