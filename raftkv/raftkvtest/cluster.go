// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft-wal/types"

	"confd/raftkv"
)

// Options say what a cluster is like. Zero means the default.
type Options struct {
	Nodes  int                           // default 3
	Link   Link                          // of healthy ways; default 0.2 to 0.5 ms
	Config func(*raftkv.Config)          // may change the configuration of each node
	LogFS  func(member string) types.VFS // holds the log's files, called for each start
	Disks  bool                          // each member's log is on a Disk, unless there is a LogFS
}

// A Cluster is several nodes in one process, with a network, disks and clocks of which
// everything can go wrong. It must be made in a bubble of testing/synctest, where hours
// take no time. Its methods may be called concurrently.
type Cluster struct {
	Net    *Network
	Ledger *Ledger

	t       testing.TB
	options Options
	dir     string
	handler slog.Handler
	start   time.Time
	wg      sync.WaitGroup

	mu       sync.Mutex
	rand     *rand.Rand
	members  []*Member
	log      bytes.Buffer // what has happened, and what the nodes have logged
	failures []string
	covered  Coverage
}

// NewCluster starts a cluster. What is left to chance comes from seed, but for the order
// in which goroutines run and for what raft itself leaves to chance.
func NewCluster(t testing.TB, seed uint64, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Link == (Link{}) {
		o.Link = Link{Latency: 200 * time.Microsecond, Jitter: 300 * time.Microsecond}
	}
	c := &Cluster{t: t, options: o, dir: tempDir(t), start: time.Now(), rand: rand.New(rand.NewPCG(seed, 1))}
	c.handler = slog.NewTextHandler(lockedWriter{&c.mu, &c.log}, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Duration("at", time.Since(c.start))
			}
			return a
		},
	})
	c.Net = NewNetwork(c.newRand(), o.Link)
	c.Ledger = newLedger(c)
	for range o.Nodes {
		c.AddMember()
	}
	return c
}

// tempDir returns a directory in memory if there is one: there an fsync costs nothing.
func tempDir(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err != nil || !info.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "raftkvtest-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// AddMember starts one more member: the first makes the cluster, the others join it.
func (c *Cluster) AddMember() *Member {
	c.mu.Lock()
	m := c.newMember(string(rune('a' + len(c.members))))
	c.members = append(c.members, m)
	c.mu.Unlock()
	m.Start()
	return m
}

// Members returns all members, running or not.
func (c *Cluster) Members() []*Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.members)
}

// Staying returns the members that nobody has asked to remove.
func (c *Cluster) Staying() []*Member {
	return slices.DeleteFunc(c.Members(), func(m *Member) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.leaving != ""
	})
}

func (c *Cluster) peersOf(m *Member) []string {
	var peers []string
	for _, other := range c.Members() {
		if other != m {
			peers = append(peers, other.addr())
		}
	}
	return peers
}

// Leader returns a member that leads, as far as it knows, nil if there is none.
func (c *Cluster) Leader() *Member {
	var leader *Member
	term := uint64(0)
	for _, m := range c.Members() {
		if n := m.Node(); n != nil {
			if s := n.Status(); s.State == "leader" && s.Term >= term {
				leader, term = m, s.Term
			}
		}
	}
	return leader
}

// WaitLeader waits until a member leads that is not one of those.
func (c *Cluster) WaitLeader(ctx context.Context, not ...*Member) (leader *Member, err error) {
	err = c.wait(ctx, "a leader", func() error {
		if leader = c.Leader(); leader == nil || slices.Contains(not, leader) {
			return errors.New("there is none")
		}
		return nil
	})
	return leader, err
}

// WaitVoters waits until at least so many members have a vote: a new one gets it only when
// it has the data.
func (c *Cluster) WaitVoters(ctx context.Context, count int) error {
	return c.wait(ctx, "members to vote", func() error {
		voters := 0
		if leader := c.Leader(); leader != nil {
			for _, m := range leader.Node().Cluster(ctx) {
				if m.Role == raftkv.RoleLeader || m.Role == raftkv.RoleFollower {
					voters++
				}
			}
		}
		if voters < count {
			return fmt.Errorf("%d of %d do", voters, count)
		}
		return nil
	})
}

// WaitServing waits until all members that are to run do serve.
func (c *Cluster) WaitServing(ctx context.Context) error {
	return c.wait(ctx, "all members to serve", func() error {
		for _, m := range c.Members() {
			if m.Running() && m.Node() == nil {
				return fmt.Errorf("%s does not", m.Name)
			}
		}
		return nil
	})
}

// wait calls f until it returns nil, or ctx ends.
func (c *Cluster) wait(ctx context.Context, what string, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w", what, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Heal mends the network, lets paused members go on, and starts those that are down.
func (c *Cluster) Heal() {
	c.trace("heal")
	c.Net.Heal()
	for _, m := range c.Members() {
		m.Resume()
		m.SlowDisk(time.Millisecond)
		m.spare()
		if !m.Running() {
			m.Start()
		}
	}
}

// Close stops all members. It returns when nothing of the cluster runs any more.
func (c *Cluster) Close() {
	for _, m := range c.Members() {
		m.Crash(false)
	}
	c.wg.Wait()
	if n := c.Net.Open(); n > 0 {
		c.fail("%d connections are open after the end", n)
	}
}

// newRand returns a source of chance for one part of the cluster.
func (c *Cluster) newRand() *rand.Rand {
	c.mu.Lock()
	defer c.mu.Unlock()
	return rand.New(rand.NewPCG(c.rand.Uint64(), 0))
}

// trace notes what happens, for whoever must find out why a test has failed.
func (c *Cluster) trace(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.log, "at=%v %s\n", time.Since(c.start), fmt.Sprintf(format, args...))
}

// fail notes that something is wrong.
func (c *Cluster) fail(format string, args ...any) {
	c.trace("WRONG: "+format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, fmt.Sprintf(format, args...))
}

// Failures returns what was found to be wrong.
func (c *Cluster) Failures() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.failures)
}

// History returns what has happened, and what the nodes have logged.
func (c *Cluster) History() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}
