// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

// The calls below do not tell Go's scheduler that they are on their way, so it does nothing about
// them. A thread of its own makes them, and what wants it to stop interrupts it with a signal.

// rawRead reads from a descriptor.
func rawRead(fd int, to []byte) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(to))), uintptr(len(to)))
		return n, errno
	})
}

// rawWrite writes to a descriptor.
func rawWrite(fd int, data []byte) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
		return n, errno
	})
}

// rawWait waits for events of an epoll, for so many milliseconds at most; below 0 is for ever.
func rawWait(epoll int, events []syscall.EpollEvent, ms int) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
			uintptr(len(events)), uintptr(ms), 0, 0)
		return n, errno
	})
}

// rawPut writes to a place of a file, and syncs its data.
func rawPut(fd int, data []byte, at int64) error {
	n, err := again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))),
			uintptr(len(data)), uintptr(at), 0, 0)
		return n, errno
	})
	if err == nil && n < len(data) {
		err = syscall.ENOSPC
	}
	if err != nil {
		return err
	}
	_, err = again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_FDATASYNC, uintptr(fd), 0, 0)
		return n, errno
	})
	return err
}

// again makes a call until no signal interrupts it. In between it lets Go stop this thread, which
// is why the signal was sent.
func again(call func() (uintptr, syscall.Errno)) (int, error) {
	for {
		switch n, errno := call(); errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			runtime.Gosched()
		default:
			return 0, errno
		}
	}
}
