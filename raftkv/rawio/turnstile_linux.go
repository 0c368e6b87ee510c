// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package rawio

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// A Turnstile lets those go first who wait for something that has come: Go looks at its sockets
// only when there is nothing to run, so on one processor a goroutine that goes on and on, and has
// the system do what takes long in between, may leave hundreds of them unread.
type Turnstile struct {
	event *os.File // an eventfd
	raw   syscall.RawConn
	slow  bool      // the last pass took longer than passTime
	rest  time.Time // until then Pass does nothing
}

// A pass in which this process computes for longer than passTime has waited for those who do nothing
// else, and each further one would: they have the processors for 10 ms at a time, by turns, and Go
// looks at its sockets as rarely. So after two of them the turnstile rests for restTimes as long as the
// last took. One that took long because the machine did not let the process run does not count.
const (
	passTime  = 15 * time.Millisecond
	restTimes = 10
)

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
// goroutine at a time, and of a nil turnstile it does nothing. Neither does it for a while after one
// that took long because the processors are busy with what does not wait.
func (t *Turnstile) Pass() {
	if t == nil {
		return
	}
	start := time.Now()
	if start.Before(t.rest) {
		return
	}
	var computed time.Duration
	if t.slow { // it takes 1 to 3 µs to ask
		computed = cpuTime()
	}
	t.pass()
	took := time.Since(start)
	if t.slow && took > passTime && cpuTime()-computed > passTime {
		t.rest = start.Add((1 + restTimes) * took)
	}
	t.slow = took > passTime
}

// cpuTime returns how long this process has computed, 0 if that is not known.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func (t *Turnstile) pass() {
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
