// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Edits are waited out for editQuiet, but not longer than editLongest: editors and
// package managers write more than one file, and a file more than once.
const (
	editQuiet   = 200 * time.Millisecond
	editLongest = 2 * time.Second
)

// WatchDir calls changed after something in or below conf.d or templates of the confdir
// has changed, until ctx ends. It says no more than that: the one right answer is to
// read the resources again. It fails if the directories cannot be watched.
func WatchDir(ctx context.Context, confDir string, changed func()) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching %q: %w", confDir, err)
	}
	defer notify.Close()
	w := dirWatch{notify: notify, confDir: filepath.Clean(confDir)}
	if err := w.scan(); err != nil {
		return fmt.Errorf("watching %q: %w", confDir, err)
	}
	var first time.Time // of the events that changed was not called for
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-notify.Events:
			if !ok || !w.concerns(event) {
				continue
			}
		case <-notify.Errors: // a full queue may have held anything
		case <-quiet.C:
			first = time.Time{}
			if err := w.scan(); err != nil { // there may be new directories
				return fmt.Errorf("watching %q: %w", confDir, err)
			}
			changed()
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(min(editQuiet, first.Add(editLongest).Sub(now)))
	}
}

// A dirWatch is what WatchDir watches.
type dirWatch struct {
	notify  *fsnotify.Watcher
	confDir string
}

// concerns reports whether an event may be about a resource or a template. Of the
// confdir itself only the two directories in it count: others may write there.
func (w *dirWatch) concerns(event fsnotify.Event) bool {
	if event.Op == fsnotify.Chmod {
		return false
	}
	if filepath.Dir(event.Name) != w.confDir {
		return true
	}
	name := filepath.Base(event.Name)
	return name == "conf.d" || name == "templates"
}

// scan watches the directories that are there. One that has gone in the meantime is
// told by an event.
func (w *dirWatch) scan() error {
	if err := w.notify.Add(w.confDir); err != nil {
		return err
	}
	for _, name := range []string{"conf.d", "templates"} {
		w.walk(filepath.Join(w.confDir, name), nil)
	}
	return nil
}

// walk watches a directory and those below it. The parents end a circle of links.
func (w *dirWatch) walk(dir string, parents []os.FileInfo) {
	own, err := os.Stat(dir)
	if err != nil || !own.IsDir() {
		return
	}
	for _, parent := range parents {
		if os.SameFile(parent, own) {
			return
		}
	}
	_ = w.notify.Add(dir) // what is not watched is found by SIGHUP
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.IsDir() || entry.Type()&os.ModeSymlink != 0 {
			w.walk(filepath.Join(dir, entry.Name()), append(parents[:len(parents):len(parents)], own))
		}
	}
}
