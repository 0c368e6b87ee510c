// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// TestStaleAnswersConfirmNothing: a leader finds answers in its sockets that were sent when
// it still led. Raft's VerifyLeader counts them; with it in the place of confirmTerm the
// read returns the old value.
func TestStaleAnswersConfirmNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Nobody loses patience, so that the leader does not step down by itself.
		c := newMemCluster(t, func(cfg *Config) { cfg.ElectionTimeout, cfg.Timeout = 10*time.Minute, 5*time.Minute })
		leader, rest := c.leader()
		set(t, leader, "/a", "old")
		// The first time makes the connections for what is under way together.
		for range 2 {
			c.net.heal()
			time.Sleep(time.Second)
			for _, n := range rest {
				c.net.hold(n.cfg.Name, leader.cfg.Name)
			}
			leader.raft.VerifyLeader() // sends heartbeats
			time.Sleep(time.Second)
		}
		for _, n := range rest {
			if c.net.waits(n.cfg.Name, leader.cfg.Name) == 0 {
				t.Fatal("no answer")
			}
			c.net.mark(n.cfg.Name, leader.cfg.Name)
		}
		rest[0].transport.electNow(raft.ServerID(rest[0].dir.id), math.MaxUint64) // whatever has happened
		set(t, newLeader(t, rest), "/a", "new")

		verified := leader.raft.VerifyLeader()
		read := make(chan error, 1)
		go func() {
			v, err := leader.Linearizable(t.Context())
			if err == nil {
				if n, _ := v.Get("/a"); n.Value != "new" {
					err = fmt.Errorf("it returned %q", n.Value)
				}
			}
			read <- err
		}()
		synctest.Wait()
		for _, n := range rest {
			c.net.release(n.cfg.Name, leader.cfg.Name)
		}
		if err := verified.Error(); err != nil {
			t.Errorf("raft has learnt to tell old answers from new: %v", err)
		}
		if err := <-read; !errors.Is(err, ErrNoLeader) && !errors.Is(err, ErrTimeout) {
			t.Errorf("a read: %v", err)
		}
		c.net.heal()
		v, err := leader.Linearizable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, v, "/a", "new")
	})
}

// TestCloseHandsOver: a leader that is closed leaves no time without one. Without retire it
// takes the others an election timeout.
func TestCloseHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		start := time.Now()
		closeNode(t, leader)
		set(t, rest[0], "/a", "1")
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("%v from Close to a write", took)
		}
	})
}

// TestAllAddressesChange is for hashicorp/consul#457 and nomad#12926: all nodes come back
// at other addresses, and only one of them is told of another. Without peers the nodes
// would be looked for where raft's configuration has them.
func TestAllAddressesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		set(t, c.nodes[0], "/a", "1")
		for _, n := range c.nodes {
			closeNode(t, n)
		}
		for i, n := range c.nodes {
			c.again(n, func(cfg *Config) {
				c.net.host("new-"+cfg.Name, cfg)
				cfg.Peers = nil
				if i > 0 {
					cfg.Peers = []string{"new-a:7001"}
				}
			})
		}
		leader := newLeader(t, c.nodes)
		set(t, leader, "/a", "2")
		for _, n := range c.nodes {
			shows(t, n, "/a", "2")
		}
		eventually(t, "the registry to have the new addresses", func() bool {
			for _, m := range leader.Members() {
				if !strings.HasPrefix(m.PeerURLs[0], "http://new-") {
					return false
				}
			}
			return true
		})
	})
}

// TestRemovedNodeReturns is for hashicorp/raft#524: a node that was removed while it was
// away, or down, comes back, with a log that says it votes. It must not disturb the others,
// and hears that it is a member no more.
func TestRemovedNodeReturns(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down=%v", down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newMemCluster(t)
				leader, rest := c.leader()
				gone := rest[0]
				c.cutOff(gone)
				if down {
					closeNode(t, gone)
				}
				time.Sleep(time.Minute) // it stands for election again and again
				if err := leader.RemoveMember(t.Context(), gone.dir.id); err != nil {
					t.Fatal(err)
				}
				term := leader.raft.CurrentTerm()
				c.net.heal()
				var err error
				if down {
					_, err = Open(t.Context(), gone.cfg)
				} else {
					err = waitFailed(t, gone, time.Minute)
				}
				if !errors.Is(err, ErrRemoved) {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if got := leader.raft.CurrentTerm(); got != term || leader.lead.Load() == nil {
					t.Errorf("the node has disturbed the others: term %d after %d", got, term)
				}
				set(t, leader, "/a", "1")
			})
		})
	}
}

// TestNoQuorum: with two of three nodes gone writes and confirmed reads end with an error
// in time, and the node's own copy and its watches go on. Then all is well again.
func TestNoQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		set(t, leader, "/a", "1")
		for _, n := range c.nodes {
			shows(t, n, "/a", "1")
		}
		c.cutOff(rest[0])
		c.cutOff(rest[1])
		for _, n := range c.nodes {
			watch, err := n.Tree().Watch("/a", false, false, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer watch.Close()
			for i := range 3 {
				start := time.Now()
				_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/lost"})
				if took := time.Since(start); err == nil || took > n.cfg.Timeout+time.Second {
					t.Errorf("write %d at %s: %v after %v", i, n.cfg.Name, err, took)
				}
				if n != leader && i > 0 && !errors.Is(err, ErrNotProposed) {
					t.Errorf("write %d at %s, which knows of no leader: %v", i, n.cfg.Name, err)
				}
				start = time.Now()
				_, err = n.Linearizable(t.Context())
				if took := time.Since(start); err == nil || took > n.cfg.Timeout+time.Second {
					t.Errorf("read %d at %s: %v after %v", i, n.cfg.Name, err, took)
				}
			}
			want(t, n.View(), "/a", "1")
		}
		c.net.heal()
		newLeader(t, c.nodes)
		for i, n := range c.nodes {
			set(t, n, fmt.Sprintf("/b%d", i), "1")
			if _, err := n.Linearizable(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestOneWay cuts one direction of the ways to and from a leader, and a follower.
func TestOneWay(t *testing.T) {
	for _, from := range []bool{true, false} {
		for _, who := range []string{"leader", "follower"} {
			t.Run(fmt.Sprintf("%s, from it %v", who, from), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newMemCluster(t)
					one, rest := c.leader()
					if who == "follower" {
						one, rest = rest[0], c.without(rest[0])
					}
					set(t, one, "/a", "0")
					for _, n := range rest {
						if from {
							c.net.hold(one.cfg.Name, n.cfg.Name)
						} else {
							c.net.hold(n.cfg.Name, one.cfg.Name)
						}
					}
					eventually(t, "the others to go on", func() bool {
						_, err := rest[0].Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "1"})
						return err == nil
					})
					if v, err := one.Linearizable(t.Context()); err == nil {
						want(t, v, "/a", "1")
					}
					c.net.heal()
					shows(t, one, "/a", "1")
					leader := newLeader(t, c.nodes)
					time.Sleep(time.Minute)
					if leader.lead.Load() == nil {
						t.Error("the leader has changed again though all is well")
					}
				})
			})
		}
	}
}

// TestDiskFails: a node whose disk cannot write any more ends, leader or not, and loses
// nothing that was acknowledged; the others go on.
func TestDiskFails(t *testing.T) {
	for _, who := range []string{"leader", "follower"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, logs := faultyCluster(t)
				bad, rest := c.leader()
				if who == "follower" {
					bad, rest = rest[0], c.without(rest[0])
				}
				set(t, rest[0], "/a", "1")
				logs[bad.cfg.Name].fail.Store(true)
				acknowledged := map[string]string{"/a": "1"}
				eventually(t, "the others to go on", func() bool {
					key := fmt.Sprintf("/k%d", len(acknowledged))
					if _, err := rest[0].Do(t.Context(), &tree.Op{Action: tree.Set, Key: key, Value: "1"}); err != nil {
						return false
					}
					acknowledged[key] = "1"
					return len(acknowledged) > 10
				})
				if err := waitFailed(t, bad, time.Minute); !strings.Contains(err.Error(), "input/output error") {
					t.Error(err)
				}
				closeNode(t, bad)
				bad = c.again(bad, func(cfg *Config) { cfg.Hooks.LogStore = nil })
				for key, value := range acknowledged {
					shows(t, bad, key, value)
				}
			})
		})
	}
}

// TestClocksJump moves the clocks of a leader and of a follower by hours, apart from each
// other, and has the leader change to any of them. Keys never stay for hours, and while one
// node leads they do not go too early. A new leader whose clock is ahead is believed, as
// that of a lone node is; see clock.
func TestClocksJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offsets := map[string]*atomic.Int64{}
		c := newMemCluster(t, func(cfg *Config) {
			offset := new(atomic.Int64)
			offsets[cfg.Name] = offset
			cfg.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		})
		for round, jump := range []time.Duration{5 * time.Hour, -5 * time.Hour, 0, -20 * time.Hour} {
			leader, rest := c.leader()
			offsets[leader.cfg.Name].Store(int64(jump))
			offsets[rest[0].cfg.Name].Store(int64(-jump))
			time.Sleep(time.Second)
			start := time.Now()
			key := fmt.Sprintf("/k%d", round)
			if _, err := leader.Do(t.Context(), ttlOp(key, 60)); err != nil {
				t.Fatal(err)
			}
			if round%2 == 1 {
				if err := leader.handOver(); err != nil {
					t.Fatal(err)
				}
			}
			gone := time.Duration(0)
			for gone == 0 && time.Since(start) < 10*time.Minute {
				time.Sleep(time.Second)
				if _, err := rest[1].View().Get(key); err != nil {
					gone = time.Since(start)
				}
			}
			t.Logf("jump %v: a key of 60 s was there for %v", jump, gone)
			if changed := round%2 == 1; gone == 0 || gone > 75*time.Second || gone < 59*time.Second && !changed {
				t.Errorf("jump %v: a key of 60 s was there for %v", jump, gone)
			}
		}
	})
}

// TestOutage: a node says since when it has not heard of a leader, and that it does again.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		for _, n := range append(rest, leader) {
			if since, err := n.Outage(); err != nil || !since.IsZero() {
				t.Errorf("%s: %v since %v", n.cfg.Name, err, since)
			}
		}
		cut := time.Now()
		c.cutOff(rest[0])
		time.Sleep(time.Minute)
		since, err := rest[0].Outage()
		if err == nil || since.Before(cut.Add(-time.Second)) || since.After(cut.Add(time.Second)) {
			t.Errorf("cut off at %v: %v since %v", cut, err, since)
		}
		if _, err := leader.Outage(); err != nil {
			t.Errorf("the leader: %v", err)
		}
		c.net.heal()
		time.Sleep(time.Minute)
		if since, err := rest[0].Outage(); err != nil || !since.IsZero() {
			t.Errorf("back again: %v since %v", err, since)
		}
	})
}
