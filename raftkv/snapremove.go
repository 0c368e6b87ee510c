// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// removeStep is by how much a file is made shorter at once, and removePause how long the
	// disk is then left to others. On a disk that is told of each block that is free (ext4 mounted
	// with discard) writes to the log waited 50 to 110 ms when 300 MB were removed at once, and
	// no longer than else with these steps.
	removeStep  = 4 << 20
	removePause = 10 * time.Millisecond

	// removedSuffix ends the name of what is to be removed. Raft does not take a directory with
	// .tmp for a snapshot, and openDataDir removes what a crash leaves.
	removedSuffix = ".removed.tmp"
)

// A snapshotRemover removes snapshots bit by bit, in a goroutine of its own, and never the
// newest keepSnapshots. Raft's store would remove one as soon as the next is there, as a whole,
// and on a follower while raft does nothing else.
//
// The disk has one snapshot more for a moment, which must not be why the next one does not
// fit, nor become many if it is so slow that they come faster than they go. It goes at once when
// less is free than two of its kind take, and all but one do when more than one is to go.
type snapshotRemover struct {
	dir    string                          // holds the directories of the snapshots
	free   func(dir string) (int64, error) // bytes that the disk has left
	sync   func(dir string) error          // makes names durable
	log    hclog.Logger
	failed <-chan struct{} // see openSnapshots
	ending chan struct{}   // closed by end

	mu      sync.Mutex
	readers map[string]int  // how many read a snapshot, which must stay whole for them
	awaited map[string]bool // which of them are to be removed then
	again   bool            // there may be something to remove
	runs    bool            // the goroutine does
	ended   bool

	removing sync.WaitGroup
}

func newSnapshotRemover(dir string, failed <-chan struct{}, log hclog.Logger) *snapshotRemover {
	return &snapshotRemover{dir: dir, free: freeSpace, sync: syncDir, log: log, failed: failed,
		ending: make(chan struct{}), readers: make(map[string]int), awaited: make(map[string]bool)}
}

// wake has everything removed that is to be, soon. What goes wrong is logged, and tried again
// when it is called again.
func (r *snapshotRemover) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakeLocked()
}

func (r *snapshotRemover) wakeLocked() {
	r.again = true
	if !r.runs && !r.ended {
		r.runs = true
		r.removing.Go(r.run)
	}
}

// end has the goroutine end, for which the caller waits (removing). What it leaves the next
// start removes. It may be called more than once.
func (r *snapshotRemover) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended = true
		close(r.ending)
	}
}

// beginRead keeps a snapshot whole until endRead: one that is sent to a follower may be old
// before that has all of it. It may lose its name.
func (r *snapshotRemover) beginRead(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers[id]++
}

func (r *snapshotRemover) endRead(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readers[id]--; r.readers[id] > 0 {
		return
	}
	delete(r.readers, id)
	if r.awaited[id] {
		delete(r.awaited, id)
		r.wakeLocked()
	}
}

// isRead reports whether somebody still reads a snapshot. It has lost its name, so nobody begins to
// any more, and it is removed when nobody reads it.
func (r *snapshotRemover) isRead(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readers[id] == 0 {
		return false
	}
	r.awaited[id] = true
	return true
}

func (r *snapshotRemover) run() {
	for {
		r.mu.Lock()
		if !r.again || r.ended {
			r.runs = false
			r.mu.Unlock()
			return
		}
		r.again = false
		r.mu.Unlock()
		if err := r.remove(); err != nil {
			r.log.Warn("removing old snapshots, which are left until the next one or the next start", "error", err)
		}
	}
}

// remove removes what nobody needs or reads, or as much as there is time for. Which snapshots
// are old it takes from their names: meta.json may be damaged since the start, and the newest one
// must not go because of that.
func (r *snapshotRemover) remove() error {
	var errs []error
	for i, id := range snapshotIDs(r.dir) {
		if i >= keepSnapshots {
			errs = append(errs, r.setAside(id.name, id.name))
		}
	}
	aside, err := r.aside()
	if err != nil || len(aside) == 0 {
		return errors.Join(append(errs, err)...)
	}
	// Or after a crash there could be a part of a snapshot under a name that raft knows.
	if err := r.sync(r.dir); err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, path := range aside[1:] {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(append(errs, r.removeSlowly(aside[0]))...)
}

// setAside takes what has a name in the directory out of raft's sight, to be removed. It is or
// would have been the snapshot with that id.
func (r *snapshotRemover) setAside(name, id string) error {
	return os.Rename(filepath.Join(r.dir, name), filepath.Join(r.dir, id+removedSuffix))
}

// aside returns the paths of what can be removed now.
func (r *snapshotRemover) aside() ([]string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), removedSuffix); ok && !r.isRead(id) {
			paths = append(paths, filepath.Join(r.dir, e.Name()))
		}
	}
	return paths, nil
}

// removeSlowly removes the directory of a snapshot. It gives up without an error if the remover
// is to end.
func (r *snapshotRemover) removeSlowly(path string) error {
	state, err := os.OpenFile(filepath.Join(path, "state.bin"), os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return os.RemoveAll(path)
	}
	if err != nil {
		return err
	}
	done := r.shorten(state)
	if err := state.Close(); err != nil || !done {
		return err
	}
	return os.RemoveAll(path)
}

// shorten makes a file shorter until there is not more than a step left of it, or by all at once
// if the disk may be too full to wait. One that has another name as well, as in a copy that was made
// with hard links, it leaves as it is: the copy must stay whole, and to remove one name is quick.
// So it does with one that cannot be cut off, as on some full disks. It reports whether the rest can
// be removed; if not, the remover is to end.
func (r *snapshotRemover) shorten(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return true
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok && sys.Nlink > 1 {
		return true
	}
	for size := info.Size(); size > removeStep; {
		size -= removeStep
		if free, err := r.free(r.dir); err != nil || free < 2*info.Size() {
			size = 0
		}
		// Without a sync the file system may save up many steps and tell the disk at once.
		if err := errors.Join(f.Truncate(size), f.Sync()); err != nil {
			return true
		}
		if !r.pause() {
			return false
		}
	}
	return true
}

// pause waits before the next step. It reports whether to go on.
func (r *snapshotRemover) pause() bool {
	t := time.NewTimer(removePause)
	defer t.Stop()
	select {
	case <-r.ending:
		return false
	case <-r.failed:
		return false
	case <-t.C:
		return true
	}
}
