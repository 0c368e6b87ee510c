// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// killDelay is the time a process group has between SIGTERM and SIGKILL.
	killDelay = 2 * time.Second

	// pipeDelay is how long the output is read after the command itself has ended.
	// A descendant that goes on holds the pipe open; it is not waited for.
	pipeDelay = 500 * time.Millisecond

	// tailSize is how much of a command's output is kept, in bytes: its end.
	tailSize = 4 << 10
)

// A shell runs one command line, and returns when it has ended. It fails if the command
// does, takes longer than the timeout, or ctx ends before; then nothing of it runs on.
type shell func(ctx context.Context, log *slog.Logger, line string, timeout time.Duration) error

// runShell runs the line with /bin/sh -c, as confd 0.16 did, in a process group of its
// own and with the environment of this process. A group that must end gets SIGTERM, and
// SIGKILL after killDelay. The end of the output is logged at debug level, and part of
// the error.
//
// What leaves the group (setsid) or is put in the background outlives the command, as
// a daemon that a reload starts has to. Its output is cut off.
func runShell(ctx context.Context, log *slog.Logger, line string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("timed out after %v", timeout))
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	out := &tail{}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = pipeDelay
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting command: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	err := await(ctx, cmd.Process.Pid, done)
	if errors.Is(err, exec.ErrWaitDelay) {
		log.Debug("command has ended and left a process that holds its output open")
		err = nil
	}
	text := out.String()
	log.Debug("command has ended", "err", err, "output", text)
	if err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(text, "\n", " | "))
	}
	return err
}

// await waits for the command, and ends its group when ctx ends.
func await(ctx context.Context, group int, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	syscall.Kill(-group, syscall.SIGTERM)
	kill := time.NewTimer(killDelay)
	defer kill.Stop()
	select {
	case <-done:
		// The shell has gone; what it started may have ignored the signal.
		syscall.Kill(-group, syscall.SIGKILL)
	case <-kill.C:
		syscall.Kill(-group, syscall.SIGKILL)
		<-done
	}
	return context.Cause(ctx)
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
	cut bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
		t.cut = true
	}
	return len(p), nil
}

// String returns the last whole lines, without the last line feed.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.ToValidUTF8(string(t.buf), "?")
	if t.cut {
		if _, rest, ok := strings.Cut(text, "\n"); ok && rest != "" {
			text = rest
		}
		text = "… " + text
	}
	return strings.TrimSpace(text)
}
