// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	stageMark   = ".confd-"
	stageDigits = 16
)

// stageOf returns the name of the file that a staged file is for.
func stageOf(name string) (base string, ok bool) {
	at := len(name) - stageDigits - len(stageMark)
	if at < 1 || name[0] != '.' || name[at:at+len(stageMark)] != stageMark {
		return "", false
	}
	return name[1:at], strings.Trim(name[at+len(stageMark):], "0123456789abcdef") == ""
}

// leftovers are the staged files that an earlier process has left behind. Each directory
// is read once, however many destinations it has: when the first of them is looked at.
// The zero value is ready to use, concurrently.
type leftovers struct {
	mu   sync.Mutex
	dirs map[string]map[string][]string // :: directory → base of the destination → names
}

// of returns the names of the staged files for a file called base.
func (l *leftovers) of(dir, base string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, ok := l.dirs[dir]
	if !ok {
		files = stagedIn(dir)
		if l.dirs == nil {
			l.dirs = make(map[string]map[string][]string)
		}
		l.dirs[dir] = files
	}
	return files[base]
}

// stagedIn returns the names of all staged files in a directory, by the base of their
// destination.
func stagedIn(dir string) map[string][]string {
	d, err := os.Open(dir)
	if err != nil {
		return nil // the attempt itself will tell
	}
	defer d.Close()
	entries, _ := d.ReadDir(-1) // not sorted, as os.ReadDir is; what was read counts
	files := make(map[string][]string)
	for _, entry := range entries {
		if base, ok := stageOf(entry.Name()); ok && entry.Type().IsRegular() {
			files[base] = append(files[base], entry.Name())
		}
	}
	return files
}

// sweep removes staged files that an earlier process has left behind. What cannot be
// removed does no harm and stays.
func (r *Resource) sweep() {
	path, err := r.shared.paths.resolve(r.Dest)
	if err != nil {
		return // the attempt itself will tell
	}
	dir, base := filepath.Split(path)
	for _, name := range r.shared.leftovers.of(dir, base) {
		left := filepath.Join(dir, name)
		err := r.sys.remove(left)
		if err == nil {
			r.log.Info("removed leftover staged file", "path", left)
		} else if !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("removing leftover staged file", "err", err)
		}
	}
}
