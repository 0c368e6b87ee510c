// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time, of user and system, that the program has used so far.
// It is the sum that /proc/PID/stat rounds to hundredths of a second.
func (p *Process) CPU() (time.Duration, error) { return CPU(p.PID()) }

// CPU returns the processor time of a process.
func CPU(pid int) (time.Duration, error) {
	const processClock = 2 // CPUCLOCK_SCHED of all threads, see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|processClock), &t); err != nil {
		return 0, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// Memory returns what the program has resident, and the most that it ever had, in bytes.
func (p *Process) Memory() (rss, peak int64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0, err
	}
	if rss, err = field(string(data), "VmRSS:"); err != nil {
		return 0, 0, err
	}
	peak, err = field(string(data), "VmHWM:")
	return rss, peak, err
}

// field returns a field of /proc/PID/status that is in kB, in bytes.
func field(status, name string) (int64, error) {
	_, rest, ok := strings.Cut(status, "\n"+name)
	if !ok {
		return 0, fmt.Errorf("no %s in the status of a process", name)
	}
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kB << 10, err
}
