// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"confd/backends"
	"confd/backends/backendtest"
	"confd/backends/file"
)

// never is a rescan that no test lives to see, so that events must do.
const never = time.Hour

// A store is the values of one file. How it writes the file is the test's.
type store struct {
	mu     sync.Mutex
	values map[string]string
	write  func(data []byte) error
}

func (s *store) change(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	tree := make(map[string]any)
	for key, value := range s.values {
		tree[key[1:]] = value // "a/b" is nested as "a: b:" is
	}
	data, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return s.write(data)
}

func (s *store) set(key, value string) error {
	return s.change(func() { s.values[key] = value })
}

func (s *store) delete(prefix string) error {
	return s.change(func() {
		maps.DeleteFunc(s.values, func(key, _ string) bool { return backends.Within(key, prefix) })
	})
}

// replace writes a file and renames it into place, as editors do.
func replace(name string, data []byte) error {
	temp := filepath.Join(filepath.Dir(name), ".#new")
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, name)
}

// recreate removes a file and makes it again.
func recreate(name string, data []byte) error {
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// swap puts the file in a new directory, and turns a link to the directory over to it,
// as Kubernetes does with its volumes.
func swap(name string, data []byte) error {
	volume := filepath.Dir(name)
	dir, err := os.MkdirTemp(volume, "..2024_")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o644); err != nil {
		return err
	}
	link := filepath.Join(volume, "..data")
	old, _ := os.Readlink(link)
	if err := os.Symlink(filepath.Base(dir), link+"_tmp"); err != nil {
		return err
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(volume, old))
	}
	return os.Symlink(filepath.Join("..data", filepath.Base(name)), name)
}

func inPlace(name string, data []byte) error { return os.WriteFile(name, data, 0o644) }

func TestConformance(t *testing.T) {
	for _, way := range []struct {
		name   string
		write  func(name string, data []byte) error
		dir    bool // the backend reads the directory
		rescan time.Duration
	}{
		{"replaced", replace, false, never},
		{"written in place", inPlace, false, never},
		{"recreated", recreate, false, never},
		{"link to a swapped directory", swap, false, never},
		{"directory, file replaced", replace, true, never},
		{"directory, mounted volume", swap, true, never},
		{"found by looking", inPlace, false, 5 * time.Millisecond},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			backendtest.Run(t, func(t *testing.T) backendtest.Harness {
				return harness(t, way.write, way.dir, way.rescan)
			})
		})
	}
}

func harness(t *testing.T, write func(string, []byte) error, dir bool, rescan time.Duration) backendtest.Harness {
	name := filepath.Join(t.TempDir(), "dir", "values.yaml")
	if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	s := &store{values: make(map[string]string), write: func(data []byte) error { return write(name, data) }}
	if err := s.change(func() {}); err != nil {
		t.Fatal(err)
	}
	cfg := file.Config{Paths: []string{name}, Rescan: rescan, Log: testLog(t)}
	if dir {
		cfg.Paths[0] = filepath.Dir(name)
	}
	b, err := file.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	place := cfg.Paths[0]
	away := place + "~"
	return backendtest.Harness{
		Backend:   b,
		NoHistory: true,
		Set:       s.set,
		Delete:    s.delete,
		Stop:      func() error { return os.Rename(place, away) },
		Start:     func() error { return os.Rename(away, place) },
		Wipe:      func() error { return s.change(func() { clear(s.values) }) },
	}
}

// get returns one value, "" if there is none.
func get(t *testing.T, b *file.Backend, key string) string {
	t.Helper()
	snap, err := b.Snapshot(t.Context(), []string{"/"})
	if err != nil {
		t.Fatal(err)
	}
	value, _ := snap.Keys.Get(key)
	return value
}

// wait follows the backend until it holds the value.
func wait(t *testing.T, b *file.Backend, key, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), backendtest.Limit)
	defer cancel()
	index, got := uint64(0), ""
	for {
		snap, err := b.Snapshot(ctx, []string{"/"})
		if err == nil {
			index = snap.Index
			if got, _ = snap.Keys.Get(key); got == want {
				return
			}
		}
		if waitErr := b.Wait(ctx, []string{"/"}, index); waitErr != nil {
			t.Fatalf("waiting for %q = %q: %v; got %q, %v", key, want, waitErr, got, err)
		}
	}
}

func testFile(t *testing.T, dir, name, data string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func open(t *testing.T, cfg file.Config) *file.Backend {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = testLog(t)
	}
	b, err := file.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(fmt.Errorf("Open: %w", err))
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}
