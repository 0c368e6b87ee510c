// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"confd/backends"
)

var errInjected = errors.New("injected fault")

// memory is a backend in memory. It works, and can be made to fail.
type memory struct {
	fail func(op string) error // called for each Snapshot and each blocking Wait; may be nil

	mu      sync.Mutex
	m       *backends.Map
	index   uint64
	changed map[string]uint64 // :: key → index of its last change
	news    chan struct{}     // closed and replaced with each change
	asked   map[string]int    // :: "snapshot", "wait" → how often
}

func newMemory(pairs ...string) *memory {
	m := &memory{m: backends.NewMap(), changed: make(map[string]uint64), news: make(chan struct{}), asked: make(map[string]int)}
	for i := 0; i < len(pairs); i += 2 {
		m.set(pairs[i], pairs[i+1])
	}
	return m
}

func (m *memory) set(key, value string) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.index++
	m.m.Set(key, value)
	m.changed[key] = m.index
	close(m.news)
	m.news = make(chan struct{})
	return m.index
}

func (m *memory) snapshots() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked["snapshot"]
}

func (m *memory) count(op string) error {
	m.mu.Lock()
	m.asked[op]++
	m.mu.Unlock()
	if m.fail != nil {
		return m.fail(op)
	}
	return nil
}

func (m *memory) Snapshot(ctx context.Context, prefixes []string) (backends.Snapshot, error) {
	if err := m.count("snapshot"); err != nil {
		return backends.Snapshot{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return backends.Snapshot{Keys: m.m.Keys().Under(prefixes), Index: m.index}, nil
}

func (m *memory) Wait(ctx context.Context, prefixes []string, index uint64) error {
	if ctx.Err() == nil {
		if err := m.count("wait"); err != nil {
			return err
		}
	}
	for {
		m.mu.Lock()
		for key, at := range m.changed {
			for _, p := range prefixes {
				if at > index && backends.Within(key, p) {
					m.mu.Unlock()
					return nil
				}
			}
		}
		news := m.news
		m.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A confdir is a directory with resources, templates and destinations.
type confdir struct {
	t    *testing.T
	path string
	log  *logBuffer
}

func newConfdir(t *testing.T) *confdir {
	t.Helper()
	c := &confdir{t: t, path: t.TempDir(), log: &logBuffer{}}
	for _, dir := range []string{"conf.d", "templates", "out", "state"} {
		if err := os.Mkdir(filepath.Join(c.path, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// file writes a file of the confdir, and returns its path.
func (c *confdir) file(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// resource adds a resource that writes the value of /NAME to out/NAME. The lines are
// added to its table.
func (c *confdir) resource(name string, lines ...string) {
	c.t.Helper()
	c.file("templates/"+name+".tmpl", fmt.Sprintf("value={{getv \"/%s\"}}\n", name))
	c.file("conf.d/"+name+".toml", fmt.Sprintf("[template]\nsrc = %q\ndest = %q\nkeys = [\"/\"]\n%s\n",
		name+".tmpl", c.dest(name), strings.Join(lines, "\n")))
}

func (c *confdir) dest(name string) string { return filepath.Join(c.path, "out", name) }

func (c *confdir) options() Options {
	return Options{StateDir: filepath.Join(c.path, "state"), Log: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// load loads the resources. A shell that is given runs their commands.
func (c *confdir) load(opts Options, sh shell) []*Resource {
	c.t.Helper()
	resources, err := LoadDir(c.path, opts)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range resources {
		if sh != nil {
			r.shell = sh
		}
	}
	return resources
}

// runner returns a Runner over the resources of the directory.
func (c *confdir) runner(b backends.Backend, sh shell) *Runner {
	c.t.Helper()
	opts := c.options()
	return NewRunner(Config{Backend: b, Resources: c.load(opts, sh), Log: opts.Log})
}

func (c *confdir) wantFile(path, want string) {
	c.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		c.t.Errorf("reading: %v", err)
	} else if string(got) != want {
		c.t.Errorf("%s holds %q, want %q", path, got, want)
	}
}

// wantClean checks that only the named files are in out: no staged file is left.
func (c *confdir) wantClean(names ...string) {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.path, "out"))
	if err != nil {
		c.t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		c.t.Errorf("out holds %q, want %q", got, names)
	}
}

// wantMarkers checks how many reloads are noted as due.
func (c *confdir) wantMarkers(want int) {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(c.path, "state", "pending"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	if len(entries) != want {
		c.t.Errorf("%d reloads are noted as due, want %d", len(entries), want)
	}
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

// commands is a shell that runs nothing, and remembers what it was asked to run.
type commands struct {
	do func(ctx context.Context, line string) error // may be nil

	mu  sync.Mutex
	ran []string
}

func (c *commands) run(ctx context.Context, _ *slog.Logger, cmd command) error {
	c.mu.Lock()
	c.ran = append(c.ran, cmd.String())
	do := c.do
	c.mu.Unlock()
	if do == nil {
		return nil
	}
	return do(ctx, cmd.String())
}

// now has commands do something else from here on.
func (c *commands) now(do func(ctx context.Context, line string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.do = do
}

func (c *commands) count(line string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, l := range c.ran {
		if strings.HasPrefix(l, line) {
			n++
		}
	}
	return n
}
