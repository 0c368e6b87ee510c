// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// A writtenFS has files that note where they are written to.
type writtenFS struct {
	*fs.FS
	at []int64
}

func (w *writtenFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := w.FS.Create(dir, name, size)
	return &writtenFile{f, w}, err
}

func (w *writtenFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := w.FS.OpenWriter(dir, name)
	return &writtenFile{f, w}, err
}

type writtenFile struct {
	types.WritableFile
	of *writtenFS
}

func (f *writtenFile) WriteAt(b []byte, at int64) (int, error) {
	f.of.at = append(f.of.at, at)
	return f.WritableFile.WriteAt(b, at)
}

// TestSegmentWriterFills: a batch has zeros written behind it, in which the next ones find room,
// unless batches are large. What is read is the same, and a file is never longer than it is to be.
func TestSegmentWriterFills(t *testing.T) {
	const limit = 1 << 20
	dir, vfs := t.TempDir(), &writtenFS{FS: fs.New()}
	files := newSegmentFiles(dir, vfs, nil)
	info := types.SegmentInfo{ID: 1, BaseIndex: 1, MinIndex: 1, SizeLimit: limit, Codec: wal.CodecBinaryV1}
	w, err := files.Create(info)
	if err != nil {
		t.Fatal(err)
	}
	var entries [][]byte
	add := func(size int) {
		t.Helper()
		entries = append(entries, bytes.Repeat([]byte{byte(len(entries) + 1)}, size))
		if err := w.Append([]types.LogEntry{{Index: uint64(len(entries)), Data: entries[len(entries)-1]}}); err != nil {
			t.Fatal(err)
		}
	}
	// Which of these are to have zeros behind them: the first, as there were none, and those that
	// pass the end of the zeros, unless many before were large.
	for i, b := range []struct {
		size  int
		fills bool
	}{
		{400, true}, {2000, false}, {40_000, false}, {40_000, false}, {40_000, false}, {10_000, true}, {8, false},
		{40_000, false}, {40_000, false}, {40_000, false}, {40_000, false}, {40_000, false}, {8, false}, {8, true}, {30_000, false},
	} {
		vfs.at = nil
		add(b.size)
		if fills := len(vfs.at) > 1; fills != b.fills {
			t.Errorf("batch %d, of %d bytes, was written at %v; the mean is %d", i, b.size, vfs.at, w.(*logSegment).w.mean)
		}
	}
	w.Close()
	if w, err = files.RecoverTail(info); err != nil {
		t.Fatal(err)
	}
	vfs.at = nil
	add(8)
	if n := len(vfs.at); n != fillBytes/fillPiece {
		t.Errorf("after a restart a batch was written at %v", vfs.at)
	}
	for i, at := range vfs.at {
		if i > 0 && at%fillPiece != 0 {
			t.Errorf("there are zeros from byte %d on, not from the beginning of a block", at)
		}
	}
	for len(entries) < 400 {
		if sealed, _, err := w.Sealed(); sealed || err != nil {
			break
		}
		add(4000)
	}
	if stat, err := os.Stat(filepath.Join(dir, segment.FileName(info))); err != nil || stat.Size() > limit+8000 {
		t.Errorf("the file has %d bytes, %v", stat.Size(), err)
	}
	for i, want := range entries {
		got, err := w.GetLog(uint64(i + 1))
		if err != nil || !bytes.Equal(got.Bs, want) {
			t.Fatalf("entry %d is another, %v", i+1, err)
		}
	}
	w.Close()
}

// TestSegmentWriterFillsBehindNoLargeValues: what is left to write of batches with large values,
// which are written from where they lie, are no small batches.
func TestSegmentWriterFillsBehindNoLargeValues(t *testing.T) {
	dir, vfs, pipe := t.TempDir(), &writtenFS{FS: fs.New()}, newLogPipe()
	log := openWAL(t, dir, newSegmentFiles(dir, vfs, pipe))
	defer log.Close()
	fills := 0
	for i := range 10 {
		vfs.at = nil
		if err := pipe.leaveOut([]*raft.Log{{Index: uint64(i + 1), Data: make([]byte, 90_000)}}, log.StoreLogs); err != nil {
			t.Fatal(err)
		}
		if len(vfs.at) > 3 {
			fills++
		}
	}
	if fills > 1 {
		t.Errorf("%d of 10 large values have zeros behind them", fills)
	}
}
