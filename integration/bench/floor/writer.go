// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"syscall"
)

// A writer is the least that a server of small values can do: one thread reads what has come from
// all connections, writes it to a file of full size with one sync, and answers as etcd does. There
// is no log that could be read again, no checksum, and of a tree only a map.
type writer struct {
	epoll    int
	listener int
	events   [256]syscall.EpollEvent
	conns    []*conn // by descriptor
	disk     *disk
	group    *group // nil for a node alone
	table    table

	filling, flying *batch
	busy            bool   // flying is on its way
	out             []byte // an answer
}

// A conn is a connection and what has been read from it.
type conn struct {
	fd   int
	in   []byte // incomplete
	peer bool
}

// newWriter returns a writer that serves an address.
func newWriter(addr string, d *disk) (*writer, error) {
	w := &writer{disk: d, table: table{last: make(map[string]*kept)}, filling: new(batch), flying: new(batch)}
	var err error
	if w.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if w.listener, err = listen(addr); err != nil {
		return nil, err
	}
	return w, w.watch(w.listener)
}

// watch has epoll tell when there is something to read.
func (w *writer) watch(fd int) error {
	return syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// run serves for ever, unless something fails.
func (w *writer) run() error {
	runtime.LockOSThread()
	for {
		timeout := -1
		if !w.busy && w.filling.count > 0 {
			timeout = 0 // others may have come while these were read
		}
		n, err := rawWait(w.epoll, w.events[:], timeout)
		if err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range w.events[:n] {
			if err := w.ready(int(e.Fd)); err != nil {
				return err
			}
		}
		if n == 0 || w.busy || w.group.follows() {
			if err := w.step(); err != nil {
				return err
			}
		}
	}
}

// ready reads what a descriptor has.
func (w *writer) ready(fd int) error {
	switch {
	case fd == w.listener:
		_, err := w.accept(fd, false)
		return err
	case w.group.listens(fd):
		return w.acceptPeer(fd)
	}
	c := w.conns[fd]
	if c == nil {
		return nil
	}
	err := c.read()
	switch {
	case err != nil:
	case c.peer:
		err = w.frames(c)
	default:
		err = w.requests(c)
	}
	if err == io.EOF || err == syscall.ECONNRESET {
		w.conns[fd] = nil
		return syscall.Close(fd)
	}
	return err
}

// accept takes a connection.
func (w *writer) accept(listener int, peer bool) (*conn, error) {
	fd, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("accepting: %w", err)
	}
	c := &conn{fd: fd, peer: peer}
	if err := noDelay(fd); err != nil {
		return nil, err
	}
	return c, w.add(c)
}

func (w *writer) add(c *conn) error {
	for len(w.conns) <= c.fd {
		w.conns = append(w.conns, nil)
	}
	w.conns[c.fd] = c
	return w.watch(c.fd)
}

// read reads once. It is io.EOF if the other side has closed.
func (c *conn) read() error {
	if cap(c.in)-len(c.in) < 2048 {
		c.in = append(make([]byte, 0, 2*cap(c.in)+4096), c.in...)
	}
	n, err := rawRead(c.fd, c.in[len(c.in):cap(c.in)])
	switch {
	case err == syscall.EAGAIN:
		return nil
	case err == nil && n == 0:
		return io.EOF
	}
	c.in = c.in[:len(c.in)+max(n, 0)]
	return err
}

// requests takes the requests that are complete.
func (w *writer) requests(c *conn) error {
	used := 0
	for used < len(c.in) {
		n, key, value, err := parsePut(c.in[used:])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		used += n
		if key == nil {
			err = sendAll(c.fd, w.group.state())
		} else {
			w.filling.add(w.group.self(), c.fd, key, value)
		}
		if err != nil {
			return err
		}
	}
	c.in = c.in[:copy(c.in, c.in[used:])]
	return nil
}

// step goes on with the batch that is on its way, and begins with the next one.
func (w *writer) step() error {
	for {
		if w.busy {
			if !w.group.has() {
				return nil
			}
			w.busy = false
			if err := w.finish(w.flying); err != nil {
				return err
			}
		}
		if w.filling.count == 0 || !w.group.complete() {
			return nil
		}
		if err := w.begin(); err != nil {
			return err
		}
	}
}

// begin sends what has come to where it is to be kept.
func (w *writer) begin() error {
	w.flying, w.filling = w.filling, w.flying
	w.filling.reset()
	if w.group.follows() {
		err := w.group.forward(w.flying)
		w.flying.reset()
		return err
	}
	w.busy = true
	if err := w.group.send(w.flying); err != nil {
		return err
	}
	return w.disk.write(w.flying.data)
}

// finish applies a batch that is where it is to be kept, and answers the writes that came here.
func (w *writer) finish(b *batch) error {
	if err := w.group.tell(b); err != nil {
		return err
	}
	return b.each(func(origin byte, fd int, key, value []byte) error {
		w.out = w.table.set(w.out[:0], key, value)
		if origin != w.group.self() || w.conns[fd] == nil {
			return nil
		}
		if err := sendAll(fd, w.out); err != nil && err != syscall.EPIPE && err != syscall.ECONNRESET {
			return err
		}
		return nil
	})
}
