// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestOldSnapshotsGo: the newest stay, and the others go by steps, of which each takes its
// time. They are no snapshots from the first step on.
func TestOldSnapshotsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshotDir(t)
		const size = 4*removeStep + 1000
		var ids []string
		for range keepSnapshots + 1 {
			ids = append(ids, s.make(size))
			time.Sleep(time.Hour)
		}
		s.want(ids[1:]...)
		ids = append(ids, s.make(size))
		for step := range 4 {
			synctest.Wait()
			s.want(ids[1]+removedSuffix, ids[2], ids[3])
			if got, want := s.size(ids[1]+removedSuffix), int64(size-(step+1)*removeStep); got != want {
				t.Errorf("%d bytes are left after step %d, want %d", got, step, want)
			}
			time.Sleep(removePause)
		}
		synctest.Wait()
		s.want(ids[2:]...)
		for range 5 {
			ids = append(ids, s.make(removeStep+1))
		}
		s.remover.removing.Wait()
		s.want(ids[len(ids)-keepSnapshots:]...)
		if got := s.log.String(); got != "" {
			t.Errorf("logged %s", got)
		}
	})
}

// TestRemovedAtOnceOnAFullDisk: there is only one step when there may not be the room for the next
// snapshot, or when nobody knows.
func TestRemovedAtOnceOnAFullDisk(t *testing.T) {
	const size = 4*removeStep + 1000
	for _, trial := range []struct {
		free int64
		err  error
		want time.Duration
	}{
		{2 * size, nil, 4 * removePause},
		{2*size - 1, nil, removePause},
		{1 << 40, errors.New("broken"), removePause},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSnapshotDir(t)
			s.remover.free = func(dir string) (int64, error) {
				if dir != s.dir {
					t.Errorf("asked for %q", dir)
				}
				return trial.free, trial.err
			}
			for range keepSnapshots + 1 {
				s.make(size)
			}
			start := time.Now()
			s.remover.removing.Wait()
			if took := time.Since(start); took != trial.want || len(s.names()) != keepSnapshots {
				t.Errorf("%d bytes free, %v: it took %v, want %v; left: %q", trial.free, trial.err, took, trial.want, s.names())
			}
		})
	}
}

// TestRemovalCatchesUp: if snapshots come faster than they go, all but one go at once.
func TestRemovalCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshotDir(t)
		const size = 2*removeStep + 1000
		var ids []string
		for range keepSnapshots + 1 {
			ids = append(ids, s.make(size))
		}
		synctest.Wait() // after the first step
		for range 3 {
			ids = append(ids, s.make(size))
		}
		time.Sleep(2 * removePause) // for the first snapshot
		synctest.Wait()
		s.want(ids[1]+removedSuffix, ids[4], ids[5])
		if got := s.size(ids[1] + removedSuffix); got != size-removeStep {
			t.Errorf("%d bytes are left after the first step", got)
		}
		s.remover.removing.Wait()
		s.want(ids[4:]...)
	})
}

// TestNewestIsKeptWithDamagedMeta: a number that has been damaged since the start, and makes raft
// take the newest snapshot for an old one, does not have it removed.
func TestNewestIsKeptWithDamagedMeta(t *testing.T) {
	s := newSnapshotDir(t)
	ids := []string{s.make(1000), s.make(1000)}
	s.remover.removing.Wait()
	meta := filepath.Join(s.dir, ids[1], "meta.json")
	text, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(`"Index":2,`), []byte(`"Index":0,`), 1)
	if err := os.WriteFile(meta, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if metas, err := s.List(); err != nil || metas[0].ID != ids[0] {
		t.Fatalf("raft takes %v for the newest, want %s: %v", metas, ids[0], err)
	}
	ids = append(ids, s.make(1000))
	s.remover.removing.Wait()
	s.want(ids[1:]...)
}

// TestReadSnapshotStaysWhole: one that is sent to a follower while others are made is read to its
// end, and goes then. Those that nobody reads do not wait for it.
func TestReadSnapshotStaysWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshotDir(t)
		const size = 2*removeStep + 1000
		read := s.make(size)
		var readers [2]io.ReadCloser
		for i := range readers {
			var err error
			if _, readers[i], err = s.Open(read); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for range keepSnapshots + 2 {
			ids = append(ids, s.make(size))
		}
		s.remover.removing.Wait()
		for _, r := range readers {
			s.want(append(ids[2:], read+removedSuffix)...)
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content(1, size)) {
				t.Errorf("read %d bytes, not those written: %v", len(got), err)
			}
			for range 2 {
				r.Close() // it counts once
			}
			s.remover.removing.Wait()
		}
		s.want(ids[2:]...)
		if _, _, err := s.Open(read); err == nil {
			t.Error("it can still be opened")
		}
		if len(s.remover.readers)+len(s.remover.awaited) != 0 {
			t.Errorf("noted are %v and %v", s.remover.readers, s.remover.awaited)
		}
	})
}

// TestReadingRemovesNothing: a start reads the snapshots to find out which are good. Until that is
// done there may be more than are kept.
func TestReadingRemovesNothing(t *testing.T) {
	s := newSnapshotDir(t)
	s.remover.end() // as if the process had been killed
	var ids []string
	for range keepSnapshots + 1 {
		ids = append(ids, s.make(1000))
	}
	s.reopen()
	if err := os.Truncate(filepath.Join(s.dir, ids[2], "state.bin"), 1); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		_, r, err := s.Open(id)
		if (err == nil) != (i < 2) {
			t.Fatalf("snapshot %d: %v", i, err)
		}
		if err == nil {
			r.Close()
		}
	}
	s.remover.removing.Wait()
	s.want(ids...)
}

// TestUnfinishedSnapshotGoes: of one that is given up, or cannot be finished, nothing is left,
// and it goes by steps as the others do.
func TestUnfinishedSnapshotGoes(t *testing.T) {
	for _, end := range []func(*snapshotDir, raft.SnapshotSink) error{
		func(_ *snapshotDir, sink raft.SnapshotSink) error {
			return errors.Join(errors.New("given up"), sink.Cancel())
		},
		func(s *snapshotDir, sink raft.SnapshotSink) error {
			meta := filepath.Join(s.dir, sink.ID()+".tmp", "meta.json")
			if err := errors.Join(os.Remove(meta), os.Mkdir(meta, 0o700)); err != nil { // it cannot be written any more
				s.t.Fatal(err)
			}
			return sink.Close()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSnapshotDir(t)
			id := s.make(1000)
			const size = removeStep + snapshotSlice
			sink := s.begin(size)
			if err := end(s, sink); err == nil {
				t.Error("there is no error")
			}
			synctest.Wait()
			s.want(id, sink.ID()+removedSuffix)
			if got := s.size(sink.ID() + removedSuffix); got != size-removeStep {
				t.Errorf("%d bytes are left after the first step", got)
			}
			s.remover.removing.Wait()
			s.want(id)
			if err := errors.Join(sink.Close(), sink.Cancel()); err != nil {
				t.Errorf("ended again: %v", err)
			}
		})
	}
}

// TestNodeKeepsTheNewestSnapshots: a node that starts with more than it keeps, as it may if it was
// killed, has the rest removed.
func TestNodeKeepsTheNewestSnapshots(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	var ids []string
	for i := range keepSnapshots + 1 {
		set(t, n, "/a", strings.Repeat("x", i))
		if i == keepSnapshots {
			n.snapshots.remover.end() // as if it had been killed
		}
		if err := n.snapshot(); err != nil {
			t.Fatal(err)
		}
		last, err := n.lastSnapshot()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, last.ID)
	}
	closeNode(t, n)
	listed := func() (names []string) {
		for _, id := range snapshotIDs(n.snapshots.dir) {
			names = append(names, id.name)
		}
		slices.Reverse(names)
		return names
	}
	if got := listed(); !slices.Equal(got, ids) {
		t.Errorf("there are %q, and %q were made", got, ids)
	}
	n = open(t, cfg)
	n.snapshots.remover.removing.Wait()
	if got := listed(); !slices.Equal(got, ids[1:]) {
		t.Errorf("there are %q, and %q were made", got, ids)
	}
}

// TestCloseEndsRemoval: nothing is removed any more when a node is closed.
func TestCloseEndsRemoval(t *testing.T) {
	n := open(t, testConfig(t))
	ended := false
	n.snapshots.remover.removing.Go(func() {
		<-n.snapshots.remover.ending
		ended = true
	})
	closeNode(t, n)
	if !ended {
		t.Error("the removal goes on")
	}
}
