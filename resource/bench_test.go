// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkFollow measures one change among 100,000 keys until its file is replaced and
// reloaded, with 1,000 resources of which one reads the key. Only that one may be
// applied: the benchmark fails if another is.
func BenchmarkFollow(b *testing.B) {
	const resources, keysEach = 1000, 100
	for _, way := range []string{"own", "shared"} {
		b.Run(way, func(b *testing.B) {
			dir, m := manyResources(b, resources, keysEach, func(name string) string {
				if way == "shared" {
					name = "reload"
				}
				return fmt.Sprintf("reload_cmd=%q", name)
			})
			loaded, err := LoadDir(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			ran := make(chan string, 2*resources)
			for _, r := range loaded {
				r.shell = func(_ context.Context, _ *slog.Logger, c command) error {
					ran <- c.line
					return nil
				}
			}
			run := NewRunner(Config{Backend: m, Resources: loaded})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- run.Follow(ctx) }()
			groups := len(run.lanes)
			for range groups {
				<-ran
			}
			start := m.snapshots()
			n := 0
			for b.Loop() {
				m.set(fmt.Sprintf("/app%d/key7", n%resources), fmt.Sprint(n+1))
				<-ran
				n++
			}
			// A group that wakes while its last pass still ends may look twice.
			if got := m.snapshots() - start; got > 2*n+1 {
				b.Errorf("%d snapshots for %d changes: others were woken", got, n)
			}
			cancel()
			<-done
			if len(ran) > 0 {
				b.Errorf("%d commands too many", len(ran))
			}
		})
	}
}

// manyResources makes a directory with resources that read so many keys each, and a
// backend that has them. With each resource file goes a line.
func manyResources(b *testing.B, resources, keysEach int, line func(name string) string) (dir string, m *memory) {
	b.Helper()
	dir, m = b.TempDir(), newMemory()
	for _, sub := range []string{"conf.d", "templates", "out"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	for i := range resources {
		for k := range keysEach {
			m.m.Set(fmt.Sprintf("/app%d/key%d", i, k), "0")
		}
		name := fmt.Sprint("r", i)
		os.WriteFile(filepath.Join(dir, "templates", name), fmt.Appendf(nil, "{{range gets \"/app%d/*\"}}{{.Value}}\n{{end}}", i), 0o644)
		os.WriteFile(filepath.Join(dir, "conf.d", name+".toml"), fmt.Appendf(nil,
			"[template]\nsrc=%q\ndest=%q\nkeys=['/']\n%s\n", name, filepath.Join(dir, "out", name), line(name)), 0o644)
	}
	return dir, m
}

// BenchmarkOnce measures one pass over 1,000 resources that read 100 keys each, and how
// long they take to load: cold, with no file there, and in sync, with nothing to do.
func BenchmarkOnce(b *testing.B) {
	dir, m := manyResources(b, 1000, 100, func(string) string { return "" })
	out := filepath.Join(dir, "out")
	for _, way := range []string{"cold", "in sync"} {
		b.Run(way, func(b *testing.B) {
			var loading time.Duration
			for b.Loop() {
				if way == "cold" {
					b.StopTimer() // nothing is removed: ext4 passes by the inodes of what was, one by one
					old := fmt.Sprintf("%s%d", out, time.Now().UnixNano())
					if err := errors.Join(os.Rename(out, old), os.Mkdir(out, 0o755)); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				start := time.Now()
				loaded, err := LoadDir(dir, Options{StateDir: filepath.Join(dir, "state")})
				if err != nil {
					b.Fatal(err)
				}
				loading += time.Since(start)
				if err := NewRunner(Config{Backend: m, Resources: loaded}).Once(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(loading.Milliseconds())/float64(b.N), "load-ms/op")
		})
	}
}
