// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// maxAtOnce is the largest write, in bytes, of which the scheduler is not told. A larger one
// takes long enough.
const maxAtOnce = 64 << 10

// A conn reads and writes by the descriptor of a connection.
type conn struct {
	*net.TCPConn
	raw syscall.RawConn

	reading sync.Mutex
	readFD  func(fd uintptr) bool
	in      []byte // what is read to
	read    int
	readErr error

	writing  sync.Mutex
	writeFD  func(fd uintptr) bool
	out      []byte // what is left to write
	writeErr error
}

// Conn returns a connection that does the same as c, or c itself, if that is not TCP.
func Conn(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	r := &conn{TCPConn: tcp, raw: raw}
	r.readFD, r.writeFD = r.tryRead, r.tryWrite
	return r
}

// Read reads what has come, as net.Conn says.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return c.TCPConn.Read(b)
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.in = b
	err := c.raw.Read(c.readFD)
	c.in = nil
	switch {
	case err != nil:
		return 0, err
	case c.readErr != nil:
		return 0, c.failed("read", c.readErr)
	case c.read == 0:
		return 0, io.EOF
	}
	return c.read, nil
}

// tryRead reports false if there is nothing to read yet.
func (c *conn) tryRead(fd uintptr) bool {
	for {
		c.read, c.readErr = Read(int(fd), c.in)
		if c.readErr != syscall.EINTR {
			return c.readErr != syscall.EAGAIN
		}
	}
}

// Write writes all of b, as net.Conn says.
func (c *conn) Write(b []byte) (int, error) {
	if len(b) == 0 || len(b) > maxAtOnce {
		return c.TCPConn.Write(b)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.out = b
	err := c.raw.Write(c.writeFD)
	n := len(b) - len(c.out)
	c.out = nil
	if err == nil && c.writeErr != nil {
		err = c.failed("write", c.writeErr)
	}
	return n, err
}

// tryWrite reports false if the socket takes no more yet.
func (c *conn) tryWrite(fd uintptr) bool {
	for c.writeErr = nil; len(c.out) > 0; {
		n, err := Write(int(fd), c.out)
		switch err {
		case nil:
			c.out = c.out[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.writeErr = err
			return true
		}
	}
	return true
}

// failed returns the error of a call of the system as package net does.
func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}
