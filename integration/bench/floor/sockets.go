// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listen returns a socket that listens at an address of IPv4 and does not block.
func listen(addr string) (int, error) {
	fd, to, err := socket(addr)
	if err != nil {
		return -1, err
	}
	err = errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, to), syscall.Listen(fd, 1024), syscall.SetNonblock(fd, true))
	if err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("listening at %s: %w", addr, err)
	}
	return fd, nil
}

// dial connects to an address, and tries for 10 s.
func dial(addr string) (int, error) {
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		fd, to, err := socket(addr)
		if err != nil {
			return -1, err
		}
		if err = syscall.Connect(fd, to); err == nil {
			return fd, noDelay(fd)
		}
		syscall.Close(fd)
		if time.Since(start) > 10*time.Second {
			return -1, fmt.Errorf("connecting to %s: %w", addr, err)
		}
	}
}

func socket(addr string) (int, *syscall.SockaddrInet4, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return -1, nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	return fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}, err
}

// noDelay sets what is to be set for a connection.
func noDelay(fd int) error {
	return errors.Join(syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1), syscall.SetNonblock(fd, true))
}

// sendAll writes all of data to a socket, and waits until it has room.
func sendAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := rawWrite(fd, data)
		switch err {
		case nil:
			data = data[n:]
		case syscall.EAGAIN:
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1); err != nil && err != syscall.EINTR {
				return err
			}
		default:
			return err
		}
	}
	return nil
}
