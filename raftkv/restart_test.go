// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// TestUnfinishedSnapshotsAreRemoved leaves what a crash in the middle of a snapshot does.
func TestUnfinishedSnapshotsAreRemoved(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	set(t, n, "/a", "1")
	if err := n.snapshot(); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	dir := filepath.Join(cfg.DataDir, "snapshots")
	unfinished := filepath.Join(dir, "2-99-1700000000000.tmp")
	err := os.Mkdir(unfinished, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(unfinished, "state.bin"), make([]byte, 1<<20), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	n = open(t, cfg)
	if _, err := os.Stat(unfinished); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unfinished snapshot is left: %v", err)
	}
	if last, err := n.lastSnapshot(); err != nil || last.Index == 0 {
		t.Errorf("the finished one is gone: %+v, %v", last, err)
	}
	want(t, n.View(), "/a", "1")
}

// TestNobodyElseReadsTheData makes the data directory beforehand, as a packager would, and
// lets everybody in.
func TestNobodyElseReadsTheData(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o022))
	cfg := testConfig(t)
	cfg.DataDir = filepath.Join(cfg.DataDir, "made", "before")
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := open(t, cfg)
	set(t, n, "/a", "secret")
	if err := n.snapshot(); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	files := 0
	err := filepath.WalkDir(cfg.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || path == cfg.DataDir {
			return err
		}
		files++
		open := info.Mode().Perm()&0o077 != 0
		if d.IsDir() && open {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if d.IsDir() {
			return fs.SkipDir // what is in it is out of reach
		}
		if open {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestFollowerDoesNotBootstrap takes log and snapshots from a node that has only ever
// followed, so has not voted. It must not make a cluster of its own under its old id.
func TestFollowerDoesNotBootstrap(t *testing.T) {
	cfg := testConfig(t)
	d, err := openDataDir(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStableStore(d.vote(), func(error) {})
	if err == nil {
		err = s.SetUint64([]byte(keyCurrentTerm), 2)
	}
	if err = errors.Join(err, d.close()); err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), cfg)
	if err == nil {
		n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("opened: %v", err)
	}
}

// TestSnapshotOfNothingNew asks for snapshots on end. Only the first one is written.
func TestSnapshotOfNothingNew(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/a", "1")
	if err := n.snapshot(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := n.snapshot(); !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			t.Errorf("nothing was applied since the last one: %v", err)
		}
	}
	set(t, n, "/a", "2")
	if err := n.snapshot(); err != nil {
		t.Error(err)
	}
}

// slowCommand is a log store whose first write of a command waits until it is let go.
type slowCommand struct {
	raft.LogStore
	once sync.Once
	let  chan struct{}
}

func (s *slowCommand) IsMonotonic() bool { return true }

func (s *slowCommand) StoreLogs(logs []*raft.Log) error {
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			s.once.Do(func() { <-s.let })
		}
	}
	return s.LogStore.StoreLogs(logs)
}

// A tellHandler closes a channel when it is given a certain message.
type tellHandler struct {
	slog.Handler
	text string
	once *sync.Once
	told chan struct{}
}

func (h tellHandler) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) {
		h.once.Do(func() { close(h.told) })
	}
	return h.Handler.Handle(ctx, r)
}

// TestSlowDiskAtTheStart makes the new leader's first write miss its deadline. Raft goes
// on leading, so the node must get ready later.
func TestSlowDiskAtTheStart(t *testing.T) {
	s := &slowCommand{let: make(chan struct{})}
	cfg := testConfig(t)
	cfg.Timeout = 30 * time.Millisecond
	cfg.Hooks.LogStore = func(l raft.LogStore) raft.LogStore { s.LogStore = l; return s }
	cfg.Log = slog.New(tellHandler{cfg.Log.Handler(), "leadership was not taken up", new(sync.Once), s.let})
	n := open(t, cfg)
	eventually(t, "a write", func() bool {
		_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "1"})
		return err == nil
	})
	if n.ClusterID() == "" {
		t.Error("the cluster has no id")
	}
}

// TestDepth is about one small operation that makes thousands of long keys.
func TestDepth(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, strings.Repeat("/d", maxDepth), "v")
	_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: strings.Repeat("/d", maxDepth+1), Value: "v"})
	if !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrNotProposed) {
		t.Error(err)
	}
}

// TestStallTimeout looks for timers that outlive their write, and for the exact limit.
func TestStallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed atomic.Bool
		l := newLogStore(raft.NewInmemStore(), 10*time.Second, func(error) { failed.Store(true) })
		write := func(takes time.Duration) {
			if err := l.write("writing", func() error { time.Sleep(takes); return nil }); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // no timer of this write is left
		}
		for _, takes := range []time.Duration{0, 5*time.Second - 1, 5*time.Second + 1, 10*time.Second - 1} {
			if write(takes); failed.Load() {
				t.Errorf("a write of %v failed the node", takes)
			}
		}
		if write(10*time.Second + 1); !failed.Load() {
			t.Error("a write of more than ten seconds did not fail the node")
		}
	})
}

// TestMissingParents makes a data directory whose parents are missing, by a relative path.
func TestMissingParents(t *testing.T) {
	t.Chdir(t.TempDir())
	for i, dir := range []string{"a/b/c", "d", "./e/../f", "[x/y]"} {
		if err := makeDir(dir); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%q: %v, %v", dir, info, err)
		}
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeDir("file/x"); err == nil {
		t.Error("a directory below a file")
	}
	if err := makeDir("a/b/c"); err != nil {
		t.Error(err)
	}
}
