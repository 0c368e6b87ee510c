// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var discard = slog.New(slog.DiscardHandler)

// eventually polls for a condition of another process, which cannot be waited for otherwise.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("%s has not come true", what)
		}
		<-tick.C
	}
}

// alive reports whether the process whose id is in the file runs. One that has ended
// and is not waited for by its parent does not run.
func alive(t *testing.T, path string) bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(data)) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// runShell runs a line, for so long.
func runShell(ctx context.Context, log *slog.Logger, line string, timeout time.Duration) error {
	ctx, cancel := within(ctx, timeout)
	defer cancel()
	return runCommand(ctx, log, command{line: line})
}

func TestShell(t *testing.T) {
	t.Setenv("CONFD_TEST_ENV", "inherited")
	for _, test := range []struct {
		name, line string
		want       string // the error; "" = none
	}{
		{"success", "true", ""},
		{"environment", `test "$CONFD_TEST_ENV" = inherited`, ""},
		{"shell syntax", "false || true", ""},
		{"standard input is empty", "! read x", ""},
		{"failure", "exit 3", "exit status 3"},
		{"output", "echo out; echo err >&2; exit 1", "exit status 1: out | err"},
		{"no such command", "nosuchcommand-x", "not found"},
		{"signal", "kill -9 $$", "signal: killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := runShell(t.Context(), discard, test.line, time.Minute)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestShellOutputIsBounded(t *testing.T) {
	err := runShell(t.Context(), discard, "seq 1 200000; exit 1", time.Minute)
	if err == nil || len(err.Error()) > 2*tailSize {
		t.Fatalf("got an error of %d bytes", len(err.Error()))
	}
	if text := err.Error(); !strings.HasSuffix(text, "| 199999 | 200000") || !strings.HasPrefix(text, "exit status 1: … 1") {
		t.Errorf("got %.40q … %q", text, text[len(text)-40:])
	}
}

// A descendant that holds the pipe open, even in a session of its own, is not waited
// for: abtreece/confd hung in that case in spite of its timeout.
func TestShellInheritedPipe(t *testing.T) {
	for _, line := range []string{"sleep 60 & echo $! > PID", "setsid sleep 60 & echo $! > PID", "setsid sh -c 'echo $$ > PID; exec sleep 60' & while ! test -s PID; do :; done; exit 4"} {
		pid := filepath.Join(t.TempDir(), "pid")
		start := time.Now()
		err := runShell(t.Context(), discard, strings.ReplaceAll(line, "PID", pid), time.Minute)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", line, took)
		}
		if (err != nil) != strings.Contains(line, "exit 4") {
			t.Errorf("%s: got %v", line, err)
		}
		if !alive(t, pid) {
			t.Errorf("%s: what runs in the background was killed", line)
		}
		data, _ := os.ReadFile(pid)
		n, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil || n < 2 {
			t.Fatalf("pid %q", data)
		}
		syscall.Kill(n, syscall.SIGKILL)
	}
}

func TestShellTimeoutKillsTheGroup(t *testing.T) {
	for _, test := range []struct{ name, line string }{
		{"child", "sleep 60 & echo $! > PID; wait"},
		{"grandchild", "sh -c 'sleep 60 & echo $! > PID; wait'; true"},
		{"ignores SIGTERM", `trap "" TERM; sh -c 'trap "" TERM; echo $$ > PID; while :; do sleep 0.1; done'`},
		{"only the child ignores SIGTERM", `sh -c 'trap "" TERM; echo $$ > PID; while :; do sleep 0.1; done' & wait`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pid := filepath.Join(t.TempDir(), "pid")
			start := time.Now()
			err := runShell(t.Context(), discard, strings.ReplaceAll(test.line, "PID", pid), time.Second)
			if err == nil || !strings.Contains(err.Error(), "timed out after 1s") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
			eventually(t, "the end of the group", func() bool { return !alive(t, pid) })
		})
	}
}

func TestShellTermComesFirst(t *testing.T) {
	dir := t.TempDir()
	line := `trap "echo bye; exit 0" TERM; echo x > ` + dir + `/started; while :; do sleep 0.05; done`
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- runShell(ctx, discard, line, time.Minute) }()
	eventually(t, "the start", func() bool { _, err := os.Stat(dir + "/started"); return err == nil })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "bye") {
		t.Errorf("got %v, want what it said to SIGTERM", err)
	}
}

func TestShellAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "x")
	if err := runShell(ctx, discard, "touch "+path, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the command ran")
	}
}

// The whole way with real commands.
func TestOnceWithRealCommands(t *testing.T) {
	c := newConfdir(t)
	loaded := filepath.Join(c.path, "loaded")
	c.resource("a", `check_cmd = "grep -q value=good {{.src}}"`, `reload_cmd = "cp {{.dest}} `+loaded+`"`)
	b := newMemory("/a", "good")
	run := c.runner(b, nil)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantFile(loaded, "value=good\n")
	b.set("/a", "bad")
	if err := run.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "checking: exit status 1") {
		t.Errorf("got %v", err)
	}
	c.wantFile(c.dest("a"), "value=good\n")
	c.wantClean("a")
}
