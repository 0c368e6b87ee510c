// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
	"confd/raftkv/tree"
)

// effort multiplies how often the crash tests of this package try: by CONFD_TEST_EFFORT,
// 1 by default, which takes seconds.
func effort(t testing.TB, n int) int {
	text := os.Getenv("CONFD_TEST_EFFORT")
	if text == "" {
		return n
	}
	factor, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("CONFD_TEST_EFFORT: %v", err)
	}
	return n * factor
}

// A ledger holds what was acknowledged. Each writer writes one key after the other, and
// the next only after an answer, so what a writer has written is a run of numbers.
type ledger struct {
	large bool // the values are

	mu    sync.Mutex
	acked []int // :: writer → how many of its keys were acknowledged
}

func ledgerKey(writer, i int) string { return fmt.Sprintf("/w%d/%06d", writer, i) }

// ledgerValue has any length up to 90 KiB, most are short.
func ledgerValue(writer, i int) string {
	r := rand.New(rand.NewPCG(uint64(writer), uint64(i)))
	size := r.IntN(200)
	if r.IntN(4) == 0 {
		size = r.IntN(90 << 10)
	}
	return strings.Repeat(fmt.Sprintf("%d.%d|", writer, i), size/4+1)[:size]
}

// value is ledgerValue, or something longer: half of them from 128 KiB on.
func (l *ledger) value(writer, i int) string {
	v := ledgerValue(writer, i)
	if !l.large {
		return v
	}
	return strings.Repeat(v+"|", (64<<10+rand.New(rand.NewPCG(uint64(i), uint64(writer))).IntN(128<<10))/(len(v)+1)+1)
}

// write lets all writers write until the node does not answer any more.
func (l *ledger) write(n *raftkv.Node) {
	var wg sync.WaitGroup
	for w := range l.acked {
		wg.Go(func() {
			for {
				i := l.acked[w]
				op := &tree.Op{Action: tree.Set, Key: ledgerKey(w, i), Value: l.value(w, i)}
				if _, err := n.Do(context.Background(), op); err != nil {
					return
				}
				l.mu.Lock()
				l.acked[w]++
				l.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// check makes sure that all is there that was acknowledged, and nothing that was not
// written: of each writer one key more at most, whose answer was lost. That one counts as
// acknowledged from now on, as it was read.
func (l *ledger) check(t *testing.T, v *tree.View) {
	t.Helper()
	there := make([]int, len(l.acked))
	for key, node := range v.Files("/") {
		var w, i int
		if _, err := fmt.Sscanf(key, "/w%d/%d", &w, &i); err != nil || i != there[w] {
			t.Fatalf("%s is there, and %d keys before it: %v", key, there[w], err)
		}
		if node.Value != l.value(w, i) {
			t.Fatalf("%s has another value", key)
		}
		there[w]++
	}
	for w, acked := range l.acked {
		if there[w] != acked && there[w] != acked+1 {
			t.Fatalf("writer %d: %d keys were acknowledged, %d are there", w, acked, there[w])
		}
		l.acked[w] = there[w]
	}
}

func diskConfig(t *testing.T, disk *raftkvtest.Disk) raftkv.Config {
	cfg := raftkvtest.Config(t)
	cfg.DataDir = raftkv.MemoryDir(t) // its syncs are not what is tested
	cfg.ElectionTimeout, cfg.Timeout = 10*time.Minute, time.Minute
	cfg.SnapshotBytes, cfg.SnapshotCount = 4<<20, 150 // files of the log are 1 MiB
	cfg.Hooks.LogFS = disk
	return cfg
}

// TestPowerLoss turns the power off at any operation of the log's files, again and again.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	for round := range effort(t, 2) {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(round)), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed+uint64(round), 0))
			disk := raftkvtest.NewDisk()
			cfg := diskConfig(t, disk)
			cfg.Log = slog.New(slog.DiscardHandler)
			l := &ledger{acked: make([]int, 6)}
			for crash := range 24 { // the cost of each grows with what is there
				operations := r.IntN(1 + r.IntN(600)) // zeros behind a batch are 31
				powerLoss(t, cfg, disk, l, r, operations)
				disk.Fault(nil)
				disk = disk.PowerOff(r)
				cfg.Hooks.LogFS = disk
				n, err := raftkv.Open(t.Context(), cfg)
				if err != nil {
					t.Fatalf("crash %d, at operation %d: %v", crash, operations, err)
				}
				l.check(t, n.View())
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("acknowledged: %v", l.acked)
		})
	}
}

// TestPowerLossOfLargeValues turns the power off while one batch is written and the one before
// is synced. Nothing of the second may be taken for what proves that the first was there.
func TestPowerLossOfLargeValues(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	for round := range effort(t, 1) {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(round)), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed+uint64(round), 1))
			disk := raftkvtest.NewDisk()
			cfg := diskConfig(t, disk)
			cfg.SnapshotBytes = 16 << 20 // files of the log are 4 MiB
			cfg.Log = slog.New(slog.DiscardHandler)
			l := &ledger{acked: make([]int, 8), large: true}
			var both atomic.Int64
			for crash := range 4 {
				disk = largePowerLoss(t, cfg, disk, l, r, &both)
				cfg.Hooks.LogFS = disk
				n, err := raftkv.Open(t.Context(), cfg)
				if err != nil {
					t.Fatalf("crash %d: %v", crash, err)
				}
				l.check(t, n.View())
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if both.Load() == 0 {
				t.Error("nothing was written during a sync, so this test is about nothing")
			}
			t.Logf("acknowledged: %v, %d writes during a sync", l.acked, both.Load())
		})
	}
}

// largePowerLoss writes until the power goes, which is during a sync, and returns the disk
// of afterwards. Syncs take as long as a write needs to come meanwhile. It counts those in
// both.
func largePowerLoss(t *testing.T, cfg raftkv.Config, disk *raftkvtest.Disk, l *ledger, r *rand.Rand, both *atomic.Int64) *raftkvtest.Disk {
	var syncing atomic.Bool
	var left atomic.Int64
	left.Store(int64(10 + r.IntN(60)))
	after := make(chan *raftkvtest.Disk, 1)
	seed := r.Uint64()
	disk.Fault(func(op raftkvtest.DiskOp, _ string) error {
		switch op {
		case raftkvtest.DiskWrite:
			if syncing.Load() {
				both.Add(1)
			}
		case raftkvtest.DiskSync:
			syncing.Store(true)
			defer syncing.Store(false)
			time.Sleep(3 * time.Millisecond)
			if left.Add(-1) == 0 {
				after <- disk.PowerOff(rand.New(rand.NewPCG(seed, 0)))
			}
			if left.Load() <= 0 {
				return raftkvtest.ErrPowerOff
			}
		}
		return nil
	})
	n, err := raftkv.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.write(n)
	<-n.Failed()
	n.Close() // it cannot do so in order
	return <-after
}

// powerLoss writes until the power goes.
func powerLoss(t *testing.T, cfg raftkv.Config, disk *raftkvtest.Disk, l *ledger, r *rand.Rand, operations int) {
	var left atomic.Int64
	left.Store(int64(operations))
	disk.Fault(func(raftkvtest.DiskOp, string) error {
		if left.Add(-1) < 0 {
			return raftkvtest.ErrPowerOff
		}
		return nil
	})
	n, err := raftkv.Open(t.Context(), cfg)
	if err != nil {
		if !errors.Is(err, raftkvtest.ErrPowerOff) {
			t.Fatal(err)
		}
		return
	}
	l.write(n)
	<-n.Failed()
	n.Close() // it cannot do so in order
}

// TestDiskFaults fails one operation of the log's files: the node must stop, say why, and
// have all that was acknowledged when it is started again.
func TestDiskFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		op   raftkvtest.DiskOp
		err  error
		want string
	}{
		"no space for a new file": {raftkvtest.DiskCreate, syscall.ENOSPC, "making a new file of the log: create "},
		"no space for a write":    {raftkvtest.DiskWrite, syscall.ENOSPC, "no space left on device"},
		"a write fails":           {raftkvtest.DiskWrite, syscall.EIO, "input/output error"},
		"a sync fails":            {raftkvtest.DiskSync, syscall.EIO, "writing to the log: sync "},
	} {
		t.Run(name, func(t *testing.T) {
			most := 12
			if tt.op == raftkvtest.DiskCreate {
				most = 3
			}
			for after := range most {
				disk := raftkvtest.NewDisk()
				cfg := diskConfig(t, disk)
				n := raftkvtest.Open(t, func(c *raftkv.Config) { *c = cfg })
				l := &ledger{acked: make([]int, 3)}
				var left atomic.Int64
				left.Store(int64(after))
				if tt.op == raftkvtest.DiskWrite {
					left.Store(int64(after * after)) // those of a batch, of the zeros behind it, and of later ones
				}
				disk.Fault(func(op raftkvtest.DiskOp, _ string) error {
					if op == tt.op && left.Add(-1) == -1 { // once: the disk is well again at once
						return tt.err
					}
					return nil
				})
				l.write(n)
				<-n.Failed()
				if err := n.Err(); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("operation %d: %v", after, err)
				}
				n.Close()
				disk.Fault(nil)
				disk = disk.PowerOff(rand.New(rand.NewPCG(1, uint64(after)))) // what the sync has dropped is gone
				cfg.Hooks.LogFS = disk
				n = raftkvtest.Open(t, func(c *raftkv.Config) { *c = cfg })
				l.check(t, n.View())
				if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/after", Value: "1"}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestFullDisk fills the disk for real: space is what is missing, not one operation.
func TestFullDisk(t *testing.T) {
	disk := raftkvtest.NewDisk()
	cfg := diskConfig(t, disk)
	cfg.SnapshotBytes, cfg.SnapshotCount = 16<<20, 1<<40 // files of the log are 4 MiB, and nothing is freed
	n := raftkvtest.Open(t, func(c *raftkv.Config) { *c = cfg })
	disk.Space(2 << 20)
	l := &ledger{acked: make([]int, 3)}
	l.write(n)
	<-n.Failed()
	if err := n.Err(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	n.Close()
	disk.Space(-1)
	n = raftkvtest.Open(t, func(c *raftkv.Config) { *c = cfg })
	l.check(t, n.View())
	if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/after", Value: "1"}); err != nil {
		t.Error(err)
	}
}
