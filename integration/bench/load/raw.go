// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"syscall"
	"unsafe"
)

// The calls below do not tell Go's scheduler that they are on their way. It would have a thread
// look at them again and again as long as nothing comes, which takes time from the server that
// is measured. The connections have a thread of their own, and what wants it to stop (the
// collector) interrupts it with a signal, so that epoll answers EINTR.

// rawRead reads from a socket that does not block.
func rawRead(fd int, to []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(to))), uintptr(len(to)))
	return rawResult(n, errno)
}

// rawWrite writes to a socket that does not block.
func rawWrite(fd int, data []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)))
	return rawResult(n, errno)
}

// rawWait waits for events of an epoll, for so many milliseconds at most.
func rawWait(epoll int, events []syscall.EpollEvent, ms int) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), uintptr(ms), 0, 0)
	return rawResult(n, errno)
}

func rawResult(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
