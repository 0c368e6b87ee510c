// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"os"
	"runtime"

	"syscall"
)

// A Turnstile lets those go first who wait for something that has come: Go looks at its sockets
// only when there is nothing to run, so on one processor a goroutine that goes on and on, and has
// the system do what takes long in between, may leave hundreds of them unread.
type Turnstile struct {
	event *os.File // an eventfd
	raw   syscall.RawConn
}

// NewTurnstile returns a turnstile. The caller closes it.
func NewTurnstile() (*Turnstile, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	t := &Turnstile{event: os.NewFile(fd, "eventfd")}
	var err error
	if t.raw, err = t.event.SyscallConn(); err != nil {
		t.event.Close()
		return nil, err
	}
	return t, nil
}

// Pass returns when Go has looked at its sockets, and the goroutines that had something there
// have run: most of them, and no more than 127, as it looks for 128 at once. It is for one
// goroutine at a time, and of a nil turnstile it does nothing.
func (t *Turnstile) Pass() {
	if t == nil {
		return
	}
	var one = [8]byte{1} // a number in the order of the machine; any will do
	asked := false
	// An error is that the turnstile is closed.
	_ = t.raw.Read(func(fd uintptr) bool {
		if !asked {
			asked = true
			_, err := Write(int(fd), one[:])
			return err != nil
		}
		_, err := Read(int(fd), one[:])
		return err != syscall.EAGAIN
	})
	for range 3 {
		runtime.Gosched() // it may have been the first that was woken, and is taken before it is due once in 61 times
	}
}

// Close has who is in Pass return.
func (t *Turnstile) Close() error {
	if t == nil {
		return nil
	}
	return t.event.Close()
}
