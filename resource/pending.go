// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a marker says in its first word. Anything else, such as nothing at all after
// the process was killed while it wrote, means markDue.
const (
	markDue  = "due"  // the reload command is to run
	markTorn = "torn" // the same, after the file, or its bundle, has been written whole

	goodMark = "good " // a line of the marker: see owing
)

// marker returns the path of the file that says that a reload is due, "" if there is
// no place for it.
func (r *Resource) marker() string {
	if r.opts.StateDir == "" {
		return ""
	}
	return filepath.Join(r.opts.StateDir, "pending", nameOf(r.Dest))
}

// nameOf returns a file name for a path or the name of a bundle.
func nameOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// owing is what a resource has still to do after its file was changed.
type owing struct {
	pending bool   // a reload is due
	tried   bool   // it has been tried since the file was last written, and has failed
	torn    bool   // a rewrite in place has failed half way
	split   bool   // another file of the bundle is not of the same version
	good    string // the generation of the history that was there when nothing was due; "" = unknown
}

// owe notes that a reload is due, if the resource has one.
func (r *Resource) owe() {
	if r.reload != nil {
		r.pending, r.tried = true, false
		r.update(func(s *Status) { s.ReloadErr, s.ReloadRetry = nil, time.Time{} })
	}
	r.note()
}

// note writes the marker, if there is anything to run. A marker that cannot be written
// does not stop the file from being kept up to date.
func (r *Resource) note() {
	path := r.marker()
	if path == "" || r.reload == nil {
		return
	}
	mark := markDue
	if r.torn || r.split {
		mark = markTorn
	}
	err := r.sys.mark(path, fmt.Sprintf("%s %s\n%s%s\n", mark, r.Dest, goodMark, r.good))
	if err != nil && !r.warned {
		r.warned = true
		r.log.Warn("noting that a reload is due; should this process end before the reload, it is forgotten", "err", err)
	}
}

// start looks, before the first attempt, for what an earlier process has left.
func (r *Resource) start() {
	if r.started || r.opts.Noop {
		return
	}
	r.started = true
	r.recall()
	if !r.opts.KeepStageFile {
		r.sweep()
	}
}

// recall reads the marker of an earlier process.
func (r *Resource) recall() {
	path := r.marker()
	if path == "" || r.opts.SyncOnly {
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("looking for a reload that is due", "err", err)
		}
		return
	}
	r.pending = true
	r.torn = strings.HasPrefix(string(data), markTorn)
	for line := range strings.Lines(string(data)) {
		if good, ok := strings.CutPrefix(line, goodMark); ok {
			r.good = strings.TrimSpace(good)
		}
	}
	r.log.Info("a reload is still due from an earlier run")
}

// forget removes the marker: no reload is due. A marker that cannot be removed is
// stale; the next attempt tries again.
func (r *Resource) forget() {
	r.pending = false
	r.update(func(s *Status) { s.ReloadErr, s.ReloadRetry = nil, time.Time{} })
	path := r.marker()
	if path == "" {
		return
	}
	err := r.sys.remove(path)
	r.stale = err != nil && !errors.Is(err, fs.ErrNotExist)
	if r.stale && !r.warned {
		r.warned = true
		r.log.Warn("removing the note of a due reload; until that is done, a start reloads once more", "err", err)
	}
}
