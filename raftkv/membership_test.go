// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// TestAddressOfAnother: a node joins at the address that another member had before it
// moved. Raft's configuration still has that one there, and takes no address twice.
func TestAddressOfAnother(t *testing.T) {
	nodes := openThree(t)
	leader := leaderOf(t, nodes)
	moved := nodes[slices.IndexFunc(nodes, func(n *Node) bool { return n != leader })]
	old := moved.Status().PeerAddr
	closeNode(t, moved)
	moved = open(t, moved.cfg) // at any port
	<-moved.Ready()
	eventually(t, "the registry to know", func() bool { return leader.registryAddr(moved.dir.id) == moved.Status().PeerAddr })
	cfg := testConfig(t)
	cfg.Name, cfg.Peers, cfg.ElectionTimeout, cfg.PeerAddr = "d", []string{leader.Status().PeerAddr}, time.Second, old
	open(t, cfg)
	eventually(t, "four voters", func() bool { return leader.voters() == 4 })
}

// TestRemovalAfterElection: a new leader does not count on members it has not heard from.
// Here one is dead, and to remove the other living one would leave nobody.
func TestRemovalAfterElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		dead, heir := rest[0], rest[1]
		c.cutOff(dead)
		time.Sleep(10 * time.Second)
		if err := leader.RemoveMember(t.Context(), heir.dir.id); !errors.Is(err, ErrQuorum) {
			t.Errorf("long after the election: %v", err)
		}
		if err := leader.raft.LeadershipTransferToServer(raft.ServerID(heir.dir.id), heir.transport.LocalAddr()).Error(); err != nil {
			t.Fatal(err)
		}
		for heir.lead.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := heir.RemoveMember(ctx, leader.dir.id); !errors.Is(err, ErrQuorum) {
			t.Errorf("right after the election: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := heir.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/b", Value: "1"}); err != nil {
			t.Errorf("the quorum is lost: %v", err)
		}
	})
}

// TestRemoveTheLeader: a leader that is removed goes on until another one leads, and the
// others can do without it. It must not end before: with two voters its vote is needed.
func TestRemoveTheLeader(t *testing.T) {
	for _, size := range []int{2, 3} {
		nodes := openNodes(t, size)
		leader := leaderOf(t, nodes)
		rest := slices.DeleteFunc(slices.Clone(nodes), func(n *Node) bool { return n == leader })
		if err := rest[0].RemoveMember(t.Context(), leader.dir.id); err != nil {
			t.Fatal(err)
		}
		select {
		case <-leader.Failed():
		case <-time.After(20 * time.Second):
			t.Fatalf("of %d: the leader that was removed goes on", size)
		}
		if !errors.Is(leader.Err(), ErrRemoved) {
			t.Error(leader.Err())
		}
		leader.mux.close() // as if its process had ended
		eventually(t, "the others to go on", func() bool {
			_, err := rest[0].Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "1"})
			return err == nil && rest[0].voters() == size-1
		})
	}
}

// TestGoodbye: a node that ends names the highest request that it has taken, in whatever
// order they came. The asking node does what is above it again elsewhere.
func TestGoodbye(t *testing.T) {
	n := open(t, testConfig(t))
	c, _, err := strangerStream(n, nil).dial(contextWithin(t, sniffTimeout), n.Status().PeerAddr, n.dir.id, protoPeer)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, r := bufio.NewWriter(c), bufio.NewReader(c)
	for _, number := range []uint64{8, 7} { // those who send may overtake each other
		if err := errors.Join(writeFrame(w, frame{number, kindTerm, nil}), w.Flush()); err != nil {
			t.Fatal(err)
		}
		if f, err := readFrame(r, 1<<10); err != nil || f.number != number || f.kind != kindDone {
			t.Fatalf("got %+v, %v", f, err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	if f, err := readFrame(r, 1<<10); err != nil || f.kind != kindGoodbye || f.number != 8 {
		t.Errorf("got %+v, %v", f, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestVoteComesBackWithAddress: a member that has lost its vote and gets it again keeps its
// address in raft's configuration, also the first one's, which is of another form: raft 1.8.0
// has a data race when the address of a follower is replaced.
func TestVoteComesBackWithAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		first, rest := c.leader()
		heir := rest[0]
		if _, err := first.SetClusterConfig(t.Context(), func(c *ClusterConfig) { c.RemoveDelay = 3 * time.Second }); err != nil {
			t.Fatal(err)
		}
		before, err := first.servers()
		if err != nil {
			t.Fatal(err)
		}
		if err := first.raft.LeadershipTransferToServer(raft.ServerID(heir.dir.id), heir.transport.LocalAddr()).Error(); err != nil {
			t.Fatal(err)
		}
		for heir.lead.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		c.cutOff(first)
		time.Sleep(time.Minute)
		if n := heir.voters(); n != 2 {
			t.Fatalf("%d voters while one is cut off", n)
		}
		c.net.heal()
		time.Sleep(time.Minute)
		after, err := heir.servers()
		if err != nil || !slices.Equal(after, before) {
			t.Errorf("got %v, %v, want %v", after, err, before)
		}
	})
}
