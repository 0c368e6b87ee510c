// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a terminal: what a person sees, and what a program
// writes to.
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return screen, terminal
}

// TestDiffOnATerminal checks when a diff is coloured of itself: on a terminal, unless the
// person wants no colour, and nowhere else.
func TestDiffOnATerminal(t *testing.T) {
	dir, dest := newConfDir(t, "x\n")
	if err := os.WriteFile(dest, []byte("y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	diff := func(out *os.File, env map[string]string, args ...string) {
		t.Helper()
		code := run(t.Context(), append([]string{"diff", "-backend=env", "-confdir", dir, "-data-dir", t.TempDir(), noConfig(t)}, args...), system{
			machine: machine{getenv: func(name string) string { return env[name] }, hostname: os.Hostname},
			environ: func() []string { return nil }, stdout: out, stderr: out,
		})
		if code != exitDiffers {
			t.Errorf("exit code %d", code)
		}
	}
	screen, terminal := openTerminal(t)
	for _, test := range []struct {
		env     map[string]string
		args    []string
		colored bool
	}{
		{nil, nil, true},
		{map[string]string{"NO_COLOR": "1"}, nil, false},
		{map[string]string{"NO_COLOR": "1"}, []string{"-color"}, true},
		{nil, []string{"-color=false"}, false},
	} {
		diff(terminal, test.env, test.args...)
		buf := make([]byte, 4096)
		n, err := screen.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		text := string(buf[:n])
		if !strings.Contains(text, "+x") || strings.Contains(text, "\x1b[32m+x\x1b[") != test.colored || strings.Contains(text, "\x1b") != test.colored {
			t.Errorf("%v %v: got %q", test.env, test.args, text)
		}
	}

	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	diff(file, nil)
	if text := readFile(file.Name()); !strings.Contains(text, "+x") || strings.Contains(text, "\x1b") {
		t.Errorf("to a file: %q", text)
	}
}
