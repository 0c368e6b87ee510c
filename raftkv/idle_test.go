// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestIdleLeaderAsksForNews: an idle leader does not send the requests of raft's that could
// tell and bring nothing new. The followers follow all the while.
func TestIdleLeaderAsksForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		time.Sleep(5 * time.Second) // all have joined
		const seconds = 60
		sent, terms := leader.transport.sent.Load(), leader.raft.CurrentTerm()
		routes := []*route{rest[0].route.Load(), rest[1].route.Load()}
		time.Sleep(seconds * time.Second)
		// All of raft's are 18.7 in a second.
		if got := leader.transport.sent.Load() - sent; got < 10*seconds || got > 16*seconds {
			t.Errorf("%d requests in %d s", got, seconds)
		}
		for i, n := range rest {
			if n.route.Load() != routes[i] || n.raft.CurrentTerm() != terms {
				t.Errorf("%s has looked for another leader", n.cfg.Name)
			}
			if quiet := time.Since(n.raft.LastContact()); quiet > n.cfg.calm() {
				t.Errorf("%s has not heard of its leader for %v", n.cfg.Name, quiet)
			}
		}
	})
}

// TestSaidSince: which requests a follower has answered before they are made.
func TestSaidSince(t *testing.T) {
	yes := &raft.AppendEntriesResponse{Term: 3, Success: true}
	heartbeat := raft.AppendEntriesRequest{Term: 3}
	same := raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, PrevLogTerm: 3, LeaderCommitIndex: 7}
	other := func(change func(*raft.AppendEntriesRequest)) raft.AppendEntriesRequest {
		r := same
		change(&r)
		return r
	}
	for _, test := range []struct {
		what   string
		before raft.AppendEntriesRequest
		answer *raft.AppendEntriesResponse
		err    error
		since  time.Duration // before the first was sent
		then   raft.AppendEntriesRequest
		want   bool
	}{
		{"a heartbeat after one", heartbeat, yes, nil, 0, heartbeat, true},
		{"a heartbeat after a commit", same, yes, nil, 0, heartbeat, true},
		{"a commit again", same, yes, nil, 0, same, true},
		{"an earlier commit", same, yes, nil, 0, other(func(r *raft.AppendEntriesRequest) { r.LeaderCommitIndex = 6 }), true},
		{"too long ago", same, yes, nil, -time.Millisecond, heartbeat, false},
		{"a later commit", other(func(r *raft.AppendEntriesRequest) { r.LeaderCommitIndex = 6 }), yes, nil, 0, same, false},
		{"another end of the log", same, yes, nil, 0, other(func(r *raft.AppendEntriesRequest) { r.PrevLogEntry = 8 }), false},
		{"another term of it", same, yes, nil, 0, other(func(r *raft.AppendEntriesRequest) { r.PrevLogTerm = 2 }), false},
		{"an entry", same, yes, nil, 0, other(func(r *raft.AppendEntriesRequest) { r.Entries = []*raft.Log{{Index: 8}} }), false},
		{"another term", heartbeat, yes, nil, 0, raft.AppendEntriesRequest{Term: 4}, false},
		{"no answer", heartbeat, yes, errors.New("lost"), 0, heartbeat, false},
		{"it has refused", heartbeat, &raft.AppendEntriesResponse{Term: 4}, nil, 0, heartbeat, false},
		{"it does not have that", same, &raft.AppendEntriesResponse{Term: 3}, nil, 0, same, false},
	} {
		p := &progress{id: "x", wake: make(chan struct{}, 1)}
		start := time.Now()
		tells := p.start("x", &test.before)
		p.end(&test.before, test.answer, time.Since(start), test.err, tells)
		if got := p.saidSince(start.Add(-test.since), &test.then); got != test.want {
			t.Errorf("%s: %v", test.what, got)
		}
	}
}

// TestAnswerHereSharesNothing: raft decodes answers into what it has of the one before. If
// that had a part of the request, the next request would be from somebody else.
func TestAnswerHereSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		args := raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(leader.dir.id), Addr: []byte(leader.transport.addr)},
			Term:      leader.raft.CurrentTerm(),
		}
		var resp raft.AppendEntriesResponse
		id := raft.ServerID(rest[0].dir.id)
		for range 20 { // some of them are answered here
			if err := leader.transport.AppendEntries(id, rest[0].transport.addr, &args, &resp); err != nil || !resp.Success {
				t.Fatalf("%+v, %v", resp, err)
			}
			if string(args.ID) != leader.dir.id {
				t.Fatalf("the request is from %q", args.ID)
			}
			time.Sleep(leader.transport.lull * 2 / 3)
		}
	})
}

// TestGoneLeaderIsFoundAtOnce: when connections break and nobody listens any more, a follower
// does not sleep on. Without pulse.wakeUp it takes up to calm.
func TestGoneLeaderIsFoundAtOnce(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newMemCluster(t)
				leader, rest := c.leader()
				time.Sleep(5*time.Second + time.Duration(i)*70*time.Millisecond)
				if err := leader.mux.ln.Close(); err != nil {
					t.Fatal(err)
				}
				c.net.reset()
				start := time.Now()
				newLeader(t, rest)
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("another leads after %v", took)
				}
			})
		})
	}
}
