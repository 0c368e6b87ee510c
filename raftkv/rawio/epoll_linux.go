// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"syscall"
	"unsafe"
)

// Ready puts the events of an epoll that there are into events, which is not empty, and
// returns how many these are. It does not wait.
func Ready(epoll int, events []syscall.EpollEvent) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
