// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// TestNoFaults runs a schedule without faults. There everything must succeed.
func TestNoFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := Schedule{Seed: 1, Sabotage: func(*Cluster) {}}.Run(t)
		v := result.Coverage
		if v.NotProposed+v.FailedReads > 0 || v.LeaderChanges > 1 || v.Acked < 100 {
			t.Errorf("%v", v) // the change of the leader is the loss of all power at the end
		}
		for _, f := range result.Failures {
			t.Error(f)
		}
	})
}

// inCluster runs a test in a bubble with a cluster of three.
func inCluster(t *testing.T, test func(ctx context.Context, c *Cluster, leader *Member)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := NewCluster(t, 1, Options{})
		err := c.WaitVoters(ctx, 3)
		leader, leaderErr := c.WaitLeader(ctx)
		if err = errors.Join(err, leaderErr); err != nil {
			t.Error(err)
		} else {
			test(ctx, c, leader)
			c.Heal()
			c.settle(ctx)
		}
		c.Close()
		for _, f := range c.Failures() {
			t.Error(f)
		}
		if t.Failed() {
			t.Log(c.History())
		}
	})
}

// TestStartAtOnce starts nodes that all know of each other, of which only one has a cluster.
// Those that have none must not wait for each other.
func TestStartAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, 1, Options{Nodes: 5})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := c.WaitVoters(ctx, 5); err != nil {
			t.Errorf("%v\n%s", err, c.History())
		}
		c.Close()
	})
}

// TestCrashOfLeader looks at what clients of a member see when it ends. What it was writing
// may be carried out by the others, to whom it had sent it.
func TestCrashOfLeader(t *testing.T) {
	inCluster(t, func(ctx context.Context, c *Cluster, leader *Member) {
		set := func(value string) error {
			_, err := c.Ledger.Do(ctx, leader, &tree.Op{Action: tree.Set, Key: "/k", Value: value})
			return err
		}
		leader.SlowDisk(time.Second)
		time.AfterFunc(100*time.Millisecond, func() { leader.Crash(false) })
		if err := set("crashed:"); !errors.Is(err, ErrCut) {
			t.Errorf("the answer of a member that has crashed: %v", err)
		}
		if err := set("down:"); !errors.Is(err, ErrDown) || !errors.Is(err, raftkv.ErrNotProposed) {
			t.Errorf("the answer of a member that is down: %v", err)
		}
		if _, err := c.WaitLeader(ctx, leader); err != nil {
			t.Error(err)
		}
	})
}

// TestPause looks at a leader that does not run for a while: it answers when it goes on,
// and does not lead.
func TestPause(t *testing.T) {
	inCluster(t, func(ctx context.Context, c *Cluster, leader *Member) {
		const length = 5 * time.Second
		leader.Pause()
		start := time.Now()
		time.AfterFunc(length, leader.Resume)
		if _, err := leader.Read(ctx); err != nil || time.Since(start) < length {
			t.Errorf("a paused member answered after %v: %v", time.Since(start), err)
		}
		if c.Leader() == leader {
			t.Error("it leads as before")
		}
	})
}

// TestRemove takes a member out, which ends it for good.
func TestRemove(t *testing.T) {
	inCluster(t, func(ctx context.Context, c *Cluster, leader *Member) {
		added := c.AddMember()
		if err := c.WaitServing(ctx); err != nil {
			t.Error(err)
		}
		if err := added.Remove(ctx, leader); err != nil {
			t.Error(err)
		}
		c.settle(ctx)
		if added.Start(); added.Running() {
			t.Error("it has come back")
		}
	})
}
