// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"net"
	"os"
	"runtime"
	"syscall"
)

// join has a connection that waits for its next request go on in a crowd, and reports whether it
// does; rwc is of no use then, and to be closed. The connection keeps its socket, by another
// descriptor: of this one Go's epoll would tell for each request.
func (l *Loop) join(c *conn) bool {
	if !c.state.CompareAndSwap(idle, active) {
		return false
	}
	fd, err := duplicate(c.raw)
	if err != nil {
		return false
	}
	if !l.enter(&member{fd: fd, row: c.row, used: c.now}) {
		syscall.Close(fd)
		return false
	}
	return true
}

// duplicate returns another descriptor of a connection.
func duplicate(raw syscall.RawConn) (int, error) {
	fd, errno := -1, syscall.Errno(0)
	err := raw.Control(func(from uintptr) {
		var to uintptr
		if to, _, errno = syscall.Syscall(syscall.SYS_FCNTL, from, syscall.F_DUPFD_CLOEXEC, 0); errno == 0 {
			fd = int(to)
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return fd, err
}

// enter adds a member to the next of the crowds, of which there is one for each processor. It
// reports false if that cannot be.
func (l *Loop) enter(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending.Load() {
		return false
	}
	if l.crowds == nil {
		l.crowds = make([]*crowd, runtime.GOMAXPROCS(0))
	}
	i := l.joined % len(l.crowds)
	l.joined++
	if old := l.crowds[i]; old != nil && !old.isOver() {
		return old.add(m) // if not, it is there still and must be known here, to be ended
	}
	c, err := newCrowd(l, m)
	if err != nil {
		return false
	}
	l.crowds[i] = c
	l.running.Go(c.run)
	return true
}

// dismiss has a member be served by a goroutine of its own again. early is what was read of it
// and not answered, and unsent what is left to send; both are copied.
func (c *crowd) dismiss(m *member, early, unsent []byte) {
	c.remove(m)
	file := os.NewFile(uintptr(m.fd), "connection")
	rwc, err := net.FileConn(file)
	file.Close() // rwc has a descriptor of its own
	if err != nil {
		c.loop.config.Log.Error("a connection is closed", "err", err)
		return
	}
	if rwc.RemoteAddr() == nil { // it has been reset, and nobody can say any more who it was
		rwc.Close()
		return
	}
	again := &conn{loop: c.loop, rwc: rwc, fd: -1, later: true, need: min(2*m.row, longestRow)}
	if len(early) > 0 {
		again.acquire()
		again.end = copy(again.buf[:], early)
	}
	if len(early) > 0 || len(unsent) > 0 {
		again.unsent = append(again.unsent, unsent...)
		again.state.Store(active)
	}
	again.findRaw()
	c.loop.takeBack(again)
}

// takeBack serves a connection that a crowd has dismissed, which may be while the loop ends:
// what it has begun is brought to its end, unless that is by Close.
func (l *Loop) takeBack(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil { // Close may have looked before
		c.rwc.Close()
		c.release()
		return
	}
	l.start(c, l.config.IdleTime) // the goroutine of the crowd is there still, so Shutdown waits
}
