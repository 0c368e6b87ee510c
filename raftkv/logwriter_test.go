// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// logEntries returns entries of many sizes, of which some are written without a copy.
func logEntries() []*raft.Log {
	var es []*raft.Log
	at := time.Unix(1700000000, 12345).UTC()
	for i, size := range []int{0, 1, 7, 8, 200, directBytes - 1, directBytes, directBytes + 5, 64 << 10, 3, 300 << 10, 17, 500 << 10, 90 << 10, 1, 1 << 20, 2, 700 << 10, 9, 800 << 10, 40 << 10, 1, 1, 5, 600 << 10} {
		e := &raft.Log{Index: uint64(i + 1), Term: uint64(1 + 100*i), Type: raft.LogCommand, Data: bytes.Repeat([]byte{byte(i + 1)}, size), AppendedAt: at}
		if i%3 == 0 {
			e.Extensions = []byte("extension")
		}
		es = append(es, e)
	}
	return es
}

// batchesOf cuts entries into batches of one, two, three and so on.
func batchesOf(es []*raft.Log) (all [][]*raft.Log) {
	for n := 1; len(es) > 0; n++ {
		n := min(n, len(es))
		all = append(all, es[:n])
		es = es[n:]
	}
	return all
}

// storeAll writes batches to a log in a directory and closes it.
func storeAll(t *testing.T, dir string, files types.SegmentFiler, store func(log *wal.WAL, es []*raft.Log) error) {
	t.Helper()
	log := openWAL(t, dir, files)
	for _, es := range batchesOf(logEntries()) {
		if err := store(log, es); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkEntries reads all entries of a log.
func checkEntries(t *testing.T, log *wal.WAL) {
	t.Helper()
	for _, want := range logEntries() {
		var e raft.Log
		if err := log.GetLog(want.Index, &e); err != nil {
			t.Fatalf("entry %d: %v", want.Index, err)
		}
		if e.Index != want.Index || e.Term != want.Term || e.Type != want.Type || !bytes.Equal(e.Data, want.Data) ||
			!bytes.Equal(e.Extensions, want.Extensions) || !e.AppendedAt.Equal(want.AppendedAt) {
			t.Fatalf("entry %d is another", want.Index)
		}
	}
}

// TestSegmentWriterIsRaftWALs: the files are those that raft-wal would write, byte by byte, and
// are read and gone on with by either.
func TestSegmentWriterIsRaftWALs(t *testing.T) {
	ours, theirs := t.TempDir(), t.TempDir()
	pipe := newLogPipe()
	storeAll(t, ours, newSegmentFiles(ours, fs.New(), pipe), func(log *wal.WAL, es []*raft.Log) error {
		return pipe.leaveOut(es, log.StoreLogs)
	})
	storeAll(t, theirs, segment.NewFiler(theirs, fs.New()), (*wal.WAL).StoreLogs)
	names := walFiles(t, theirs)
	if len(names) < 2 {
		t.Fatalf("only %d files", len(names))
	}
	for _, name := range names {
		a, err := os.ReadFile(filepath.Join(ours, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(theirs, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from raft-wal's", name)
		}
	}
	for dir, files := range map[string]types.SegmentFiler{
		theirs: newSegmentFiles(theirs, fs.New(), nil), ours: segment.NewFiler(ours, fs.New()),
	} {
		log := openWAL(t, dir, files)
		checkEntries(t, log)
		last := uint64(len(logEntries()))
		if err := log.StoreLog(&raft.Log{Index: last + 1, Data: []byte("more")}); err != nil {
			t.Fatal(err)
		}
		var e raft.Log
		if err := log.GetLog(last+1, &e); err != nil || string(e.Data) != "more" {
			t.Errorf("after a restart: %q, %v", e.Data, err)
		}
		if err := log.GetLog(last+2, &e); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("behind the end: %v", err)
		}
		log.Close()
	}
}

// TestSegmentWriterKnowsItsFile: the file of another log is not gone on with.
func TestSegmentWriterKnowsItsFile(t *testing.T) {
	dir := t.TempDir()
	files := newSegmentFiles(dir, fs.New(), nil)
	info := types.SegmentInfo{ID: 7, BaseIndex: 3, MinIndex: 3, SizeLimit: 1 << 20, Codec: wal.CodecBinaryV1}
	w, err := files.Create(info)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append([]types.LogEntry{{Index: 4}}); err == nil {
		t.Error("an entry was written that does not follow")
	}
	if err := w.Append([]types.LogEntry{{Index: 3, Data: []byte("data")}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w, err = files.RecoverTail(info)
	if err != nil || w.LastIndex() != 3 {
		t.Fatalf("the file ends at entry %d, %v", w.LastIndex(), err)
	}
	w.Close()
	name := walFiles(t, dir)[0]
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	info.ID = 8
	if err := os.WriteFile(filepath.Join(dir, segment.FileName(info)), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := files.RecoverTail(info); !errors.Is(err, types.ErrCorrupt) {
		t.Errorf("the file of another log: %v", err)
	}
}
