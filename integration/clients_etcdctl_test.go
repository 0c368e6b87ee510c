// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// An etcdctl runs Debian's etcdctl with its v2 commands.
type etcdctl struct{ addr, user string }

func (e etcdctl) command(ctx context.Context, args ...string) *exec.Cmd {
	all := []string{"--endpoints", "http://" + e.addr, "--timeout", "15s", "--total-timeout", patience.String()}
	if e.user != "" {
		all = append(all, "-u", e.user)
	}
	cmd := exec.CommandContext(ctx, "etcdctl", append(all, args...)...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=2")
	return cmd
}

// run runs a command and returns what it prints and its exit code.
func (e etcdctl) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := e.command(ctx, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("etcdctl %v: %v", args, err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// TestEtcdctl uses the store through Debian's etcdctl.
func TestEtcdctl(t *testing.T) {
	needs(t, "etcdctl")
	onBoth(t, func(t *testing.T, addr string) {
		t.Run("commands", func(t *testing.T) { clientCommands(t, etcdctl{addr: addr}) })
		t.Run("watches", func(t *testing.T) { clientWatches(t, etcdctl{addr: addr}) })
		t.Run("auth", func(t *testing.T) { clientAuth(t, addr) })
	})
}

// clientSteps runs commands in turn: arguments, exit code, what the output contains.
func clientSteps(t *testing.T, e etcdctl, steps []clientStep) {
	t.Helper()
	for _, s := range steps {
		out, code := e.run(t, strings.Fields(s.args)...)
		if code != s.code || !strings.Contains(out, s.want) {
			t.Errorf("etcdctl %s: got %d and %q, want %d and %q", s.args, code, out, s.code, s.want)
		}
	}
}

type clientStep struct {
	args string
	code int
	want string
}

func clientCommands(t *testing.T, e etcdctl) {
	clientSteps(t, e, []clientStep{
		{"set /c/a one", 0, "one\n"}, {"get /c/a", 0, "one\n"}, {"-o json get /c/a", 0, `"value":"one"`}, {"-o extended get /c/a", 0, "Modified-Index:"},
		{"get /c/none", 4, "100: Key not found (/c/none)"}, {"mk /c/a x", 4, "105: Key already exists (/c/a)"}, {"mk /c/b two", 0, "two\n"},
		{"mk --in-order /c/q job", 0, "job\n"}, {"mkdir /c/d", 0, ""}, {"mkdir /c/d", 4, "105: Key already exists (/c/d)"}, {"setdir /c/d2", 0, ""},
		{"update /c/b three", 0, "three\n"}, {"update /c/none x", 4, "100: Key not found"}, {"updatedir --ttl 100 /c/d", 0, ""},
		{"set --swap-with-value three /c/b four", 0, "four\n"}, {"set --swap-with-value three /c/b five", 4, "101: Compare failed ([three != four])"},
		{"set --ttl 100 /c/ttl x", 0, "x\n"}, {"ls --sort /c", 0, "/c/a\n/c/b\n"}, {"ls --sort --recursive -p /c", 0, "/c/d/\n"},
		{"rm /c/d", 4, "102: Not a file (/c/d)"}, {"rmdir /c/d", 0, ""}, {"rm --with-value x /c/b", 4, "101: Compare failed"}, {"rm --with-value four /c/b", 0, ""},
		{"rmdir /c", 4, "108: Directory not empty (/c)"}, {"rm --recursive /c", 0, ""}, {"ls /c", 4, "100: Key not found (/c)"},
		{"member list", 0, "isLeader=true"}, {"member list", 0, "clientURLs=http://" + e.addr}, {"cluster-health", 0, "cluster is healthy"},
		{"member remove 123abc", 1, "123abc"},
	})
}

func clientWatches(t *testing.T, e etcdctl) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	// Each writes until the watch has seen it: etcdctl does not say when it has begun.
	once := e.command(ctx, "watch", "/w/once")
	out := startWatching(t, once)
	eventually(t, "etcdctl watch ends", func() bool {
		e.run(t, "set", "/w/once", "seen")
		return strings.Contains(out.String(), "seen\n")
	})
	forever := e.command(ctx, "watch", "--forever", "--recursive", "/w/ever")
	out = startWatching(t, forever)
	eventually(t, "etcdctl watch --forever prints", func() bool {
		e.run(t, "set", "/w/ever/a", "first")
		return strings.Contains(out.String(), "[set] /w/ever/a\nfirst\n")
	})
	e.run(t, "set", "/w/ever/b", "second")
	e.run(t, "rm", "/w/ever/b")
	eventually(t, "the later events, in order", func() bool {
		return strings.Contains(out.String(), "[set] /w/ever/b\nsecond\n[delete] /w/ever/b\n")
	})
	run := e.command(ctx, "exec-watch", "--recursive", "/w/run", "--", "sh", "-c", "echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE")
	out = startWatching(t, run)
	eventually(t, "etcdctl exec-watch runs the command", func() bool {
		e.run(t, "set", "/w/run/a", "ran")
		return strings.Contains(out.String(), "set /w/run/a ran\n")
	})
	past, code := e.run(t, "watch", "--after-index", "3", "--recursive", "/w")
	if code != 0 || !strings.Contains(past, "seen") {
		t.Errorf("watch from the past: %d %q", code, past)
	}
}

// startWatching starts a command and returns its output, which may be read while it runs.
func startWatching(t *testing.T, cmd *exec.Cmd) *lockedBuffer {
	t.Helper()
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended by itself
		cmd.Wait()
	})
	return out
}

func clientAuth(t *testing.T, addr string) {
	root, alice, guest := etcdctl{addr, "root:rootpw"}, etcdctl{addr, "alice:alicepw"}, etcdctl{addr, ""}
	clientSteps(t, guest, []clientStep{
		{"auth enable", 1, "root user"}, {"user add root:rootpw", 0, "User root created"}, {"user add alice:alicepw", 0, "User alice created"},
		{"role add shop", 0, "Role shop created"}, {"role grant --path /shop/* --readwrite shop", 0, "Role shop updated"},
		{"user grant --roles shop alice", 0, "User alice updated"}, {"user list", 0, "alice\nroot\n"}, {"role get shop", 0, "/shop/*"},
		{"auth enable", 0, "Authentication Enabled"},
	})
	clientSteps(t, root, []clientStep{
		{"role revoke --path /* --readwrite guest", 0, "Role guest updated"}, {"set /other x", 0, "x\n"}, {"user get alice", 0, "shop"},
		{"role list", 0, "guest\nroot\nshop\n"},
	})
	clientSteps(t, alice, []clientStep{
		{"set /shop/a 1", 0, "1\n"}, {"get /shop/a", 0, "1\n"}, {"get /other", 4, "110: The request requires user authentication (Insufficient credentials)"},
		{"user list", 1, "Insufficient credentials"},
	})
	clientSteps(t, guest, []clientStep{{"get /shop/a", 4, "110: The request requires user authentication"}, {"auth disable", 1, "Insufficient credentials"}})
	clientSteps(t, root, []clientStep{{"user remove alice", 0, "User alice removed"}})
	clientSteps(t, alice, []clientStep{{"get /shop/a", 4, "110: "}})
	clientSteps(t, root, []clientStep{{"auth disable", 0, "Authentication Disabled"}})
	clientSteps(t, guest, []clientStep{{"get /shop/a", 0, "1\n"}})
}

// A lockedBuffer holds the output of a process that still runs.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
