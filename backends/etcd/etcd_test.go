// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/backends"
	"confd/raftkv/client"
)

var _ backends.Backend = (*Backend)(nil)

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// TestMain runs the tests and then checks that no backend has left a goroutine.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 1<<20)
	if all := string(buf[:runtime.Stack(buf, true)]); strings.Contains(all, "etcd.(*Backend).") || strings.Contains(all, "etcd.receive") {
		fmt.Fprintf(os.Stderr, "goroutines are left after Close:\n%s\n", all)
		code = 1
	}
	os.Exit(code)
}

// open opens a backend with short pauses, and closes it when the test ends.
func open(t *testing.T, cfg Config) *Backend {
	t.Helper()
	if cfg.RetryMin == 0 {
		cfg.RetryMin, cfg.RetryMax = 10*time.Millisecond, 50*time.Millisecond
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func collect(k backends.Keys) map[string]string { return maps.Collect(k.From("")) }

func snapshot(t *testing.T, b *Backend, prefixes ...string) backends.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := b.Snapshot(ctx, prefixes)
	if err != nil {
		t.Fatalf("Snapshot(%q): %v", prefixes, err)
	}
	return s
}

// follow goes on as the renderer does, Wait and Snapshot in turn, until the keys are
// as wanted.
func follow(t *testing.T, b *Backend, s backends.Snapshot, want map[string]string, prefixes ...string) backends.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !maps.Equal(collect(s.Keys), want) {
		if err := b.Wait(ctx, prefixes, s.Index); err != nil {
			t.Fatalf("Wait(%q): %v; have %v, want %v", prefixes, err, collect(s.Keys), want)
		}
		s = snapshot(t, b, prefixes...)
	}
	return s
}

// quiet checks that nothing is known to have changed under the prefixes.
func quiet(t *testing.T, b *Backend, index uint64, prefixes ...string) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ended, prefixes, index); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait(%q) with an ended context and no news: %v, want %v", prefixes, err, context.Canceled)
	}
}

func set(t *testing.T, c *client.Client, key, value string) {
	t.Helper()
	if _, err := c.Set(t.Context(), key, value, client.SetOptions{}); err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
}

func remove(t *testing.T, c *client.Client, key string) {
	t.Helper()
	if _, err := c.Delete(t.Context(), key, client.DeleteOptions{Recursive: true}); err != nil {
		t.Fatalf("Delete(%q): %v", key, err)
	}
}

type kv = map[string]string

// Every kind of change is carried out on the copy as it is on the store.
func TestRealChanges(t *testing.T) {
	s := newServer(t)
	s.start()
	c := s.client()
	defer c.Close()
	b := open(t, Config{Nodes: []string{s.url}})
	ctx := t.Context()

	snap := snapshot(t, b, "/app") // a missing prefix is empty
	if got := collect(snap.Keys); len(got) != 0 {
		t.Fatalf("missing prefix: %v", got)
	}
	must := func(_ *client.Response, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name string
		do   func()
		want kv
	}{
		{"file as the prefix", func() { set(t, c, "/app", "f") }, kv{"/app": "f"}},
		{"file becomes a directory", func() { must(c.Set(ctx, "/app", "", client.SetOptions{Dir: true})) }, kv{}},
		{"file below", func() { set(t, c, "/app/a", "1") }, kv{"/app/a": "1"}},
		{"empty value", func() { set(t, c, "/app/e", "") }, kv{"/app/a": "1", "/app/e": ""}},
		{"update", func() { must(c.Update(ctx, "/app/a", "2", client.SetOptions{})) }, kv{"/app/a": "2", "/app/e": ""}},
		{"compare and swap", func() {
			must(c.CompareAndSwap(ctx, "/app/a", "3", client.Compare{Value: "2"}, client.SetOptions{}))
		}, kv{"/app/a": "3", "/app/e": ""}},
		{"compare and delete", func() { must(c.CompareAndDelete(ctx, "/app/a", client.Compare{Value: "3"})) }, kv{"/app/e": ""}},
		{"deep, and a neighbour with a longer name", func() {
			set(t, c, "/app/d/x/y", "1")
			set(t, c, "/app/d-x", "2")
			set(t, c, "/application", "no")
		}, kv{"/app/e": "", "/app/d/x/y": "1", "/app/d-x": "2"}},
		{"recursive delete", func() { remove(t, c, "/app/d") }, kv{"/app/e": "", "/app/d-x": "2"}},
		{"directory becomes a file", func() { set(t, c, "/app/d", "file") }, kv{"/app/e": "", "/app/d-x": "2", "/app/d": "file"}},
		{"hidden ones are not seen", func() {
			set(t, c, "/app/_h", "1")
			set(t, c, "/app/_g/x", "1")
			set(t, c, "/app/_g/x", "2")
			set(t, c, "/app/e", "3")
		}, kv{"/app/e": "3", "/app/d-x": "2", "/app/d": "file"}},
		{"directory expires", func() {
			must(c.Set(ctx, "/app/ttl", "", client.SetOptions{Dir: true, TTL: 1}))
			set(t, c, "/app/ttl/a", "1")
			follow(t, b, snapshot(t, b, "/app"), kv{"/app/e": "3", "/app/d-x": "2", "/app/d": "file", "/app/ttl/a": "1"}, "/app")
		}, kv{"/app/e": "3", "/app/d-x": "2", "/app/d": "file"}},
		{"the prefix itself goes", func() { remove(t, c, "/app") }, kv{}},
		{"and comes back", func() { set(t, c, "/app/z", "1") }, kv{"/app/z": "1"}},
		{"odd names and values", func() { set(t, c, "/app/a b%2F;ü?&+", "v %;\n<é>") }, kv{"/app/z": "1", "/app/a b%2F;ü?&+": "v %;\n<é>"}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			step.do()
			snap = follow(t, b, snap, step.want, "/app")
		})
	}
	quiet(t, b, snap.Index, "/app")
}

// The removal of a directory above the prefix removes the prefix.
func TestRealParentRemoved(t *testing.T) {
	s := newServer(t)
	s.start()
	c := s.client()
	defer c.Close()
	set(t, c, "/top/mid/app/k", "1")
	b := open(t, Config{Nodes: []string{s.url}})
	snap := follow(t, b, snapshot(t, b, "/top/mid/app"), kv{"/top/mid/app/k": "1"}, "/top/mid/app")
	remove(t, c, "/top")
	snap = follow(t, b, snap, kv{}, "/top/mid/app")
	set(t, c, "/top", "file") // now the prefix lies below a file
	set(t, c, "/other", "1")
	again := open(t, Config{Nodes: []string{s.url}})
	if got := collect(snapshot(t, again, "/top/mid/app").Keys); len(got) != 0 {
		t.Errorf("a prefix below a file: %v", got)
	}
	remove(t, c, "/top")
	set(t, c, "/top/mid/app/k", "2")
	follow(t, b, snap, kv{"/top/mid/app/k": "2"}, "/top/mid/app")
}

// The server is down at the start, comes, is killed, restarted, wiped and replaced.
func TestRealOutages(t *testing.T) {
	s := newServer(t)
	var log logBuffer
	b := open(t, Config{Nodes: []string{s.url}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 { // without and with mirrors
		_, err := b.Snapshot(t.Context(), []string{"/app"})
		if err == nil || !strings.Contains(err.Error(), s.url) {
			t.Fatalf("server down: %v, want an error with %q", err, s.url)
		}
	}
	s.start()
	c := s.client()
	defer c.Close()
	set(t, c, "/app/a", "1")
	set(t, c, "/app/b", "1")
	snap := follow(t, b, snapshot(t, b, "/app"), kv{"/app/a": "1", "/app/b": "1"}, "/app")
	for range 50 {
		set(t, c, "/elsewhere", "x") // so that the replaced store has a lower index
	}
	if n := log.count("level="); n != 0 {
		t.Errorf("%d lines about an outage that the error of Snapshot has told of", n)
	}

	s.stop()
	waitFor(t, 10*time.Second, "the log to tell the loss", func() bool { return log.count("lost etcd") == 1 })
	quiet(t, b, snap.Index, "/app")
	if since, err := b.Outage(); err == nil || time.Since(since) > time.Minute {
		t.Errorf("outage: got %v, %v", since, err)
	}
	s.start()
	waitFor(t, 10*time.Second, "the log to tell the return", func() bool { return log.count("etcd is back") == 1 })
	quiet(t, b, snap.Index, "/app") // nothing has changed
	if since, err := b.Outage(); err != nil || !since.IsZero() {
		t.Errorf("outage: got %v, %v", since, err)
	}

	s.stop()
	s.wipe()
	s.start()
	set(t, c, "/app/b", "1")
	set(t, c, "/app/c", "1")
	snap = follow(t, b, snap, kv{"/app/b": "1", "/app/c": "1"}, "/app")
	set(t, c, "/app/c", "2")
	follow(t, b, snap, kv{"/app/b": "1", "/app/c": "2"}, "/app")
	// The wiped one may have been back before the first try.
	if n := log.count("lost etcd"); n < 1 || n > 2 {
		t.Errorf("the log tells %d losses, want 1 or 2", n)
	}
}

// While a writer is busy, whoever follows ends at the last value, and one snapshot
// never shows an older state than the one before.
func TestRealRace(t *testing.T) {
	s := newServer(t)
	s.start()
	c := s.client()
	defer c.Close()
	b := open(t, Config{Nodes: []string{s.url}})
	const last = 400
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range last + 1 {
			if _, err := c.Set(t.Context(), "/app/k", fmt.Sprintf("%04d", i), client.SetOptions{}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer wg.Wait()
	snap, seen := snapshot(t, b, "/app"), ""
	for ctx := t.Context(); seen != fmt.Sprintf("%04d", last); {
		if err := b.Wait(ctx, []string{"/app"}, snap.Index); err != nil {
			t.Fatal(err)
		}
		snap = snapshot(t, b, "/app")
		v, _ := snap.Keys.Get("/app/k")
		if v < seen {
			t.Fatalf("went back from %q to %q", seen, v)
		}
		seen = v
	}
}
