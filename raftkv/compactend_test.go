// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// ends writes so many values of 4 KiB to keys of their own, closes the node, and returns the
// index of the newest snapshot, and of the last entry that had been applied.
func ends(t *testing.T, n *Node, values int) (snapshot, applied uint64) {
	dir := n.fsm.Applied()
	for i := range values {
		set(t, n, fmt.Sprintf("/%d/%d", dir, i), strings.Repeat("v", 4<<10))
	}
	applied = n.fsm.Applied()
	closeNode(t, n)
	last, err := n.lastSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	return last.Index, applied
}

// TestSnapshotAtEnd: a node that ends spares the next start the reading of a long log.
func TestSnapshotAtEnd(t *testing.T) {
	cfg := testConfig(t)
	snapshot, applied := ends(t, open(t, cfg), 80)
	if snapshot < applied {
		t.Fatalf("a snapshot at entry %d of %d", snapshot, applied)
	}
	whole, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := readAlone(t.Context(), whole)
	if r == nil {
		t.Fatal("the store is not read without its node")
	}
	if got := r.Tree().View().Len(); got != 81 {
		t.Errorf("%d keys are read without the node", got)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	n := open(t, cfg)
	if got := n.View().Len(); got != 81 { // with a directory
		t.Errorf("%d keys after the start", got)
	}
	if again, _ := ends(t, n, 0); again != snapshot {
		t.Errorf("a snapshot at entry %d after one at %d, and nothing written", again, snapshot)
	}
	// 128 KiB, and then as much as the snapshot has.
	if again, _ := ends(t, open(t, cfg), 32); again != snapshot {
		t.Errorf("a snapshot at entry %d after one at %d, and little written", again, snapshot)
	}
	if again, _ := ends(t, open(t, cfg), 60); again <= snapshot {
		t.Errorf("no snapshot after the one at entry %d", snapshot)
	}
	n = open(t, cfg)
	if got := n.View().Len(); got != 175 {
		t.Errorf("%d keys at last", got)
	}
}

// TestNoSnapshotAtEnd: there is nothing to spare, or it would take too long, or nobody is there to.
func TestNoSnapshotAtEnd(t *testing.T) {
	for _, test := range []struct {
		what    string
		change  func(*Config)
		before  int // values in the last snapshot
		written int
	}{
		{"a short log", func(*Config) {}, 0, 40},
		{"a log that is short beside the snapshot", func(*Config) {}, 300, 80},
		{"a large store", func(cfg *Config) { cfg.SnapshotBytes = 256 << 10 }, 0, 80},
		{"a store that has become large", func(cfg *Config) { cfg.SnapshotBytes = 700 << 10 }, 80, 100},
		{"killed", func(cfg *Config) { cfg.Hooks.Killed = func() bool { return true } }, 0, 80},
	} {
		t.Run(test.what, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.SnapshotCount = 1 << 40
			test.change(&cfg)
			var before uint64
			if test.before > 0 {
				if before, _ = ends(t, open(t, cfg), test.before); before == 0 {
					t.Fatal("no snapshot to begin with")
				}
			}
			n := open(t, cfg)
			n.logs.wakeAfter(0, 1<<40, 1<<40) // none for another reason
			if snapshot, _ := ends(t, n, test.written); snapshot != before {
				t.Errorf("a snapshot at entry %d", snapshot)
			}
		})
	}
}

// TestGrownSince: what is asked for at the end is the length of the log after a snapshot, of this
// node or of its leader.
func TestGrownSince(t *testing.T) {
	const size = markEvery + entryOverhead
	l := newLogStore(nil, 0, nil)
	add := func(first, last uint64) {
		for i := first; i <= last; i++ {
			l.measure(&raft.Log{Index: i, Data: make([]byte, markEvery)})
		}
	}
	want := func(index uint64, entries int64) {
		t.Helper()
		if got := l.grownSince(index); got != entries*size {
			t.Errorf("grown by %d bytes since entry %d, want %d of %d", got, index, entries, size)
		}
	}
	l.measureAfter(10)
	want(10, 0)
	add(11, 20)
	want(10, 10)
	want(15, 5)
	want(20, 0)
	l.cut(5, 15)
	want(15, 5)
	want(18, 2)
	l.cut(16, 20) // a snapshot of the leader's takes the place of all
	want(100, 0)
	add(101, 103)
	want(100, 3)
}
