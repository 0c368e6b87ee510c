// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"syscall"
	"time"
)

// A member is a connection of a crowd, which owns it.
type member struct {
	crowd *crowd
	fd    int
	row   int       // as that of a conn
	used  time.Time // when it had its last request

	// Owned by the goroutine of the crowd.
	open   bool   // a request is begun, and nothing is read before it is answered
	missed uint32 // what epoll has told of meanwhile

	answer Answer // guarded by crowd.begun.mu until it is taken
}

// add adds a member. It reports false if that cannot be.
func (c *crowd) add(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, m.fd, &syscall.EpollEvent{Events: watched, Fd: int32(m.fd)}) != nil {
		return false
	}
	for len(c.members) <= m.fd {
		c.members = append(c.members, nil)
	}
	c.members[m.fd], m.crowd = m, c
	c.size++
	c.loop.members.Add(1)
	return true
}

// remove takes out a member, whose descriptor is the caller's then. It reports false if that
// has been done.
func (c *crowd) remove(m *member) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members[m.fd] != m {
		return false
	}
	c.members[m.fd] = nil
	c.size--
	c.loop.members.Add(-1)
	// It can fail only if it was not there, and then there is nothing to be told of.
	_ = syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_DEL, m.fd, nil)
	return true
}

// drop closes the connection of a member.
func (c *crowd) drop(m *member) {
	if c.remove(m) {
		syscall.Close(m.fd)
	}
}

// member returns the member with a descriptor, nil if there is none.
func (c *crowd) member(fd int) *member {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fd < len(c.members) {
		return c.members[fd]
	}
	return nil
}

// count returns up to which descriptor there may be members.
func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members)
}
