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

// write lets all writers write until the node does not answer any more.
func (l *ledger) write(n *raftkv.Node) {
	var wg sync.WaitGroup
	for w := range l.acked {
		wg.Go(func() {
			for {
				i := l.acked[w]
				op := &tree.Op{Action: tree.Set, Key: ledgerKey(w, i), Value: ledgerValue(w, i)}
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
		if node.Value != ledgerValue(w, i) {
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
				operations := r.IntN(1 + r.IntN(300))
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
