// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// openThree opens a cluster of three nodes that vote.
func openThree(t testing.TB, change ...func(*Config)) []*Node {
	t.Helper()
	return openNodes(t, 3, change...)
}

// openNodes opens a cluster of a few nodes that vote.
func openNodes(t testing.TB, count int, change ...func(*Config)) []*Node {
	t.Helper()
	var nodes []*Node
	var peers []string
	for _, name := range []string{"a", "b", "c", "d", "e"}[:count] {
		cfg := testConfig(t)
		cfg.Name, cfg.Peers, cfg.ElectionTimeout = name, peers, time.Second
		for _, f := range change {
			f(&cfg)
		}
		n := open(t, cfg)
		nodes = append(nodes, n)
		peers = []string{n.Status().PeerAddr}
	}
	eventually(t, "all to vote", func() bool {
		for _, n := range nodes {
			if n.voters() != count || n.route.Load() == nil {
				return false
			}
		}
		return true
	})
	for _, n := range nodes {
		<-n.Ready()
	}
	return nodes
}

func leaderOf(t testing.TB, nodes []*Node) *Node {
	t.Helper()
	var leader *Node
	eventually(t, "a leader", func() bool {
		for _, n := range nodes {
			if n.lead.Load() != nil {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

func TestThreeNodes(t *testing.T) {
	nodes := openThree(t)
	for i, n := range nodes {
		key := fmt.Sprintf("/k%d", i)
		set(t, n, key, "v")
		want(t, n.View(), key, "v") // its own writes, at once
		for _, other := range nodes {
			v, err := other.Linearizable(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want(t, v, key, "v")
		}
	}
	_, err := nodes[2].Do(t.Context(), &tree.Op{Action: tree.CompareAndSwap, Key: "/k0", PrevValue: "x", Value: "y"})
	var refusal *tree.Error
	if !errors.As(err, &refusal) || refusal.Code != tree.CodeCompareFailed || refusal.Cause != "[x != v]" {
		t.Errorf("a refusal at a follower: %v", err)
	}
	large := strings.Repeat("x", 2<<20)
	set(t, nodes[1], "/large", large)
	e, err := nodes[2].Do(t.Context(), &tree.Op{Action: tree.Delete, Key: "/large"})
	if err != nil || e.Prev == nil || e.Prev.Value != large {
		t.Errorf("a large value and its removal: %v", err)
	}
}

func TestLeaderLoss(t *testing.T) {
	nodes := openThree(t)
	leader := leaderOf(t, nodes)
	set(t, leader, "/before", "v")
	start := time.Now()
	closeNode(t, leader)
	var rest []*Node
	for _, n := range nodes {
		if n != leader {
			rest = append(rest, n)
		}
	}
	set(t, rest[0], "/after", "v")
	t.Logf("%v to close the leader and write at another", time.Since(start))
	want(t, rest[0].View(), "/before", "v")
	leader = open(t, leader.cfg)
	eventually(t, "the old leader to catch up", func() bool { _, err := leader.View().Get("/after"); return err == nil })
	if m := leader.Members(); len(m) != 3 {
		t.Errorf("members %+v", m)
	}
}

func TestNamesAndAddresses(t *testing.T) {
	nodes := openThree(t)
	cfg := testConfig(t)
	cfg.Name, cfg.Peers = "b", []string{nodes[2].Status().PeerAddr}
	if n, err := Open(t.Context(), cfg); !errors.Is(err, ErrNameExists) {
		t.Errorf("a second b: %v", err)
		n.Close()
	}
	other := open(t, testConfig(t))
	closeNode(t, other)
	cfg = other.cfg
	cfg.Peers = []string{nodes[0].Status().PeerAddr}
	if n, err := Open(t.Context(), cfg); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("the data of another cluster: %v", err)
		n.Close()
	}
}

func TestRemoval(t *testing.T) {
	nodes := openThree(t)
	leader := leaderOf(t, nodes)
	for _, n := range nodes {
		if n != leader {
			if err := n.RemoveMember(t.Context(), n.dir.id); err != nil {
				t.Fatal(err)
			}
			select {
			case <-n.Failed():
			case <-time.After(20 * time.Second):
				t.Fatal("a node that was removed goes on")
			}
			if !errors.Is(n.Err(), ErrRemoved) {
				t.Error(n.Err())
			}
			break
		}
	}
	if got := leader.voters(); got != 2 {
		t.Errorf("%d voters", got)
	}
	set(t, leader, "/a", "1")
}

// TestLeaderKilled: a leader that is gone is replaced long before raft misses it.
func TestLeaderKilled(t *testing.T) {
	nodes := openThree(t, func(c *Config) { c.ElectionTimeout = 5 * time.Second })
	leader := leaderOf(t, nodes)
	// As if it was killed: nobody listens any more, and its connections break.
	leader.mux.close()
	var rest []*Node
	for _, n := range nodes {
		if n != leader {
			rest = append(rest, n)
		}
	}
	start := time.Now()
	eventually(t, "another leader", func() bool { return rest[0].lead.Load() != nil || rest[1].lead.Load() != nil })
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("another leader after %v", took)
	} else {
		t.Logf("another leader after %v", took)
	}
}

// TestTimeOfFollowers: the time to live that a node shows is the leader's, whatever its
// own clock says.
func TestTimeOfFollowers(t *testing.T) {
	clocks := 0
	nodes := openThree(t, func(c *Config) {
		c.Now = time.Now
		if clocks++; clocks == 2 {
			c.Now = func() time.Time { return time.Now().Add(-5 * time.Hour) }
		}
	})
	if _, err := nodes[0].Do(t.Context(), ttlOp("/k", 3600)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the follower to know the leader's time", func() bool {
		node, err := nodes[1].View().Get("/k")
		if err != nil {
			return false
		}
		left := time.Duration(node.Expires - nodes[1].Now())
		return left > 3500*time.Second && left <= 3600*time.Second+maxSkew
	})
}

// TestVoteAfterRestart: a node that was restarted is asked for its vote over a new
// connection, not over one to the process before.
func TestVoteAfterRestart(t *testing.T) {
	nodes := openThree(t)
	asks, other := nodes[1], nodes[2]
	ask := func(over raft.WithPreVote) error {
		return over.RequestPreVote(raft.ServerID(other.dir.id), raft.ServerAddress(other.Status().PeerAddr), &raft.RequestPreVoteRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(asks.dir.id), Addr: []byte(asks.Status().PeerAddr)},
		}, new(raft.RequestPreVoteResponse))
	}
	if err := ask(asks.transport.NetworkTransport); err != nil { // leaves a connection in the pool
		t.Fatal(err)
	}
	closeNode(t, other)
	cfg := other.cfg
	cfg.PeerAddr = other.Status().PeerAddr
	other = open(t, cfg)
	if err := ask(asks.transport); err != nil {
		t.Error(err)
	}
}
