// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// logFiles are the log's files, for raft-wal. A new file is made by a goroutine of its
// own, where raft-wal only logs what goes wrong: the node would learn of it with the next
// write, which says that the old file is sealed.
type logFiles struct {
	types.VFS
	fail func(error)
}

// Create makes a file of the full size.
func (l logFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := l.VFS.Create(dir, name, size)
	if err != nil {
		l.fail(fmt.Errorf("making a new file of the log: %w", err))
		return nil, err
	}
	return f, nil
}

// SyncDir makes the names in a directory durable.
func (l logFiles) SyncDir(dir string) error { return syncLogDir(l.VFS, dir) }

// A fileRemover removes the log's files in a goroutine of its own. raft-wal removes them while
// no entry can be written, and each takes two steps of the disk, some 10 ms under load: a
// cut of 20 files held up all writes for 200 to 300 ms. A file that is still there after
// a crash is in no list of the log's files, and raft-wal removes it at the next start. Until
// the log is open files are removed at once, as raft-wal may then make one of the same name.
type fileRemover struct {
	types.VFS
	log *slog.Logger

	mu      sync.Mutex
	files   [][2]string // directory and name of those to be removed
	removes bool        // the goroutine runs
	opened  bool        // the log is open

	removing sync.WaitGroup
}

// SyncDir makes the names in a directory durable.
func (r *fileRemover) SyncDir(dir string) error { return syncLogDir(r.VFS, dir) }

// isOpen says that the log is open.
func (r *fileRemover) isOpen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = true
}

// Delete has a file removed soon. Once the log is open there is no error: what goes wrong is
// logged.
func (r *fileRemover) Delete(dir, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.opened {
		return r.VFS.Delete(dir, name)
	}
	r.files = append(r.files, [2]string{dir, name})
	if !r.removes {
		r.removes = true
		r.removing.Go(r.remove)
	}
	return nil
}

// remove removes files until there are none left.
func (r *fileRemover) remove() {
	for {
		r.mu.Lock()
		if len(r.files) == 0 {
			r.removes = false
			r.mu.Unlock()
			return
		}
		dir, name := r.files[0][0], r.files[0][1]
		r.files = r.files[1:]
		r.mu.Unlock()
		if err := r.removeNow(dir, name); err != nil {
			r.log.Warn("removing a file of the log, which is left until the next start", "err", err)
		}
	}
}

// removeNow removes a file. On a disk it does not have that made durable, as raft-wal would: the
// file may be there again after a crash, and every such step makes the next write to the log
// wait, which with large values fills a file some times a second.
func (r *fileRemover) removeNow(dir, name string) error {
	if _, ok := r.VFS.(*fs.FS); ok {
		return os.Remove(filepath.Join(dir, name))
	}
	return r.VFS.Delete(dir, name)
}
