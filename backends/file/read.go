// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"confd/backends"
)

const (
	quiet      = 20 * time.Millisecond // nothing changed for this long: written
	emptyQuiet = time.Second           // the same for a file that has become empty
	patience   = 2 * time.Second       // files that never come to rest are read after this
	coarse     = 2 * time.Second       // a younger time of change may hide another change
)

// A reader reads all files into one set of keys. It remembers each file's values, so
// only what has changed is parsed.
type reader struct {
	paths  []string // absolute
	filter string
	hints  chan struct{} // capacity 1: something has happened to the files

	mu      sync.Mutex
	watcher *watcher // nil before the first Wait

	// Owned by read, of which one runs at a time.
	tried bool             // there has been a read
	dirty bool             // sizes and times are not to be trusted
	empty time.Time        // since when a file that had values is empty; zero if none is
	last  []found          // of the last read
	known map[string]*body // :: file → its content
	keys  backends.Keys    // nil before the first success
}

// A body is the content of a file.
type body struct {
	info  fs.FileInfo // from before the content was read
	at    time.Time   // when it was read
	sum   [sha256.Size]byte
	pairs []pair
	err   error // of parsing
}

func (r *reader) hint() {
	select {
	case r.hints <- struct{}{}:
	default:
	}
}

// hinted reports whether there was a hint since the last call.
func (r *reader) hinted() bool {
	select {
	case <-r.hints:
		r.dirty = true
		return true
	default:
		return false
	}
}

func (r *reader) setWatcher(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watcher = w
}

// read returns the values of all files, and the same Keys again if nothing changed.
func (r *reader) read(ctx context.Context) (backends.Keys, error) {
	files, err := r.settle(ctx)
	if err != nil {
		return nil, err
	}
	changed := r.keys == nil || !slices.EqualFunc(files, r.last, func(a, b found) bool { return a.name == b.name })
	known := make(map[string]*body, len(files))
	var errs []error
	for _, f := range files {
		b, err := r.body(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %q: %w", f.name, reason(err)))
			continue
		}
		if b.err != nil {
			errs = append(errs, b.err)
		}
		if old := r.known[f.name]; old == nil || old.sum != b.sum {
			changed = true
		}
		known[f.name] = b
	}
	if changed {
		r.keys = nil // until a read succeeds
	}
	r.dirty, r.last, r.known = false, files, known
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if r.keys == nil {
		r.keys = merge(files, known)
	}
	return r.keys, nil
}

// merge puts the values of the files together, later files over earlier ones.
func merge(files []found, known map[string]*body) backends.Keys {
	m := backends.NewMap()
	for _, f := range files {
		for _, p := range known[f.name].pairs {
			m.Set(p.key, p.value)
		}
	}
	return m.Keys()
}

// settle looks for the files until they seem to be written to the end.
func (r *reader) settle(ctx context.Context) ([]found, error) {
	r.hinted()
	files, err := r.scan()
	rest := !r.tried || !r.dirty && err == nil && same(files, r.last) && !r.emptied(files)
	r.tried = true
	for until := time.Now().Add(patience); !rest && time.Now().Before(until); {
		if err := pause(ctx, quiet); err != nil {
			r.dirty = true
			return nil, err
		}
		hinted := r.hinted()
		again, againErr := r.scan()
		rest = !hinted && (err == nil) == (againErr == nil) && same(files, again) && !r.emptied(again)
		files, err = again, againErr
	}
	return files, err
}

// emptied reports whether a file that had values is empty, and has been for a short
// time only.
func (r *reader) emptied(files []found) bool {
	for _, f := range files {
		if b := r.known[f.name]; f.info.Mode().IsRegular() && f.info.Size() == 0 && b != nil && (len(b.pairs) > 0 || b.err != nil) {
			if r.empty.IsZero() {
				r.empty = time.Now()
			}
			return time.Since(r.empty) < emptyQuiet
		}
	}
	r.empty = time.Time{}
	return false
}

// scan looks for the files once.
func (r *reader) scan() ([]found, error) {
	r.mu.Lock()
	w := r.watcher
	r.mu.Unlock()
	s := scan{filter: r.filter, watch: func(string, string) {}}
	if w != nil {
		w.begin()
		s.watch = w.add
	}
	var errs []error
	for _, name := range r.paths {
		if err := s.root(name); err != nil {
			errs = append(errs, err)
		}
	}
	if w != nil && len(errs) == 0 { // a scan that failed has not asked for all
		w.end()
	}
	return s.files, errors.Join(errs...)
}

// body returns the content of a file, from memory if it cannot have changed.
func (r *reader) body(f found) (*body, error) {
	old := r.known[f.name]
	if old != nil && !f.info.Mode().IsRegular() {
		return old, nil // a pipe is empty the second time
	}
	if old != nil && !r.dirty && unchanged(old.info, f.info) && old.at.Sub(f.info.ModTime()) > coarse {
		return old, nil
	}
	at := time.Now()
	data, info, err := readFile(f.name)
	if err != nil {
		return nil, err
	}
	b := &body{info: info, at: at, sum: sha256.Sum256(data)}
	if old != nil && old.sum == b.sum {
		b.pairs, b.err = old.pairs, old.err
		return b, nil
	}
	b.pairs, b.err = parse(f.name, data)
	return b, nil
}

// readFile reads a file as it was at one time, as far as can be told from outside: if
// it changes meanwhile, it is read again.
func readFile(name string) (data []byte, info fs.FileInfo, err error) {
	for range 5 {
		if info, err = os.Stat(name); err != nil {
			return nil, nil, err
		}
		if data, err = os.ReadFile(name); err != nil {
			return nil, nil, err
		}
		after, err := os.Stat(name)
		if err != nil {
			return nil, nil, err
		}
		if !info.Mode().IsRegular() || unchanged(info, after) {
			break
		}
	}
	return data, info, nil
}

// pause waits for d or the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
