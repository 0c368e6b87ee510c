// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// TestNoteToNobodysFollower: a node that has no leader believes no notes, whoever sends them.
func TestNoteToNobodysFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		time.Sleep(5 * time.Second)
		n := rest[0]
		c.cutOff(n)
		eventually(t, "the leader to be missed", func() bool { _, id := n.raft.LeaderWithID(); return id == "" })
		term, last := n.raft.CurrentTerm(), n.raft.LastIndex()
		for _, id := range []string{"", leader.dir.id, rest[1].dir.id, n.dir.id} {
			if n.transport.noted(id, commitNote{term, last + 1, term, last + 1}.payload()) {
				t.Errorf("a note of node %q is believed", id)
			}
		}
	})
}

// TestLateNotes: of the notes that come while raft is busy the one that tells most waits, in
// whatever order they came.
func TestLateNotes(t *testing.T) {
	for range 100 {
		tr := &transport{late: make(chan raft.RPC, 1)}
		var coming sync.WaitGroup
		for _, i := range rand.Perm(20) {
			coming.Go(func() {
				tr.wait(raft.RPC{Command: &raft.AppendEntriesRequest{Term: uint64(2 + i/10), LeaderCommitIndex: uint64(100 - 30*(i/10) + i%10)}})
			})
		}
		coming.Wait()
		if got := (<-tr.late).Command.(*raft.AppendEntriesRequest); got.Term != 3 || got.LeaderCommitIndex != 79 {
			t.Fatalf("the one that waits is of term %d and commit %d", got.Term, got.LeaderCommitIndex)
		}
	}
}

// TestNudgeWaitsForAnAnswer: while an answer is under way that will tell the follower of a
// commit there is no nudge, and afterwards there is one if it did not.
func TestNudgeWaitsForAnAnswer(t *testing.T) {
	for _, told := range []bool{true, false} {
		s := &script{t: t, p: &progress{id: "x", wake: make(chan struct{}, 1)}, now: raft.Leader, term: 1, commit: 5}
		args := raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 5, PrevLogTerm: 1}
		tells := s.p.start("x", &args)
		s.p.end(&args, &raft.AppendEntriesResponse{Term: 1, Success: true}, 0, nil, tells)
		s.p.expects(1)
		if args, _, ok := s.p.nudge(fixed{s}); ok {
			t.Errorf("a nudge besides: %+v", args)
		}
		args, ok := s.p.tellable(fixed{s})
		if !ok || args.LeaderCommitIndex != 5 || args.PrevLogEntry != 5 {
			t.Errorf("to be told are %+v, %v", args, ok)
		}
		if told {
			s.p.noted(&args)
		}
		s.p.expects(-1)
		if args, _, ok := s.p.nudge(fixed{s}); ok == told {
			t.Errorf("told: %v; nudge %v %+v", told, ok, args)
		}
		if _, ok := s.p.tellable(fixed{s}); ok == told {
			t.Errorf("told: %v, and there is news: %v", told, ok)
		}
	}
}

// TestAnswerThatBreaks: an answer that could not be sent, as a whole or in part, holds up no nudge.
func TestAnswerThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		time.Sleep(5 * time.Second)
		id := rest[0].dir.id
		for _, size := range []int{1, 2 * partSize} { // the second answer has the first value in it
			for i := range 2 {
				op := fsm.Op{Tree: &tree.Op{Action: tree.Set, Key: "/a", Value: strings.Repeat(fmt.Sprint(i), size)}}
				conn, other := net.Pipe()
				other.Close()
				s := &peerSession{node: leader, conn: conn, from: hello{ID: id}, protocol: noteProtocol, writing: newTurn(), w: bufio.NewWriter(conn)}
				s.serve(t.Context(), frame{1, kindForward, fsm.AppendBatch(nil, 0, []fsm.Op{op})})
				p := leader.transport.answering(id)
				p.mu.Lock()
				if p.answers != 0 {
					t.Errorf("%d bytes: %d answers under way", size, p.answers)
				}
				p.mu.Unlock()
			}
			burst(t, 1, leader, c.nodes)
			if most := burst(t, 5, leader, c.nodes); most > 5*time.Millisecond {
				t.Errorf("%d bytes: %v", size, most)
			}
		}
	})
}

// TestAnswersAreCounted: whatever becomes of operations that followers forward, many at once, while
// leaders change and connections break, no answer stays expected: else there would be no nudges.
func TestAnswersAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, _ := c.leader()
		time.Sleep(5 * time.Second)
		var enough atomic.Bool
		var writing sync.WaitGroup
		var done atomic.Int64
		for i := range 12 {
			writing.Go(func() {
				for !enough.Load() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(1000))*time.Millisecond)
					op := &tree.Op{Action: tree.Set, Key: fmt.Sprint("/", i), Value: "v"}
					if _, err := c.nodes[i%3].Do(ctx, op); err == nil {
						done.Add(1)
					}
					cancel()
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		for i := range 4 {
			if i%2 == 0 {
				leader.raft.LeadershipTransfer().Error()
			} else {
				c.cutOff(leader)
				time.Sleep(5 * time.Second)
				c.net.heal()
			}
			time.Sleep(time.Second)
			leader = leaderOf(t, c.nodes)
		}
		enough.Store(true)
		writing.Wait()
		time.Sleep(30 * time.Second) // what was given up is finished
		for _, n := range c.nodes {
			for _, o := range c.nodes {
				if p := n.transport.answering(o.dir.id); p != nil {
					p.mu.Lock()
					if p.answers != 0 || p.flying != 0 {
						t.Errorf("%s expects %d answers and %d requests to tell %s of commits", n.cfg.Name, p.answers, p.flying, o.cfg.Name)
					}
					p.mu.Unlock()
				}
			}
		}
		if done.Load() < 100 {
			t.Errorf("%d writes", done.Load())
		}
	})
}
