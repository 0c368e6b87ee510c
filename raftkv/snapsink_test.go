// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// TestSnapshotSlices: never more than a slice of a snapshot waits for the disk, whatever the
// size of the writes; what is read afterwards is what was written.
func TestSnapshotSlices(t *testing.T) {
	store, err := openSnapshots(t.TempDir(), nil, newHCLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer store.close()
	_, trans := raft.NewInmemTransport("")
	for i, size := range []int{1000, 256 << 10, 3*snapshotSlice + 5} {
		made, err := store.Create(1, uint64(i+1), 1, raft.Configuration{}, 1, trans)
		if err != nil {
			t.Fatal(err)
		}
		sink := made.(*snapshotSink)
		part := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		var want []byte
		for len(want) < 4*snapshotSlice {
			if n, err := sink.Write(part); n != len(part) || err != nil {
				t.Fatalf("wrote %d of %d bytes: %v", n, len(part), err)
			}
			want = append(want, part...)
			if sink.size != int64(len(want)) || sink.size-sink.sent >= snapshotSlice {
				t.Fatalf("of %d bytes, %d by the sink's count, %d have been sent to the disk", len(want), sink.size, sink.sent)
			}
		}
		if err := sink.Close(); err != nil || sink.state != nil {
			t.Fatalf("closing: %v, file %v", err, sink.state)
		}
		if err := sink.Close(); err != nil {
			t.Errorf("closing it again: %v", err)
		}
		_, r, err := store.Open(sink.ID())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, not those written: %v", len(got), err)
		}
	}
}

// TestSnapshotCancelled: nothing is left of a snapshot that is given up, or whose file cannot
// be sent to the disk.
func TestSnapshotCancelled(t *testing.T) {
	base := t.TempDir()
	store, err := openSnapshots(base, nil, newHCLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer store.close()
	_, trans := raft.NewInmemTransport("")
	made, err := store.Create(1, 1, 1, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	sink := made.(*snapshotSink)
	sink.state.Close()
	if _, err := sink.Write(make([]byte, 2*snapshotSlice)); err == nil {
		t.Error("a write that could not be sent to the disk has no error")
	}
	sink.state = nil // which is closed
	if err := sink.Cancel(); err != nil {
		t.Error(err)
	}
	store.remover.removing.Wait()
	left, err := os.ReadDir(filepath.Join(base, "snapshots"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestSnapshotOfAFailedNode: it is not written on, so that the node can be closed at once.
func TestSnapshotOfAFailedNode(t *testing.T) {
	failed := make(chan struct{})
	store, err := openSnapshots(t.TempDir(), failed, newHCLog(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer store.close()
	_, trans := raft.NewInmemTransport("")
	sink, err := store.Create(1, 1, 1, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	close(failed)
	if n, err := sink.Write([]byte("x")); n != 0 || !errors.Is(err, ErrFailed) {
		t.Errorf("wrote %d bytes after that: %v", n, err)
	}
	if err := sink.Cancel(); err != nil {
		t.Error(err)
	}
}
