// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package freeport keeps loopback ports for the servers of tests.
//
// A port that was merely free a moment ago may be gone when a server wants it, above all when
// the server is started again: the kernel gives it to any outgoing connection meanwhile. So
// each port stays bound to a socket that does not listen. With SO_REUSEADDR, which Go, nginx
// and haproxy set on what they listen on, a server may bind it all the same, and nobody else
// is given it.
package freeport

import (
	"fmt"
	"os"
	"syscall"
)

// TB is what Addr needs of a testing.TB.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Addr returns an address of the loopback interface that is kept until the test ends.
func Addr(t TB) string {
	t.Helper()
	addrs, release, err := Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addrs[0]
}

// Addrs returns n addresses of the loopback interface that nobody listens on, kept until
// release is called. A connection to one is refused until then, unless a server listens.
func Addrs(n int) (addrs []string, release func(), err error) {
	var fds []int
	release = func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			release()
			return nil, nil, os.NewSyscallError("socket", err)
		}
		fds = append(fds, fd)
		port, err := bind(fd)
		if err != nil {
			release()
			return nil, nil, err
		}
		addrs = append(addrs, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return addrs, release, nil
}

// bind binds the socket to a port that was free, which it returns.
func bind(fd int) (port int, err error) {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return name.(*syscall.SockaddrInet4).Port, nil
}
