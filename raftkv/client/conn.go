// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"io"
	"net"
	"syscall"
	"time"

	"confd/raftkv/rawio"
)

// A conn gives up a write that makes no progress, as when the server has stopped reading a
// large value, and reads without a word to Go's scheduler (see rawio).
type conn struct {
	net.Conn
	raw     syscall.RawConn // nil = it has no descriptor
	timeout time.Duration
}

func newConn(c net.Conn, timeout time.Duration) *conn {
	own := &conn{Conn: c, timeout: timeout}
	if sys, ok := c.(syscall.Conn); ok {
		if raw, err := sys.SyscallConn(); err == nil {
			own.raw = raw
		}
	}
	return own
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *conn) Read(p []byte) (n int, err error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	ended := c.raw.Read(func(fd uintptr) bool {
		for {
			if n, err = rawio.Read(int(fd), p); err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
	})
	switch {
	case ended != nil: // closed, or past its deadline
		return 0, ended
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
