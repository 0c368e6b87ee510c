// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// dirSize returns the bytes that the files under dir take on the disk.
func dirSize(t testing.TB, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // replaced meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestDataDirectoryIsBounded(t *testing.T) {
	cfg := testConfig(t)
	cfg.SnapshotBytes = 2 << 20
	n := open(t, cfg)
	const writers, writes, size = 16, 1000, 4 << 10 // 62 MiB into 160 keys
	value := strings.Repeat("x", size)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range writes {
				set(t, n, fmt.Sprintf("/%d/%d", w, i%10), value)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var largest int64
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for writing := true; writing; {
		select {
		case <-tick.C:
			largest = max(largest, dirSize(t, cfg.DataDir))
		case <-done:
			writing = false
		}
	}
	// A snapshot holds the keys and the history, 1000 events of which may each have a
	// value before and after: up to 9 MiB, two or three of them. The log may be twice
	// that before the next one, and keeps as much as is needed for followers. It goes on
	// growing while a snapshot is written, above all with the race detector: 35 MiB in all,
	// and 47 with that.
	t.Logf("%d MiB were written, at most %d MiB were on the disk", writers*writes*size>>20, largest>>20)
	if largest > 56<<20 {
		t.Errorf("data directory grew to %d MiB", largest>>20)
	}
	if first, err := n.wal.FirstIndex(); err != nil || first == 1 {
		t.Errorf("the log was never cut: %d, %v", first, err)
	}
	closeNode(t, n)
	n = open(t, cfg)
	want(t, n.View(), "/15/9", value)
	if got := n.View().Index(); got != writers*writes {
		t.Errorf("index %d", got)
	}
}

func TestSnapshotByCount(t *testing.T) {
	cfg := testConfig(t)
	cfg.SnapshotCount = 20
	n := open(t, cfg)
	for i := range 30 {
		set(t, n, "/a", fmt.Sprint(i))
	}
	eventually(t, "a snapshot", func() bool {
		last, err := n.lastSnapshot()
		return err == nil && last.Index > 10 // entry 20 may be stored and not yet applied
	})
	closeNode(t, n)
	n = open(t, cfg)
	want(t, n.View(), "/a", "29")
}

// TestSnapshotAfterStart: a log that is long enough when the node starts is cut as soon as it
// is applied. It fails if what finds nothing applied yet tries again after snapshotRetry.
func TestSnapshotAfterStart(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	for i := range 30 {
		set(t, n, "/a", fmt.Sprint(i))
	}
	closeNode(t, n)
	cfg.SnapshotCount = 20
	start := time.Now()
	n = open(t, cfg)
	eventually(t, "a snapshot", func() bool {
		last, err := n.lastSnapshot()
		return err == nil && last.Index >= 30
	})
	if took := time.Since(start); took > snapshotRetry/2 {
		t.Errorf("the snapshot came after %v", took)
	}
}

func TestSnapshotsDuringWrites(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			if err := n.snapshot(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
				t.Errorf("snapshot %d: %v", i, err)
			}
		}
	}()
	writes := 0
	for snapshots := true; snapshots; writes++ {
		set(t, n, fmt.Sprintf("/k%d", writes), fmt.Sprint(writes))
		select {
		case <-done:
			snapshots = false
		default:
		}
	}
	closeNode(t, n)
	n = open(t, cfg)
	for i := range writes {
		want(t, n.View(), fmt.Sprintf("/k%d", i), fmt.Sprint(i))
	}
}

func TestLogCache(t *testing.T) {
	failed := func(err error) { t.Error(err) }
	disk := raft.NewInmemStore()
	c := &logCache{monotonicLog: newLogStore(disk, time.Minute, failed)}
	check := func(first, last uint64, kept int) {
		t.Helper()
		for i := first; i <= last; i++ {
			var e raft.Log
			if err := c.GetLog(i, &e); err != nil || e.Index != i {
				t.Fatalf("entry %d: got %d, %v", i, e.Index, err)
			}
		}
		if int(c.count) != kept {
			t.Fatalf("%d entries are kept, want %d", c.count, kept)
		}
	}
	index := uint64(0)
	store := func(n, size int) {
		for range n {
			index++
			if err := c.StoreLog(&raft.Log{Index: index, Data: make([]byte, size)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(700, 10)
	check(1, 700, cacheEntries)
	store(100, 1<<20)
	check(1, 800, cacheBytes>>20)
	store(1, 2*cacheBytes)
	check(1, 801, 1)
	store(2, 1)
	check(1, 803, 2)
	if err := c.DeleteRange(803, 803); err != nil {
		t.Fatal(err)
	}
	var e raft.Log
	if err := c.GetLog(803, &e); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("a removed entry was read: %v", err)
	}
	index--
	store(1, 1)
	check(1, 803, 1)
	if disk := (&logStore{LogStore: disk}); disk.IsMonotonic() {
		t.Error("a store that is not monotonic passes for one that is")
	}
}

// TestMonotonic is for hashicorp/consul#16600: every layer must tell raft that the log
// takes no gaps.
func TestMonotonic(t *testing.T) {
	n := open(t, testConfig(t))
	if c := (&logCache{monotonicLog: n.logs}); !c.IsMonotonic() {
		t.Error("the log's kind is hidden from raft")
	}
}

func TestTrailing(t *testing.T) {
	l := newLogStore(raft.NewInmemStore(), time.Minute, func(err error) { t.Error(err) })
	const size = 1<<18 - entryOverhead
	for i := range uint64(40) { // 10 MiB
		if err := l.StoreLog(&raft.Log{Index: i + 1, Data: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	for limit, want := range map[int64]uint64{0: 0, 1 << 20: 4, 3<<20 + 1: 12, 100 << 20: 40} {
		if first, last := l.within(limit); last != 40 || last+1-first != want {
			t.Errorf("%d bytes hold the entries %d to %d, want %d", limit, first, last, want)
		}
	}
	l.wakeAfter(20, 100, 5<<20) // 5 MiB after entry 20, where the log is already
	select {
	case <-l.grown:
	default:
		t.Error("no wake-up though the log has grown by enough")
	}
	l.wakeAfter(40, 2, 5<<20)
	for i := range uint64(2) {
		select {
		case <-l.grown:
			t.Errorf("woken after %d of 2 entries", i)
		default:
		}
		if err := l.StoreLog(&raft.Log{Index: 41 + i}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-l.grown:
	default:
		t.Error("no wake-up after two entries")
	}
}

// TestNoSnapshotWhileIdle writes more small entries than trailing ones lie between two
// marks. A log that nobody writes to must not be due for a snapshot all the time.
func TestNoSnapshotWhileIdle(t *testing.T) {
	disk := raft.NewInmemStore()
	l := newLogStore(disk, time.Minute, func(err error) { t.Error(err) })
	const limit = 4 << 20
	index, snapshots := uint64(0), 0
	l.wakeAfter(0, defaultSnapshotCount, limit)
	for index < 40*defaultSnapshotCount { // some 18 MiB
		batch := make([]*raft.Log, 64)
		for i := range batch {
			index++
			batch[i] = &raft.Log{Index: index, Data: make([]byte, 8)}
		}
		if err := l.StoreLogs(batch); err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.grown:
		default:
			continue
		}
		// As compactLoop and raft do.
		snapshots++
		begin, last := l.within(limit)
		if keep := min(max(last+1-begin, 194), maxTrailing); keep < index {
			first, err := disk.FirstIndex()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.DeleteRange(first, index-keep); err != nil {
				t.Fatal(err)
			}
			if min(maxTrailing, index) > keep {
				t.Errorf("only %d of %d small entries are kept", keep, index)
			}
		}
		l.wakeAfter(index, defaultSnapshotCount, limit)
		if len(l.grown) > 0 {
			t.Fatalf("snapshot %d at entry %d: the next one is due at once", snapshots, index)
		}
	}
	if snapshots != 40 {
		t.Errorf("%d snapshots", snapshots)
	}
}

// TestSnapshotAfter: the log is as long as the configuration says, four times as long as a
// snapshot that is not much shorter, and twice as long as a large one.
func TestSnapshotAfter(t *testing.T) {
	c := Config{SnapshotBytes: 64}
	for _, test := range []struct{ last, want int64 }{
		{0, 64}, {16, 64}, {17, 68}, {40, 160}, {64, 256}, {100, 256}, {128, 256}, {129, 258}, {1000, 2000},
	} {
		if got := c.snapshotAfter(test.last); got != test.want {
			t.Errorf("after a snapshot of %d: %d, want %d", test.last, got, test.want)
		}
	}
}
