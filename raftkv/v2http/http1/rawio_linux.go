// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package http1

import (
	"syscall"
	"unsafe"
)

// readNow and writeNow are syscall.Read and syscall.Write for a descriptor that does not
// block, and a buffer that is not empty. They do not tell Go's scheduler: a call is over in
// microseconds, and to prepare for one that may wait costs a wake-up of the thread that
// watches over such calls, whenever the process has been idle.

func readNow(fd int, b []byte) (int, error) { return now(syscall.SYS_READ, fd, b) }

func writeNow(fd int, b []byte) (int, error) { return now(syscall.SYS_WRITE, fd, b) }

func now(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
