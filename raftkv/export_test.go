// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/types"
)

// MemoryDir is for the tests that see the package from outside.
var MemoryDir = memoryDir

// A DiskLog is the log as a node has it, for the tests that see the package from outside.
type DiskLog struct {
	*aheadLog
	wal *wal.WAL
}

// OpenDiskLog checks and opens the log in a directory, whose files have that size. Entries from
// large on are written ahead. It also returns the index of the last entry.
func OpenDiskLog(dir string, files types.VFS, size, large int) (*DiskLog, uint64, error) {
	failed := make(chan struct{})
	end := sync.OnceFunc(func() { close(failed) })
	fail := func(error) { end() }
	meta, _, err := openLogMeta(filepath.Join(dir, "meta"), fail)
	if err != nil {
		return nil, 0, err
	}
	check := logCheck{dir, files, meta, slog.New(slog.DiscardHandler)}
	last, err := check.run()
	if err != nil {
		return nil, 0, err
	}
	pipe := newLogPipe()
	w, err := wal.Open(dir, wal.WithSegmentSize(size), wal.WithMetaStore(meta), wal.WithSegmentFiler(newSegmentFiles(dir, files, pipe)))
	if err != nil {
		return nil, 0, err
	}
	logs := newLogStore(markedLog{w, meta, pipe}, time.Hour, fail)
	logs.pipe = pipe
	return &DiskLog{newAheadLog(logs, last, func(n int) bool { return n >= large }, failed), w}, last, nil
}

// Flush makes all entries durable.
func (l *DiskLog) Flush() error { return l.flush() }

// Close closes the log, without moving its mark.
func (l *DiskLog) Close() error {
	<-l.close()
	return l.wal.Close()
}

// Read returns the data of an entry.
func (l *DiskLog) Read(index uint64) ([]byte, error) {
	var e raft.Log
	err := l.GetLog(index, &e)
	if err == nil && e.Index != index {
		err = errors.New("it is another entry")
	}
	return e.Data, err
}
