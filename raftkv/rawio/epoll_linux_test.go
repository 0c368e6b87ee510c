// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"syscall"
	"testing"
)

// TestReady: it tells of what there is, and does not wait for more.
func TestReady(t *testing.T) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(epoll)
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, pipe[0], &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: 7}); err != nil {
		t.Fatal(err)
	}
	events := make([]syscall.EpollEvent, 2)
	if n, err := Ready(epoll, events); n != 0 || err != nil {
		t.Errorf("%d events of nothing, %v", n, err)
	}
	if _, err := syscall.Write(pipe[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := Ready(epoll, events); n != 1 || err != nil || events[0].Events != syscall.EPOLLIN || events[0].Fd != 7 {
		t.Errorf("%d events, %v, %v", n, events, err)
	}
	if _, err := Ready(pipe[0], events); err != syscall.EINVAL {
		t.Errorf("of a pipe: %v", err)
	}
}
