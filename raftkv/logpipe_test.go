// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// heldSyncs is a file system whose files are synced one by one, each when it is let go.
type heldSyncs struct {
	types.VFS
	begun chan struct{} // receives when a sync begins
	let   chan struct{} // closed to let all go
	err   error         // of those that this lets go
	count atomic.Int64  // of syncs
}

func (h *heldSyncs) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := h.VFS.Create(dir, name, size)
	return heldFile{f, h}, err
}

type heldFile struct {
	types.WritableFile
	held *heldSyncs
}

func (f heldFile) Sync() error {
	f.held.count.Add(1)
	select {
	case f.held.begun <- struct{}{}:
		if _, alone := <-f.held.let; !alone && f.held.err != nil {
			return f.held.err
		}
	case <-f.held.let:
	}
	return f.WritableFile.Sync()
}

// A pipedLog is a log of one node's, whose syncs can be held, and what its file holds.
type pipedLog struct {
	*aheadLog
	dir   string
	t     *testing.T
	ended func() <-chan struct{} // closes it, once
}

func newPipedLog(t *testing.T, files types.VFS, fail func()) *pipedLog {
	dir := t.TempDir()
	pipe := newLogPipe()
	vfs := logFiles{files, func(error) { fail() }}
	meta, _, err := openLogMeta(filepath.Join(dir, "meta"), func(error) { fail() })
	if err != nil {
		t.Fatal(err)
	}
	w, err := wal.Open(dir, wal.WithSegmentSize(1<<20), wal.WithMetaStore(meta), wal.WithSegmentFiler(newSegmentFiles(dir, vfs, pipe)))
	if err != nil {
		t.Fatal(err)
	}
	logs := newLogStore(markedLog{w, meta, pipe}, time.Hour, func(error) { fail() })
	logs.pipe = pipe
	l := newAheadLog(logs, 0, func(size int) bool { return size >= pipedBytes }, nil)
	ended := sync.OnceValue(l.close)
	t.Cleanup(func() {
		<-ended()
		w.Close()
	})
	return &pipedLog{l, dir, t, ended}
}

func (l *pipedLog) store(index uint64, size int) {
	l.t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(index)
	}
	if err := l.StoreLogs([]*raft.Log{{Index: index, Term: 1, Type: raft.LogCommand, Data: data}}); err != nil {
		l.t.Fatal(err)
	}
}

// scan returns what the first file holds.
func (l *pipedLog) scan() segmentScan {
	f, err := fs.New().OpenReader(l.dir, walFiles(l.t, l.dir)[0])
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	s, err := scanSegment(f)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// newHeldLog returns a log with one entry on the disk, and a second one, large, whose sync goes
// on until let is called.
func newHeldLog(t *testing.T) (l *pipedLog, let func() *heldSyncs) {
	return newFailingLog(t, nil, sync.OnceFunc(func() { t.Error("the log has failed") }))
}

// newFailingLog is newHeldLog with an error for that sync, if it is to have one. fail is told.
func newFailingLog(t *testing.T, err error, fail func()) (l *pipedLog, let func() *heldSyncs) {
	held := &heldSyncs{VFS: fs.New(), begun: make(chan struct{}), let: make(chan struct{}), err: err}
	let = sync.OnceValue(func() *heldSyncs {
		close(held.let)
		return held
	})
	first := make(chan struct{})
	go func() { // the first batch of a file is not held
		defer close(first)
		<-held.begun
		held.let <- struct{}{}
	}()
	l = newPipedLog(t, held, fail)
	t.Cleanup(func() { let() }) // before the log is closed
	l.store(1, 100)
	<-first
	l.store(2, pipedBytes)
	<-held.begun
	return l, let
}

// TestPipe: while a large batch is synced the next one is written, but not so that it is
// whole, and neither is said to be on the disk.
func TestPipe(t *testing.T) {
	l, let := newHeldLog(t)
	l.store(3, pipedBytes)
	eventually(t, "the third entry to be written", func() bool { return l.scan().garbage > l.scan().end+pipedBytes/2 })
	if s := l.scan(); s.entries != 2 || l.durably(9) != 1 {
		t.Errorf("%d entries are whole while the second is synced, and %d on the disk", s.entries, l.durably(9))
	}
	let()
	if err := l.waitDurable(3); err != nil {
		t.Fatal(err)
	}
	if s := l.scan(); s.entries != 3 || s.garbage != s.end {
		t.Errorf("%d entries are whole in the end, and there is more up to %d", s.entries, s.garbage)
	}
}

// TestPipeSyncsAllAtOnce: what was written during a sync has the next one together, and is one
// batch: were there two, a crash could leave the second alone, as if the first had been damaged.
func TestPipeSyncsAllAtOnce(t *testing.T) {
	l, let := newHeldLog(t)
	for i := uint64(3); i < 6; i++ {
		l.store(i, pipedBytes)
		eventually(t, "an entry to be written", func() bool { return l.scan().garbage > l.scan().end+int64(i-2)*pipedBytes })
	}
	syncs := let()
	if err := l.waitDurable(3); err != nil {
		t.Fatal(err)
	}
	if l.durably(9) != 5 || syncs.count.Load() != 3 {
		t.Errorf("%d entries are on the disk after %d syncs", l.durably(9), syncs.count.Load())
	}
	if s := l.scan(); s.entries != 5 || s.garbage != s.end {
		t.Errorf("%d entries are whole in the end, and there is more up to %d", s.entries, s.garbage)
	}
}

// TestPipeAtTheEndOfAFile: the list of files names the next one only when all of this one is on
// the disk.
func TestPipeAtTheEndOfAFile(t *testing.T) {
	l, let := newHeldLog(t)
	l.store(3, 1<<20)
	eventually(t, "the third entry to be written", func() bool { return l.scan().garbage > 1<<20 })
	if s := l.scan(); s.index != 0 || len(walFiles(t, l.dir)) != 1 {
		t.Errorf("there are %v, and the first is complete: %v", walFiles(t, l.dir), s.index != 0)
	}
	let()
	l.store(4, pipedBytes)
	if err := l.waitDurable(4); err != nil {
		t.Fatal(err)
	}
	if s := l.scan(); s.entries != 3 || s.index == 0 || len(walFiles(t, l.dir)) != 2 {
		t.Errorf("there are %v, of which the first has %d entries", walFiles(t, l.dir), s.entries)
	}
}

// TestPipeAfterAFailedSync: when a sync fails nothing behind it becomes whole, nor does the file
// that it fills: the list of files would say that all of it is on the disk.
func TestPipeAfterAFailedSync(t *testing.T) {
	failed := make(chan struct{})
	l, let := newFailingLog(t, errors.New("the sync failed"), sync.OnceFunc(func() { close(failed) }))
	l.store(3, 1<<20)
	eventually(t, "the third entry to be written", func() bool { return l.scan().garbage > 1<<20 })
	syncs := let()
	<-failed
	<-l.ended()
	if s := l.scan(); s.entries > 2 || s.index != 0 || len(walFiles(t, l.dir)) != 1 || syncs.count.Load() != 2 {
		t.Errorf("%d entries are whole after %d syncs, and the files are %v", s.entries, syncs.count.Load(), walFiles(t, l.dir))
	}
	if l.durably(9) != 1 {
		t.Errorf("%d entries are said to be on the disk", l.durably(9))
	}
}
