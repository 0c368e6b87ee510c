// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
)

// number returns the value of an environment variable.
func number(t *testing.T, name string, def uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// enough is how many schedules have everything in them that is to be tested.
const enough = 120

// TestSim brings seeded schedules of faults over clusters, and checks the whole state
// after each. A schedule that has failed is tried again with
//
//	SIM_SEED=seed SIM_RUNS=1 go test ./raftkv -run TestSim
//
// which may take several runs: a seed says what is done when, and not in what order
// goroutines run.
func TestSim(t *testing.T) {
	first, runs := number(t, "SIM_SEED", 1), number(t, "SIM_RUNS", enough)
	var mu sync.Mutex
	var all raftkvtest.Coverage
	t.Run("schedules", func(t *testing.T) {
		for seed := first; seed < first+runs; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					result := raftkvtest.Schedule{Seed: seed}.Run(t)
					mu.Lock()
					defer mu.Unlock()
					all.Add(result.Coverage)
					if len(result.Failures) == 0 {
						return
					}
					t.Log(result.History)
					for _, f := range result.Failures {
						t.Error(f)
					}
					t.Errorf("to repeat: SIM_SEED=%d SIM_RUNS=1", seed)
				})
			})
		}
	})
	t.Log(all)
	if runs >= enough {
		if missing := all.Missing(); len(missing) > 0 {
			t.Errorf("what should have happened and has not: %s", missing)
		}
	}
}

// TestSimFindsLoss has all logs forget what they acknowledge for a while, and then lets
// all nodes crash. If that were not found, TestSim could not find anything.
func TestSimFindsLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := raftkvtest.Schedule{Seed: 1}
		s.Options.Config = func(cfg *raftkv.Config) { cfg.SnapshotCount, cfg.SnapshotBytes = 1<<20, 1<<40 } // they would be kept
		s.Sabotage = func(c *raftkvtest.Cluster) {
			for _, m := range c.Members() {
				m.CheatDisk()
			}
			time.Sleep(3 * time.Second)
			for _, m := range c.Members() {
				m.Crash(true)
			}
		}
		result := s.Run(t)
		// The same indexes come again, with other events.
		if all := strings.Join(result.Failures, "\n"); !strings.Contains(all, "others") {
			t.Errorf("found only %q\n%s", all, result.History)
		}
	})
}
