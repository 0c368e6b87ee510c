// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
	"confd/raftkv/tree"
)

// TestReaderShowsWhatLasts: a write that a process has made and not synced before it was
// killed is not shown unless it stays, whenever the power goes afterwards; and what lies in
// order is read without a change to the disk.
func TestReaderShowsWhatLasts(t *testing.T) {
	for seed := range uint64(effort(t, 8)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			disk := raftkvtest.NewDisk()
			cfg := diskConfig(t, disk)
			n := raftkvtest.Open(t, func(c *raftkv.Config) { *c = cfg })
			write := func(key string) error {
				_, err := n.Do(context.Background(), &tree.Op{Action: tree.Set, Key: key, Value: "v"})
				return err
			}
			if err := write("/before"); err != nil {
				t.Fatal(err)
			}
			disk.Fault(func(op raftkvtest.DiskOp, _ string) error {
				if op == raftkvtest.DiskSync {
					return raftkvtest.ErrPowerOff // it does not get so far; what was written stays in memory
				}
				return nil
			})
			if err := write("/tail"); err == nil {
				t.Fatal("a write was acknowledged that was not synced")
			}
			n.Close() // it cannot do so in order
			ops := 0
			disk.Fault(func(raftkvtest.DiskOp, string) error { ops++; return nil })
			if got := shown(t, cfg); got != 2 {
				t.Errorf("%d keys, want both", got)
			}
			if ops == 0 {
				t.Error("nothing was synced")
			}
			ops = 0
			if got := shown(t, cfg); got != 2 || ops != 0 {
				t.Errorf("%d keys, and %d operations of the disk", got, ops)
			}
			cfg.Hooks.LogFS = disk.PowerOff(rand.New(rand.NewPCG(seed, 0)))
			if got := shown(t, cfg); got != 2 {
				t.Errorf("%d keys after the power went", got)
			}
		})
	}
}

// shown returns how many keys a reader shows.
func shown(t *testing.T, cfg raftkv.Config) int {
	t.Helper()
	r, err := raftkv.OpenReader(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	<-r.Ready()
	keys := r.Tree().View().Len()
	if err := r.Close(); err != nil && !errors.Is(err, raftkvtest.ErrPowerOff) {
		t.Error(err)
	}
	return keys
}
