// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What a marker says in its first word. Anything else, such as nothing at all after
// the process was killed while it wrote, means markDue.
const (
	markDue  = "due"  // the reload command is to run
	markTorn = "torn" // the same, after the file has been rewritten whole
)

// marker returns the path of the file that says that a reload is due, "" if there is
// no place for it.
func (r *Resource) marker() string {
	if r.opts.StateDir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(r.Dest))
	return filepath.Join(r.opts.StateDir, "pending", hex.EncodeToString(sum[:16]))
}

// note writes the marker, if there is anything to run. A marker that cannot be written
// does not stop the file from being kept up to date.
func (r *Resource) note(mark string) {
	path := r.marker()
	if path == "" || r.ReloadCmd == "" {
		return
	}
	err := r.sys.mark(path, mark+" "+r.Dest+"\n")
	if err != nil && !r.warned {
		r.warned = true
		r.log.Warn("noting that a reload is due; should this process end before the reload, it is forgotten", "err", err)
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
	r.log.Info("a reload is still due from an earlier run")
}

// forget removes the marker: no reload is due. A marker that cannot be removed is
// stale; the next attempt tries again.
func (r *Resource) forget() {
	r.pending = false
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
