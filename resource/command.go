// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
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

// A command is a program to run, by the shell or by its arguments.
type command struct {
	line string   // for /bin/sh -c; "" = args
	args []string // a program, and what it is called with
	surroundings
}

// surroundings are what a command finds when it begins, where that is not what this
// process has.
type surroundings struct {
	env  []string // "NAME=value"
	dir  string
	user *account
}

// An account is the user that a command runs as.
type account struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

func (c command) String() string {
	if c.line != "" {
		return c.line
	}
	return quoted(c.args).String()
}

// id is equal for commands that are the same.
func (c command) id() string {
	id := fmt.Sprintf("command %q %q %q %q", c.line, c.args, c.env, c.dir)
	if c.user != nil {
		id += " as " + c.user.name
	}
	return id
}

// A shell runs one command, and returns when it has ended. It fails if the command does,
// or if ctx ends before; then nothing of it runs on.
type shell func(ctx context.Context, log *slog.Logger, c command) error

// runCommand runs the command, a line with /bin/sh -c as confd 0.16 did, in a process
// group of its own and with the environment of this process. A group that must end gets
// SIGTERM, and SIGKILL after killDelay. The end of the output is logged at debug level,
// and part of the error.
//
// What leaves the group (setsid) or is put in the background outlives the command, as
// a daemon that a reload starts has to. Its output is cut off.
func runCommand(ctx context.Context, log *slog.Logger, c command) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	out := &tail{}
	cmd := c.process()
	cmd.Stdout, cmd.Stderr = out, out
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
	log.Debug("command has ended", "err", err, "output", out.String())
	if err != nil {
		err = fmt.Errorf("%w%s", err, out.shown())
	}
	return err
}

// process returns the process that the command is to become.
func (c command) process() *exec.Cmd {
	args := c.args
	if c.line != "" {
		args = []string{"/bin/sh", "-c", c.line}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = pipeDelay
	cmd.Dir = c.dir
	cmd.Env = slices.DeleteFunc(os.Environ(), ours)
	if u := c.user; u != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: u.groups}
		cmd.Env = append(cmd.Env, "USER="+u.name, "LOGNAME="+u.name, "HOME="+u.home)
	}
	cmd.Env = append(cmd.Env, c.env...) // of two with one name the last counts
	return cmd
}

// ours tells whether a variable is between systemd and this process: a child that
// believed it was spoken to would speak in our name.
func ours(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID"
}

// within bounds ctx by the time that a hook has.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("timed out after %v", timeout))
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

// shown returns the end of an error message: the output on one line, after a colon.
func (t *tail) shown() string {
	if text := t.String(); text != "" {
		return ": " + strings.ReplaceAll(text, "\n", " | ")
	}
	return ""
}
