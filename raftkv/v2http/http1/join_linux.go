// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"net"
	"os"
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
	fd, failed := -1, error(nil)
	err := raw.Control(func(from uintptr) { fd, failed = duplicateFD(int(from)) })
	if err == nil {
		err = failed
	}
	return fd, err
}

// duplicateFD returns another descriptor of what fd is one of, -1 with an error.
func duplicateFD(fd int) (int, error) {
	to, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(to), nil
}

// enter adds a member to the next of the crowds. It reports false if that cannot be.
func (l *Loop) enter(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending.Load() {
		return false
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

// newCrowd returns a crowd of one member. The caller has it run.
func newCrowd(l *Loop, m *member) (*crowd, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or Go's epoll would not have it
		syscall.Close(fd)
		return nil, err
	}
	c := &crowd{loop: l, file: os.NewFile(uintptr(fd), "epoll"), epoll: fd, begun: begun{wake: -1}}
	if c.spare, err = duplicateFD(fd); err == nil {
		c.raw, err = c.file.SyscallConn()
	}
	if err == nil {
		err = c.begun.init(fd)
	}
	if err == nil {
		err = c.file.SetReadDeadline(m.used.Add(l.config.IdleTime))
	}
	if err == nil && !c.add(m) {
		err = syscall.EINVAL
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// close closes what the crowd has of its own.
func (c *crowd) close() {
	syscall.Close(c.spare)
	c.begun.close()
	c.file.Close()
}

// dismiss has a member be served by a goroutine of its own again, which first sends its answer if
// there is one. early is what was read of it and not answered, and unsent what is left to send; both
// are copied.
func (c *crowd) dismiss(m *member, early, unsent []byte) {
	c.remove(m)
	rwc, err := c.open(m.fd)
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
	if len(early) > 0 || len(unsent) > 0 || m.answer != nil {
		again.unsent, again.begun = append(again.unsent, unsent...), m.answer
		again.state.Store(active)
	}
	again.findRaw()
	c.loop.takeBack(again)
}

// open returns the connection of a descriptor, which is closed. For a moment it takes one more. If
// there is none left it takes the spare one, so that who is in a crowd does not lose by that.
func (c *crowd) open(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "connection")
	rwc, err := net.FileConn(file)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		syscall.Close(c.spare)
		rwc, err = net.FileConn(file)
		file.Close()
		c.spare, _ = duplicateFD(c.epoll) // -1 if somebody else was faster
		return rwc, err
	}
	file.Close()
	return rwc, err
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
