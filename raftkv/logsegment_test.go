// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// writersOf remembers the segments that are made.
type writersOf struct {
	segmentFiles
	made []*logSegment
}

func (f *writersOf) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.segmentFiles.Create(info)
	if err == nil {
		f.made = append(f.made, w.(*logSegment))
	}
	return w, err
}

// TestFullSegmentsHaveNoWriter: the writer of a full file, and its buffer, are gone, and
// everything can be read, before and after the log is opened again, and cut at both ends.
func TestFullSegmentsHaveNoWriter(t *testing.T) {
	dir := t.TempDir()
	files := &writersOf{segmentFiles: newSegmentFiles(dir, fs.New(), nil)}
	log := openWAL(t, dir, files)
	value := func(i uint64) []byte { return bytes.Repeat([]byte{byte(i)}, 200<<10) }
	check := func(first, last uint64) {
		t.Helper()
		for i := first; i <= last; i++ {
			var e raft.Log
			if err := log.GetLog(i, &e); err != nil || e.Index != i || !bytes.Equal(e.Data, value(i)) {
				t.Fatalf("entry %d: got entry %d of %d bytes, %v", i, e.Index, len(e.Data), err)
			}
		}
	}
	store := func(first, last uint64) {
		t.Helper()
		for i := first; i <= last; i++ {
			if err := log.StoreLog(&raft.Log{Index: i, Term: 1, Data: value(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(1, 50)
	check(1, 50)
	for i, s := range files.made[:len(files.made)-1] {
		if s.writer() != nil {
			t.Errorf("file %d of %d is full and has its writer", i, len(files.made))
		}
		if err := s.Append([]types.LogEntry{{Index: 99}}); !errors.Is(err, types.ErrSealed) {
			t.Errorf("a write to a full file: got %v", err)
		}
	}
	if err := log.DeleteRange(1, 12); err != nil {
		t.Fatal(err)
	}
	if err := log.DeleteRange(31, 50); err != nil { // into a full file
		t.Fatal(err)
	}
	store(31, 45)
	check(13, 45)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = openWAL(t, dir, files)
	defer log.Close()
	check(13, 45)
	store(46, 60)
	check(13, 60)
}

func openWAL(t *testing.T, dir string, files types.SegmentFiler) *wal.WAL {
	t.Helper()
	log, err := wal.Open(dir, wal.WithSegmentSize(1<<20), wal.WithSegmentFiler(files))
	if err != nil {
		t.Fatal(err)
	}
	return log
}
