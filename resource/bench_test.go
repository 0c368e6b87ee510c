// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"confd/backends"
)

// BenchmarkFollow measures one change among 100,000 keys until its file is replaced and
// reloaded, with 1,000 resources of which one reads the key. Only that one may be
// applied: the benchmark fails if another is.
func BenchmarkFollow(b *testing.B) {
	const resources, keysEach = 1000, 100
	for _, way := range []string{"own", "shared"} {
		b.Run(way, func(b *testing.B) {
			dir := b.TempDir()
			for _, sub := range []string{"conf.d", "templates", "out"} {
				if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
					b.Fatal(err)
				}
			}
			m := newMemory()
			tree := backends.NewMap()
			for i := range resources {
				for k := range keysEach {
					tree.Set(fmt.Sprintf("/app%d/key%d", i, k), "0")
				}
				name := fmt.Sprint("r", i)
				os.WriteFile(filepath.Join(dir, "templates", name), fmt.Appendf(nil, "{{range gets \"/app%d/*\"}}{{.Value}}\n{{end}}", i), 0o644)
				reload := "reload"
				if way == "own" {
					reload = name
				}
				os.WriteFile(filepath.Join(dir, "conf.d", name+".toml"), fmt.Appendf(nil,
					"[template]\nsrc=%q\ndest=%q\nkeys=['/']\nreload_cmd=%q\n", name, filepath.Join(dir, "out", name), reload), 0o644)
			}
			m.m = tree
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
