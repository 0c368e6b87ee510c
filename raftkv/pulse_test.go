// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestPulseIsRareWhileRaftHears: a follower asks for what it does not know. Raft hears of the
// leader more often than silence asks for, so that little is left but the leader's time.
func TestPulseIsRareWhileRaftHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		asked := func(n *Node) uint64 {
			conn, err := n.peers.client(leader.dir.id).connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conn.mu.Lock()
			defer conn.mu.Unlock()
			return conn.number
		}
		time.Sleep(5 * time.Second) // all have joined
		const seconds = 30
		for _, n := range rest {
			before := asked(n)
			time.Sleep(seconds * time.Second)
			// Without due there are 8 in a second.
			if got := asked(n) - before; got < seconds/2 || got > 4*seconds {
				t.Errorf("%d requests to the leader in %d s", got, seconds)
			}
		}
	})
}

// TestPulseDue: what makes a follower ask.
func TestPulseDue(t *testing.T) {
	const calm = 150 * time.Millisecond
	now := time.Now()
	to, other := new(route), new(route)
	for _, test := range []struct {
		what    string
		to      *route
		contact time.Duration // ago
		asked   time.Duration // ago
		gone    bool
		want    bool
	}{
		{"raft has just heard of it", to, calm / 2, calm, false, false},
		{"raft has not for a while", to, calm + 1, calm / 2, false, true},
		{"another leader", other, 0, 0, false, true},
		{"nobody listened", to, 0, 0, true, true},
		{"its time is old", to, 0, clockEvery, false, true},
	} {
		p := pulse{when: now.Add(-test.asked)}
		p.asked.Store(to)
		p.gone.Store(test.gone)
		if got := p.due(test.to, now.Add(-test.contact), now, calm); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

// TestLateElection: a node that has made up its mind to stand for election, and meanwhile was
// told of a leader with a newer term, leaves that one alone.
func TestLateElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		late, next := rest[0], rest[1]
		old, term := late.route.Load(), late.raft.CurrentTerm()
		if !late.stillFollows(old) {
			t.Error("it does not follow its leader")
		}
		if err := leader.raft.LeadershipTransferToServer(raft.ServerID(next.dir.id), raft.ServerAddress(next.cfg.PeerAddr)).Error(); err != nil {
			t.Fatal(err)
		}
		set(t, late, "/a", "v")
		if late.stillFollows(old) {
			t.Error("it follows the leader of before")
		}
		term++
		if got := late.raft.CurrentTerm(); got != term {
			t.Fatalf("term %d, want %d", got, term)
		}
		late.transport.electNow(raft.ServerID(late.dir.id), term-1)
		time.Sleep(10 * time.Second)
		if got := next.raft.CurrentTerm(); next.raft.State() != raft.Leader || got != term {
			t.Errorf("the node that led in term %d is %v in term %d", term, next.raft.State(), got)
		}
		late.transport.rpcs <- election{raft.ServerID(late.dir.id), term}.request(late.transport.addr) // as if raft had missed the leader, too
		eventually(t, "an election", func() bool { return late.raft.State() == raft.Leader })
		late.transport.electNow(raft.ServerID(late.dir.id), term)
		time.Sleep(10 * time.Second)
		if got := late.raft.CurrentTerm(); late.raft.State() != raft.Leader || got != term+1 {
			t.Errorf("it stood against itself, and is %v in term %d", late.raft.State(), got)
		}
	})
}

// TestElectionAfterARefusal: a term that raft has heard of and not taken, of a candidate that
// it has refused, keeps nobody from standing for election when the leader is lost.
func TestElectionAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		term := leader.raft.CurrentTerm()
		id, addr := raft.ServerID(rest[0].dir.id), raft.ServerAddress(rest[0].cfg.PeerAddr)
		gone := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("gone"), Addr: []byte("gone")}
		var vote raft.RequestVoteResponse
		if err := leader.transport.RequestVote(id, addr, &raft.RequestVoteRequest{RPCHeader: gone, Term: term + 1000}, &vote); err != nil || vote.Granted {
			t.Fatalf("%+v, %v", vote, err)
		}
		var pre raft.RequestPreVoteResponse
		if err := leader.transport.RequestPreVote(id, addr, &raft.RequestPreVoteRequest{RPCHeader: gone, Term: term + 1000}, &pre); err != nil || pre.Granted {
			t.Fatalf("%+v, %v", pre, err)
		}
		rest[0].transport.electNow(id, term)
		eventually(t, "an election", func() bool { return rest[0].raft.State() == raft.Leader })
	})
}

// TestElectionWhileRaftVotes: raft takes the next request while it still forgets its leader,
// and nobody sees the newer term yet.
func TestElectionWhileRaftVotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		late, next, term := rest[0], rest[1], leader.raft.CurrentTerm()
		id, flush, held := raft.ServerID(late.dir.id), late.stable.before, make(chan struct{})
		late.stable.before = func() error { <-held; return flush() }
		voted := make(chan error, 1)
		go func() {
			voted <- next.transport.RequestVote(id, raft.ServerAddress(late.cfg.PeerAddr), &raft.RequestVoteRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(next.dir.id), Addr: []byte(next.cfg.PeerAddr)},
				Term:      term + 1, LastLogIndex: 1000, LastLogTerm: term, LeadershipTransfer: true,
			}, new(raft.RequestVoteResponse))
		}()
		time.Sleep(10 * time.Millisecond)
		late.transport.electNow(id, term)
		synctest.Wait()
		close(held)
		if err := <-voted; err != nil {
			t.Fatal(err)
		}
		if got := late.raft.CurrentTerm(); late.raft.State() != raft.Follower || got != term+1 {
			t.Errorf("the node that voted in term %d is %v in term %d", term+1, late.raft.State(), got)
		}
	})
}
