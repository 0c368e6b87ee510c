// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package client

import (
	"syscall"
	"unsafe"
)

// readNow is syscall.Read for a descriptor that does not block, and a buffer that is not
// empty. It does not tell Go's scheduler: the call is over in microseconds, and to prepare
// for one that may wait costs a wake-up of the thread that watches over such calls, whenever
// the process has been idle, as it is before each event of a watch.
func readNow(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
