// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/backends/backendtest"
	"confd/backends/file"
)

// testLog returns a logger that writes to the test's output.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// arm makes the backend watch, and returns when it does.
func arm(t *testing.T, b *file.Backend) {
	t.Helper()
	if err := b.Wait(t.Context(), []string{"/"}, 0); err != nil { // until the first read
		t.Fatal(err)
	}
	snap, err := b.Snapshot(t.Context(), []string{"/"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx, []string{"/"}, snap.Index); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait without a change: %v", err)
	}
}

// TestEditBeforeFirstWait: the watch starts with the first Wait, and must find what
// happened before.
func TestEditBeforeFirstWait(t *testing.T) {
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1")
	b := open(t, file.Config{Paths: []string{name}, Rescan: never})
	snap, err := b.Snapshot(t.Context(), []string{"/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := inPlace(name, []byte("a: 2")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), backendtest.Limit)
	defer cancel()
	if err := b.Wait(ctx, []string{"/"}, snap.Index); err != nil {
		t.Fatalf("Wait after an edit: %v", err)
	}
	if got := get(t, b, "/a"); got != "2" {
		t.Errorf("got %q, want 2", got)
	}
}

// TestSnapshotIsFresh: without a watch each Snapshot reads.
func TestSnapshotIsFresh(t *testing.T) {
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1")
	b := open(t, file.Config{Paths: []string{name}, Rescan: never})
	for _, want := range []string{"1", "2", "3"} {
		if err := replace(name, []byte("a: "+want)); err != nil {
			t.Fatal(err)
		}
		if got := get(t, b, "/a"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTouchIsNoNews(t *testing.T) {
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1")
	b := open(t, file.Config{Paths: []string{name}, Rescan: never})
	arm(t, b)
	before, err := b.Snapshot(t.Context(), []string{"/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := replace(name, []byte("{a: '1'} # the same")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx, []string{"/"}, before.Index); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait after a change of the form only: got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestSubdirectoryAppears(t *testing.T) {
	dir := t.TempDir()
	testFile(t, dir, "v.yaml", "a: 1")
	b := open(t, file.Config{Paths: []string{dir}, Rescan: never})
	arm(t, b)
	testFile(t, dir, "one/two/three/v.yaml", "b: 1")
	wait(t, b, "/b", "1")
	testFile(t, dir, "one/two/three/v.yaml", "b: 2")
	wait(t, b, "/b", "2")
	if err := os.RemoveAll(filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	wait(t, b, "/b", "")
}

func TestDirectoryAppearsLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	b := open(t, file.Config{Paths: []string{dir}, Rescan: never})
	if _, err := b.Snapshot(t.Context(), []string{"/"}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Snapshot of a missing directory: got %v, want %v and its name", err, os.ErrNotExist)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(t.Context(), backendtest.Limit)
		defer cancel()
		if err := b.Wait(ctx, []string{"/"}, 0); err != nil {
			t.Errorf("Wait for the directory: %v", err)
		}
	}()
	testFile(t, dir, "v.yaml", "a: 1")
	<-done
	wait(t, b, "/a", "1")
	// And again: moved away, replaced by another.
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	testFile(t, dir, "v.yaml", "a: 2")
	wait(t, b, "/a", "2")
	testFile(t, dir+".old", "v.yaml", "a: 3")
	testFile(t, dir, "v.yaml", "a: 4")
	wait(t, b, "/a", "4")
}

// TestAncestorReplaced is found by looking again: events do not tell it.
func TestAncestorReplaced(t *testing.T) {
	top := filepath.Join(t.TempDir(), "top")
	name := testFile(t, top, "a/b/v.yaml", "a: 1")
	b := open(t, file.Config{Paths: []string{name}, Rescan: 20 * time.Millisecond})
	arm(t, b)
	if err := os.Rename(top, top+".old"); err != nil {
		t.Fatal(err)
	}
	testFile(t, top, "a/b/v.yaml", "a: 2")
	wait(t, b, "/a", "2")
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	testFile(t, dir, "one/v.yaml", "a: 1")
	testFile(t, dir, "two/v.yaml", "a: 2")
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("one", "current")
	link(filepath.Join(dir, "current"), "absolute")
	link("absolute/../absolute/v.yaml", "v.yaml") // from the link's own directory, as the kernel has it
	b := open(t, file.Config{Paths: []string{filepath.Join(dir, "v.yaml")}, Rescan: never})
	if _, err := os.Stat(filepath.Join(dir, "v.yaml")); err != nil {
		link("absolute/v.yaml", "v.yaml")
	}
	arm(t, b)
	wait(t, b, "/a", "1")
	link("two", "current")
	wait(t, b, "/a", "2")
	testFile(t, dir, "two/v.yaml", "a: 3")
	wait(t, b, "/a", "3")
	link("two", "absolute")
	testFile(t, dir, "two/v.yaml", "a: 4")
	wait(t, b, "/a", "4")
}

// TestHalfWritten: a file that is being written is not taken for its new content.
func TestHalfWritten(t *testing.T) {
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1\nb: 1\n")
	b := open(t, file.Config{Paths: []string{name}, Rescan: never})
	arm(t, b)
	seen := make(chan string, 100)
	ctx, cancel := context.WithTimeout(t.Context(), backendtest.Limit)
	defer cancel()
	go func() {
		defer close(seen)
		for last := uint64(0); ; {
			snap, err := b.Snapshot(ctx, []string{"/"})
			if err != nil {
				return
			}
			if snap.Index != last {
				value, _ := snap.Keys.Get("/b")
				seen <- value
				last = snap.Index
				if value == "2" {
					return
				}
			}
			if b.Wait(ctx, []string{"/"}, snap.Index) != nil {
				return
			}
		}
	}()
	got := []string{<-seen}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0) // empty from here on
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	halfway, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	<-halfway.Done() // a slow writer
	if _, err := f.WriteString("a: 2\nb: 2\n"); err != nil {
		t.Fatal(err)
	}
	for value := range seen {
		got = append(got, value)
	}
	if strings.Join(got, " ") != "1 2" {
		t.Errorf("values of /b in turn: got %q, want 1 and 2", got)
	}
}

// TestEmptied: a file that stays empty is empty.
func TestEmptied(t *testing.T) {
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1\n")
	b := open(t, file.Config{Paths: []string{name}, Rescan: never})
	arm(t, b)
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	wait(t, b, "/a", "")
}

// TestBroken: the last values stay until the file is whole again, and the log is told
// once, without the file's content.
func TestBroken(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	}), nil))
	lines := func(text string) int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(out.String(), text)
	}
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1\n")
	b := open(t, file.Config{Paths: []string{name}, Rescan: 5 * time.Millisecond, Log: log})
	arm(t, b)
	before, err := b.Snapshot(t.Context(), []string{"/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := replace(name, []byte("a: 2\nb: [s3cret")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx, []string{"/"}, before.Index); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait with a broken file: got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := b.Snapshot(t.Context(), []string{"/"}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("Snapshot of a broken file: got %v, want an error that names the file and line 2", err)
	}
	if value, _ := before.Keys.Get("/a"); value != "1" {
		t.Errorf("the snapshot before: got %q, want 1", value)
	}
	if err := replace(name, []byte("a: 3\n")); err != nil {
		t.Fatal(err)
	}
	wait(t, b, "/a", "3")
	if n := lines("level=WARN"); n != 1 {
		t.Errorf("warnings: got %d, want 1: %s", n, out.String())
	}
	if n := lines("s3cret"); n != 0 {
		t.Errorf("the log quotes the file: %s", out.String())
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestClose: it may be called without a Wait, twice, and while somebody waits.
func TestClose(t *testing.T) {
	name := testFile(t, t.TempDir(), "v.yaml", "a: 1\n")
	b := open(t, file.Config{Paths: []string{name}})
	if err := b.Close(); err != nil {
		t.Errorf("Close before Wait: %v", err)
	}
	b = open(t, file.Config{Paths: []string{name}})
	arm(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	snap, err := b.Snapshot(ctx, []string{"/"})
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- b.Wait(ctx, []string{"/"}, snap.Index) }()
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait that Close met: got %v, want %v", err, context.Canceled)
	}
}
