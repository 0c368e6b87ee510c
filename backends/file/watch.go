// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// A watcher calls hint whenever something happens to the names that were asked for. It
// lives from the first Wait to Close; what it watches changes with each scan.
type watcher struct {
	fs   *fsnotify.Watcher
	log  *slog.Logger
	hint func()
	done sync.WaitGroup // of the one goroutine, pump

	failed bool // a directory could not be watched; logged. Owned by the scanning

	mu    sync.Mutex
	names map[string]map[string]bool // :: directory → names in it, "" for all
	next  map[string]map[string]bool // the same, of the scan going on
}

func newWatcher(log *slog.Logger, hint func()) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{
		fs:    notify,
		log:   log,
		hint:  hint,
		names: make(map[string]map[string]bool),
	}
	w.done.Go(w.pump)
	return w, nil
}

// close ends the watcher and its goroutine.
func (w *watcher) close() error {
	err := w.fs.Close()
	w.done.Wait()
	return err
}

// begin starts the list of what the scan that follows asks for.
func (w *watcher) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = make(map[string]map[string]bool)
}

// add watches a name in a directory, or all names if it is "". It is called again by
// every scan, and so finds a directory that was replaced by another of the same name.
func (w *watcher) add(dir, name string) {
	if !w.note(dir, name) {
		return
	}
	// Not under mu: fsnotify may be holding its own lock while pump waits for ours.
	if err := w.fs.Add(dir); err != nil && !w.failed && !errors.Is(err, fsnotify.ErrClosed) {
		w.failed = true
		w.log.Warn("watching a directory; changes are found by looking again from time to time", "dir", dir, "err", err)
	}
}

// note lists a name, and reports whether this scan has not had its directory before.
func (w *watcher) note(dir, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.next[dir] == nil
	for _, list := range []map[string]map[string]bool{w.names, w.next} {
		if list[dir] == nil {
			list[dir] = make(map[string]bool)
		}
		list[dir][name] = true
	}
	return first
}

// end drops what the scan did not ask for.
func (w *watcher) end() {
	w.mu.Lock()
	old, next := w.names, w.next
	w.names, w.next = next, nil
	w.mu.Unlock()
	for dir := range old {
		if next[dir] == nil {
			_ = w.fs.Remove(dir) // the kernel may have done so already
		}
	}
}

// pump passes events on as hints until the watcher is closed. A full queue in the
// kernel is an error here, and a hint like any other.
func (w *watcher) pump() {
	events, errs := w.fs.Events, w.fs.Errors
	for events != nil || errs != nil {
		select {
		case event, ok := <-events:
			if !ok {
				events = nil
			} else if w.concerns(event.Name) {
				w.hint()
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				w.hint()
			}
		}
	}
}

// concerns reports whether a scan asked for the path of an event, or watches it.
func (w *watcher) concerns(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := w.names[filepath.Dir(name)]
	return in[""] || in[filepath.Base(name)] || w.names[name] != nil
}
