// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A signalHook sends a signal to the process whose number is in a file.
type signalHook struct {
	signal  syscall.Signal
	pidFile string
}

// signalByName returns the signal of a name, with or without SIG; 0 if it is none that
// a program can take as a wish.
func signalByName(name string) syscall.Signal {
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	sig := unix.SignalNum(name)
	if sig == unix.SIGKILL || sig == unix.SIGSTOP {
		return 0
	}
	return sig
}

func (h *signalHook) id() string { return "signal " + h.String() }

func (h *signalHook) String() string {
	return fmt.Sprintf("%s to the process in %s", unix.SignalName(h.signal), h.pidFile)
}

// errNotRunning is the success of a reload that has found nothing to reload, and has said so.
var errNotRunning = errors.New("the service does not run")

// run sends the signal. A service that does not run has nothing to reload: it will read
// the file when it starts.
func (h *signalHook) run(ctx context.Context, r *Resource, _ values) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	data, err := os.ReadFile(h.pidFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 { // nginx -t makes an empty one
		r.log.Info("the service does not run, so there is nothing to reload", "no", h.pidFile)
		return errNotRunning
	}
	if err != nil {
		return fmt.Errorf("reading pid_file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 { // 0 and below are whole groups
		return fmt.Errorf("pid_file %q does not hold the number of a process", h.pidFile)
	}
	err = syscall.Kill(pid, h.signal)
	switch {
	case errors.Is(err, syscall.ESRCH):
		r.log.Info("the service does not run, so there is nothing to reload", "pid", pid, "pid_file", h.pidFile)
		return errNotRunning
	case err != nil:
		return fmt.Errorf("sending %s to process %d: %w", unix.SignalName(h.signal), pid, err)
	}
	return nil
}
