// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"encoding/binary"
	"os"
	"runtime/debug"
	"sync"
	"syscall"

	"confd/raftkv/rawio"
)

// begun is the answers of a crowd that have come to requests which it has begun.
type begun struct {
	wake   int       // an eventfd that the crowd's epoll watches, or -1
	taking []*member // owned by the crowd's goroutine

	mu     sync.Mutex // held while the goroutine is woken
	filled []*member  // guarded by mu: whose answers are there
	parked bool       // guarded by mu: the goroutine waits, and has to be woken
}

// init has the crowd be woken by an event of its epoll.
func (b *begun) init(epoll int) error {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("eventfd2", errno)
	}
	b.wake = int(fd)
	return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, b.wake, &syscall.EpollEvent{Events: syscall.EPOLLIN | edgeTriggered, Fd: int32(b.wake)})
}

// close ends that. An answer that comes later wakes nobody: by then somebody else may have the
// descriptor.
func (b *begun) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parked = false
	syscall.Close(b.wake)
}

// Fill is Slot's. A member has one request at a time.
func (m *member) Fill(a Answer) {
	b := &m.crowd.begun
	b.mu.Lock()
	defer b.mu.Unlock()
	m.answer = a
	b.filled = append(b.filled, m)
	if b.parked {
		b.parked = false
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		// Nobody reads it, as each write is an edge for epoll. So it fails, but not before it has been
		// written 2^64 times.
		_, _ = rawio.Write(b.wake, one[:])
	}
}

// park notes that the goroutine waits from now on, unless there are answers to send.
func (b *begun) park() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parked = len(b.filled) == 0
	return b.parked
}

// take returns the members whose answers are there.
func (b *begun) take() []*member {
	clear(b.taking)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taking, b.filled, b.parked = b.filled, b.taking[:0], false
	return b.taking
}

// begin begins to answer the request of a member, with that body.
func (c *crowd) begin(m *member, body []byte) {
	c.req.Body = body
	if c.loop.config.Begin(&c.req, m) {
		m.open = true
		c.busy++
	}
}

// finish sends the answers that have come, and returns how many there were.
func (c *crowd) finish() int {
	all := c.take()
	for _, m := range all {
		if m.open { // else Begin has panicked
			m.open = false
			c.busy--
			c.conclude(m)
		}
	}
	return len(all)
}

// conclude sends the answer of a member, and goes on with what has come from it meanwhile.
func (c *crowd) conclude(m *member) {
	defer func() {
		if p := recover(); p != nil {
			c.loop.config.Log.Error("an answer made the server panic", "err", p, "stack", string(debug.Stack()))
			c.drop(m)
		}
	}()
	if m.answer.Long() {
		c.dismiss(m, nil, nil)
		return
	}
	answer, missed := m.answer, m.missed
	m.answer, m.missed = nil, 0
	r := &c.req
	*r = c.loop.noRequest()
	m.used = r.Began
	c.out = answer.Append(r, c.out[:0])
	sent, err := writeAtOnce(m.fd, c.out)
	switch {
	case err != nil, r.Close && sent == len(c.out):
		c.drop(m)
	case sent < len(c.out):
		c.dismiss(m, nil, c.out[sent:])
	case missed != 0:
		c.serve(&syscall.EpollEvent{Events: missed, Fd: int32(m.fd)})
	}
	c.trim()
}
