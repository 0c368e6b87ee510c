// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// sealing returns a directory as a crash between the last write to a file of the log and
// the next file leaves it, and the number of keys written.
func sealing(t *testing.T) (cfg Config, keys int) {
	cfg = corruptConfig(memoryDir(t))
	cfg.Hooks.Killed = func() bool { return true }
	n := open(t, cfg)
	var meta []byte
	files := func() int {
		state, err := n.logMeta.Load("")
		if err != nil {
			t.Fatal(err)
		}
		return len(state.Segments)
	}
	for ; files() == 1; keys++ {
		var err error
		if meta, err = os.ReadFile(n.dir.logMeta()); err != nil {
			t.Fatal(err)
		}
		set(t, n, imageKey(keys), strings.Repeat("v", 100<<10))
		if err := n.wal.DeleteRange(1<<62, 1<<62); err != nil { // waits until the next file is there
			t.Fatal(err)
		}
	}
	closeNode(t, n)
	paths, err := filepath.Glob(filepath.Join(n.dir.wal(), "*.wal"))
	if err != nil || len(paths) != 2 {
		t.Fatal(paths, err)
	}
	if err := errors.Join(os.Remove(paths[1]), os.WriteFile(n.dir.logMeta(), meta, 0o600)); err != nil {
		t.Fatal(err)
	}
	return cfg, keys
}

// TestCrashAfterSeal is what raft-wal alone does not survive: the file is sealed, its list
// of files does not say so, and every write ends in "segment is sealed".
func TestCrashAfterSeal(t *testing.T) {
	cfg, keys := sealing(t)
	for range 2 {
		n := open(t, cfg)
		if n.View().Len() != keys {
			t.Errorf("%d keys, want %d", n.View().Len(), keys)
		}
		set(t, n, "/k00", "again")
		closeNode(t, n)
	}
}

// TestCrashWhileSealing is the same for a seal that did not get to the disk as a whole: the
// index of the file is there, and a part of the entries before it is not.
func TestCrashWhileSealing(t *testing.T) {
	cfg, keys := sealing(t)
	paths, err := filepath.Glob(filepath.Join(cfg.DataDir, "wal", "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	ends := batchEnds(b)
	clear(b[ends[len(ends)-2]+4096:][:512])
	if err := os.WriteFile(paths[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		n := open(t, cfg)
		if n.View().Len() != keys-1+round {
			t.Errorf("%d keys, want %d", n.View().Len(), keys-1+round)
		}
		set(t, n, "/after", "1")
		closeNode(t, n)
	}
}

// TestCrashBetweenSnapshotAndLog leaves a snapshot of the leader's, and the older log that
// it replaces. Raft goes on behind the snapshot, and raft-wal takes no gap.
func TestCrashBetweenSnapshotAndLog(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	set(t, n, "/a", "1")
	copied, err := n.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	conf := n.raft.GetConfiguration().Configuration()
	index := n.raft.LastIndex() + 1000
	closeNode(t, n)
	_, trans := raft.NewInmemTransport("")
	sink, err := n.snapshots.Create(1, index, n.RaftTerm(), conf, 1, trans)
	if err == nil {
		err = copied.Persist(sink)
	}
	if err != nil {
		t.Fatal(err)
	}
	n = open(t, cfg)
	want(t, n.View(), "/a", "1")
	set(t, n, "/b", "2")
	if n.RaftIndex() <= index {
		t.Errorf("the log goes on at %d", n.RaftIndex())
	}
	closeNode(t, n)
	n = open(t, cfg)
	want(t, n.View(), "/b", "2")
}

// TestUnlistedFiles makes sure that the log's files are not deleted when their list is gone.
func TestUnlistedFiles(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	set(t, n, "/a", "1")
	closeNode(t, n)
	list, err := os.ReadFile(n.dir.logMeta())
	if err == nil {
		err = os.Remove(n.dir.logMeta())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened without the list: %v", err)
	}
	if err := os.WriteFile(n.dir.logMeta(), list, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, open(t, cfg).View(), "/a", "1")
}

// TestDamageWhileRunning damages the log of a node that runs, and reads it.
func TestDamageWhileRunning(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/a", strings.Repeat("a", 1000))
	set(t, n, "/b", "2")
	paths, err := filepath.Glob(filepath.Join(n.dir.wal(), "*.wal"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	b, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("aaaa"))
	starts := frames(b)
	for i := len(starts) - 1; starts[i] > at; i-- {
		at = min(at, starts[i-1])
	}
	copy(b[at+frameHeader:], bytes.Repeat([]byte{0xff}, 12)) // its index, too long for a number
	if err := os.WriteFile(paths[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	failed := false
	for index := uint64(1); index <= n.raft.LastIndex(); index++ {
		failed = failed || n.logs.GetLog(index, new(raft.Log)) != nil
	}
	if !failed || !errors.Is(n.Err(), ErrDamaged) {
		t.Errorf("the damage was not found: %v", n.Err())
	}
	n.Close()
}
