// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package rawio

import (
	"syscall"
	"unsafe"
)

// Read is syscall.Read; see the package comment.
func Read(fd int, b []byte) (int, error) { return now(syscall.SYS_READ, fd, b) }

// Write is syscall.Write; see the package comment.
func Write(fd int, b []byte) (int, error) { return now(syscall.SYS_WRITE, fd, b) }

func now(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
