// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package file makes YAML, JSON and TOML files a source of values.
//
// Nested names become a key, "/a/b", and the items of a list are numbered from 0,
// "/a/b/0". Of several files with the same key the later one wins: in the order of
// Config.Paths, and inside a directory in lexical order.
//
// A file ending in .json is JSON, in .toml TOML, everything else YAML. A broken file
// makes Snapshot fail as a whole; the error names the file and the line.
//
// # Watching
//
// The first Wait starts a watch on the directories of the files, and on those of every
// symbolic link on the way to them, so a file may be written in place, replaced,
// deleted and made again, or swapped by a link to its directory. An event is a hint
// and no more: it makes Wait look at everything again, and only changed content is
// news. Where events do not come (network file systems, a full queue), a look at
// the files' sizes and times every few seconds finds the change.
//
// A file that is being written must not be taken for its new content. So after a sign
// of change Wait looks until nothing has changed for 20 ms, and a file that has become
// empty gets a second, since that is how writing in place begins. While files are
// broken or missing the last values stay in force, and Wait goes on looking.
//
// # Decisions
//
//   - Scalars are printed as confd 0.16 did, which read YAML 1.1: yes and on are "true",
//     010 is "8", 1.50 is "1.5", and 1e3, without a sign in the exponent, is "1e3". As there,
//     null, and an empty list or mapping, is no key, of a name given twice the last one
//     holds, and only the first document of a file is read.
//   - Where confd 0.16 gave up or lost something, this does not: names that are no strings
//     are taken as they are written (it crashed), integers above 63 bits are kept (it left them
//     out or rounded them).
//   - In directories, links to directories are followed (it ignored them), and "..data"
//     and its like are not entered, so a mounted Kubernetes volume counts once. What editors
//     leave behind (".x.swp", "x~", ".#x", "#x#") and what is not a regular file is left out.
//   - What is named directly may be a pipe; it is read once.
//   - Messages of the parsers are passed on only without what they quote, which may be secret.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"confd/backends"
)

// Config says which files are read.
type Config struct {
	// Paths are files and directories, at least one. They need not exist yet. Directories
	// are read with all that is below them.
	Paths []string

	// Filter is a pattern, as of [filepath.Match], for the base names of the files in
	// directories. Empty means "*". Files named directly are read in any case.
	Filter string

	// Rescan is the time between two looks at sizes and times while somebody waits.
	// Zero means 2 seconds.
	Rescan time.Duration

	// Log is told when files are broken or cannot be watched. Nil discards.
	Log *slog.Logger
}

// A Backend is the values of files. It implements [backends.Backend] and may be used
// concurrently.
type Backend struct {
	poll   *backends.Poll
	reader *reader
	log    *slog.Logger

	mu      sync.Mutex
	started bool // the watcher has been asked for, or Close was called
	watcher *watcher
}

// Open returns a backend for the files. Nothing is read and no goroutine started yet;
// it fails only if cfg is wrong.
func Open(_ context.Context, cfg Config) (*Backend, error) {
	if len(cfg.Paths) == 0 {
		return nil, errors.New("opening file backend: no file named; did you mean -file values.yaml?")
	}
	if cfg.Filter == "" {
		cfg.Filter = "*"
	}
	if _, err := filepath.Match(cfg.Filter, "x"); err != nil {
		return nil, fmt.Errorf("opening file backend: filter %q: %w", cfg.Filter, err)
	}
	if cfg.Rescan <= 0 {
		cfg.Rescan = 2 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &reader{filter: cfg.Filter, hints: make(chan struct{}, 1)}
	for _, name := range cfg.Paths {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, fmt.Errorf("opening file backend: %w", err)
		}
		r.paths = append(r.paths, abs)
	}
	return &Backend{
		poll:   backends.NewPoll(backends.PollConfig{Read: r.read, Interval: cfg.Rescan, Log: cfg.Log}),
		reader: r,
		log:    cfg.Log,
	}, nil
}

// Snapshot returns the values under the prefixes. Before the first Wait it reads the
// files each time; after it, it returns what the watch has found. It fails if a file
// is missing or broken.
func (b *Backend) Snapshot(ctx context.Context, prefixes []string) (backends.Snapshot, error) {
	b.mu.Lock()
	if !b.started {
		b.poll.Poke()
	}
	b.mu.Unlock()
	return b.poll.Snapshot(ctx, prefixes)
}

// Wait blocks until the content of a file has changed since the snapshot with this
// index, under whatever prefix. It does not fail because files are broken or missing.
func (b *Backend) Wait(ctx context.Context, prefixes []string, index uint64) error {
	if ctx.Err() == nil {
		b.start()
	}
	return b.poll.Wait(ctx, prefixes, index)
}

// Outage returns since when files have been broken or missing, and what is wrong.
func (b *Backend) Outage() (since time.Time, err error) { return b.poll.Outage() }

// start begins to watch, once. What happened before is found by the read it asks for.
func (b *Backend) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.started {
		return
	}
	b.started = true
	hint := func() {
		b.reader.hint()
		b.poll.Poke()
	}
	w, err := newWatcher(b.log, hint)
	if err != nil {
		b.log.Warn("watching files; changes are found by looking again from time to time", "err", err)
		return
	}
	b.watcher = w
	b.reader.setWatcher(w)
	hint()
}

// Close ends the watch. A Wait going on ends with its ctx; it finds changes, but not
// as soon as they happen.
func (b *Backend) Close() error {
	b.mu.Lock()
	w := b.watcher
	b.started, b.watcher = true, nil
	b.mu.Unlock()
	if w == nil {
		return nil
	}
	b.reader.setWatcher(nil)
	return w.close()
}
