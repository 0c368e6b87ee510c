// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package proc starts the programs that are measured and reads what the kernel knows of
// them.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a program may take to end when it is told to.
const patience = 30 * time.Second

// A Process is a program that runs, or did. Its methods may be called concurrently.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // what it ended with, once done is closed
}

// Start starts a program in a folder, with what it prints appended to the file log. The
// environment is this process's and env. The caller stops it.
func Start(dir, log string, env []string, path string, args ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the program has its own descriptor
	p := &Process{cmd: exec.Command(path, args...), log: log, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the program, which Stop and Kill wait for
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Failed returns an error with the last lines of the log if the program has ended.
func (p *Process) Failed() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended (%w)\n%s", p.cmd.Path, errors.Join(errors.New(p.cmd.ProcessState.String()), p.err), p.tail())
	default:
		return nil
	}
}

// tail returns the end of the log.
func (p *Process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	return string(bytes.Join(lines[max(len(lines)-15, 0):], []byte("\n")))
}

// Stop ends the program as a service manager does, and waits for it. It is an error if it
// does not end in time, or had ended before.
func (p *Process) Stop() error {
	if err := p.Failed(); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s does not end within %v of SIGTERM", p.cmd.Path, patience)
	}
}

// Kill ends the program at once, as kill -9 does, and waits for it.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // fails only if it has ended
	<-p.done
}
