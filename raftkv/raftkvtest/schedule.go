// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// A Schedule is what happens to a cluster: clients that write and read, and faults that
// come meanwhile. Zero means the default, which is left to chance for some.
type Schedule struct {
	Seed    uint64
	Clients int           // default 3 to 5
	Length  time.Duration // default 30 s
	Options Options       // default 3 to 5 nodes

	// Sabotage is called in the middle, in place of all faults, to see whether Check finds
	// what it does.
	Sabotage func(*Cluster)
}

const (
	// startTime is how long a cluster may take to start.
	startTime = time.Minute

	// healTime is how long it may take to serve again when all faults are gone: the
	// longest back-off of raft and its transport is 10 s.
	healTime = 40 * time.Second
)

// A Result is what has become of a cluster after a schedule.
type Result struct {
	Failures []string // what was wrong
	Coverage Coverage
	History  string
}

// Run carries out the schedule in a cluster of its own, which must be in a bubble of
// testing/synctest. It heals the cluster in the end and checks it, and once more after
// all nodes have crashed.
func (s Schedule) Run(t testing.TB) Result {
	t.Helper()
	r := rand.New(rand.NewPCG(s.Seed, 0))
	setDefault(&s.Clients, 3+r.IntN(3))
	setDefault(&s.Length, 30*time.Second)
	setDefault(&s.Options.Nodes, []int{3, 3, 3, 4, 5}[r.IntN(5)])
	s.Options.Config = configOf(uint64(10+r.IntN(100)), r.IntN(3) == 0, s.Options.Config)
	s.Options.Disks = s.Options.Disks || r.IntN(2) == 0
	c := NewCluster(t, s.Seed, s.Options)
	s.run(t.Context(), c)
	c.Close()
	c.count(func(v *Coverage) { v.Events = len(c.Ledger.events) })
	return Result{c.Failures(), c.Coverage(), c.History()}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// configOf returns a change of a node's configuration to one with which schedules are
// short: small values need chunks anyway, and snapshots are frequent. With few only three
// members vote, and lose their vote when they are silent for a moment.
func configOf(snapshots uint64, few bool, change func(*raftkv.Config)) func(*raftkv.Config) {
	return func(cfg *raftkv.Config) {
		if few {
			cfg.Cluster = raftkv.ClusterConfig{ActiveSize: 3, RemoveDelay: 3 * time.Second, SyncInterval: time.Second}
		}
		cfg.MaxValue = 2 << 20
		cfg.SnapshotCount = snapshots
		cfg.SnapshotBytes = 1 << 20
		if change != nil {
			change(cfg)
		}
	}
}

func (s Schedule) run(ctx context.Context, c *Cluster) {
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := c.WaitVoters(starting, 3); err != nil {
		c.fail("starting: %v", err)
		return
	}
	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	for range 2 {
		r := c.newRand()
		watchers.Go(func() { c.Ledger.Wander(watching, r) })
	}
	watchers.Go(func() { c.followLeader(watching) })
	s.disturb(ctx, c)
	c.settle(ctx)
	c.trace("all machines lose their power")
	for _, m := range c.Members() {
		m.Crash(true)
	}
	c.Heal()
	c.settle(ctx)
	stopWatching()
	watchers.Wait()
}

// disturb has clients use the cluster while faults come over it, and heals it.
func (s Schedule) disturb(ctx context.Context, c *Cluster) {
	ctx, cancel := context.WithTimeout(ctx, s.Length)
	defer cancel()
	var busy sync.WaitGroup
	for i := range s.Clients {
		k := &client{c: c, r: c.newRand(), name: fmt.Sprintf("c%d", i)}
		busy.Go(func() { k.loop(ctx) })
	}
	if s.Sabotage == nil {
		busy.Go(func() { (&nemesis{c: c, r: c.newRand()}).loop(ctx) })
	} else {
		time.Sleep(s.Length / 2)
		s.Sabotage(c)
	}
	<-ctx.Done()
	c.Heal()
	busy.Wait()
	c.Heal() // what a fault that was just beginning has done
}

// settle writes through each member, which must be possible soon, and checks all.
func (c *Cluster) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	for _, m := range c.Staying() {
		err := c.wait(ctx, "a write by "+m.Name, func() error {
			if m.Node() == nil {
				return ErrDown
			}
			value := fmt.Sprintf("settle-%s-%d", m.Name, c.Ledger.tick())
			_, err := c.Ledger.Do(ctx, m, &tree.Op{Action: tree.Set, Key: "/settled/" + m.Name, Value: value})
			return err
		})
		if err != nil {
			c.fail("it does not heal: %v", err)
			return
		}
	}
	c.Check(ctx)
}

// followLeader counts the changes of the leader.
func (c *Cluster) followLeader(ctx context.Context) {
	last := ""
	for ctx.Err() == nil {
		if m := c.Leader(); m != nil && m.Name != last {
			if last != "" {
				c.count(func(v *Coverage) { v.LeaderChanges++ })
			}
			last = m.Name
			c.trace("%s leads", last)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// pause sleeps for about d, unless ctx ends before.
func pause(ctx context.Context, r *rand.Rand, d time.Duration) {
	select {
	case <-time.After(time.Duration(r.Int64N(2 * int64(d)))):
	case <-ctx.Done():
	}
}
