// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fence is a block of code in a page.
type fence struct {
	info, text string
	line       int
}

// fences returns the blocks of a page in order.
func fences(page string) []fence {
	var all []fence
	var open *fence
	for i, line := range strings.Split(page, "\n") {
		switch {
		case open == nil && strings.HasPrefix(line, "```"):
			open = &fence{info: strings.TrimPrefix(line, "```"), line: i + 1}
		case open != nil && line == "```":
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return all
}

// TestDocs runs every command of the README and the docs as it stands, page by page,
// in a copy of the project:
//
//   - a block "sh" is run by sh -e and must succeed;
//   - a block "sh daemon" is started and runs until the next one or the end of the page;
//     the test goes on when the client API answers;
//   - a block "sh daemon NAME" is started beside those of other names, one terminal for
//     each; the test goes on when the node at its -addr lives. "sh stop NAME…" is for the
//     reader to end them, and "sh stop" all;
//   - a block "json" or "text" right after a block "sh" is what that one prints, line by
//     line, "…" standing for anything;
//   - a block with a file name after the language ("toml conf.d/x.toml") is that file.
//
// "make test" is the one block that is not run: it runs this test.
func TestDocs(t *testing.T) {
	needs(t, "curl", "nginx", "haproxy", "etcdctl", "openssl")
	for _, addr := range []string{"127.0.0.1:4001", "127.0.0.1:7001", "127.0.0.1:4002", "127.0.0.1:7002", "127.0.0.1:4003", "127.0.0.1:7003"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("the docs use the default ports: %v; stop what listens there", err)
		}
		l.Close()
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append([]string{"../README.md"}, pages...) {
		t.Run(filepath.Base(page), func(t *testing.T) { runPage(t, page) })
	}
}

func runPage(t *testing.T, page string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := exec.Command("sh", "-ec", `cd .. && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$0"`, dir).CombinedOutput(); err != nil {
		t.Fatalf("copying the project: %v\n%s", err, out)
	}
	env := append(os.Environ(), "PATH="+binDir+":"+os.Getenv("PATH"), "CONFD_DATA_DIR="+filepath.Join(dir, "data"))
	daemons := map[string]*exec.Cmd{} // :: name → what runs
	stop := func(names ...string) {
		for _, name := range names {
			if daemon := daemons[name]; daemon != nil {
				stopGroup(t, daemon)
				delete(daemons, name)
			}
		}
	}
	t.Cleanup(func() {
		for name, daemon := range daemons {
			stop(name)
			if t.Failed() {
				t.Logf("output of %q:\n%s", name, daemon.Stdout)
			}
		}
	})
	stopAll := func() { stop(slices.Collect(maps.Keys(daemons))...) }
	var printed string
	for _, f := range fences(string(text)) {
		where := fmt.Sprintf("%s:%d", filepath.Base(page), f.line)
		lang, rest, _ := strings.Cut(f.info, " ")
		switch {
		case f.info == "sh" && strings.TrimSpace(f.text) == "make test":
		case f.info == "sh daemon":
			stopAll()
			daemons[""] = startShell(t, dir, env, f.text, where, "/version")
		case strings.HasPrefix(f.info, "sh daemon "):
			name := strings.TrimPrefix(f.info, "sh daemon ")
			stop(name)
			daemons[name] = startShell(t, dir, env, f.text, where, "/livez")
		case f.info == "sh stop":
			stopAll()
		case strings.HasPrefix(f.info, "sh stop "):
			stop(strings.Fields(f.info)[2:]...)
		case f.info == "sh":
			printed = runShell(t, dir, env, f.text, where)
		case rest != "" && lang != "sh":
			path := filepath.Join(dir, rest)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
				t.Fatal(err)
			}
		case printed != "" && (f.info == "json" || f.info == "text"):
			comparePrinted(t, where, f.text, printed)
			printed = ""
		}
	}
}

// addrFlag finds the address that a command serves the client API on.
var addrFlag = regexp.MustCompile(`-addr (127\.0\.0\.1:\d+)`)

// startShell starts a block, and waits for an answer under that path.
func startShell(t *testing.T, dir string, env []string, script, where, path string) *exec.Cmd {
	addr := "127.0.0.1:4001"
	if m := addrFlag.FindStringSubmatch(strings.ReplaceAll(script, "-peer-addr", "")); m != nil {
		addr = m[1]
	}
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir, cmd.Env = dir, env
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) { // it may have to be compiled
		resp, err := http.Get("http://" + addr + path)
		if err == nil {
			resp.Body.Close()
		}
		if err == nil && resp.StatusCode != http.StatusInternalServerError { // a TLS port answers 400
			return cmd
		}
		if time.Now().After(deadline) {
			stopGroup(t, cmd)
			t.Fatalf("%s: the client API does not answer:\n%s", where, &output)
		}
	}
}

func stopGroup(t *testing.T, cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	cmd.Wait() // of the shell; its exit code is the signal's
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if syscall.Kill(-cmd.Process.Pid, 0) != nil {
			return
		}
		if time.Now().After(deadline) {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("not ended %v after SIGTERM: %q", patience, cmd.Args)
		}
	}
}

// runShell runs a block until it succeeds: a command that looks at a file may come a
// moment before the file does, and one that looks at a cluster before its leader.
func runShell(t *testing.T, dir string, env []string, script, where string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var first string // what went wrong; a block that has half succeeded may fail otherwise from then on
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		cmd := exec.CommandContext(ctx, "sh", "-ec", script)
		cmd.Dir, cmd.Env = dir, env
		cmd.WaitDelay = time.Second
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if err == nil {
			return stdout.String()
		}
		if first == "" {
			first = fmt.Sprintf("%v\n%s%s", err, &stdout, &stderr)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s:\n%s\nat first: %s\nat last: %v\n%s%s", where, script, first, err, &stdout, &stderr)
		}
	}
}

// comparePrinted compares the non-empty lines, "…" in want standing for anything.
func comparePrinted(t *testing.T, where, want, got string) {
	var gotLines []string
	for line := range strings.SplitSeq(got, "\n") {
		if strings.TrimSpace(line) != "" {
			gotLines = append(gotLines, line)
		}
	}
	wantLines := strings.Split(strings.TrimSpace(want), "\n")
	if len(gotLines) != len(wantLines) {
		t.Errorf("%s: want %d lines, got %d:\n%s", where, len(wantLines), len(gotLines), got)
		return
	}
	for i, line := range wantLines {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + "$"
		if !regexp.MustCompile(pattern).MatchString(gotLines[i]) {
			t.Errorf("%s: line %d\nwant %s\n got %s", where, i+1, line, gotLines[i])
		}
	}
}
