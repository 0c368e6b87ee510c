// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// TestNudge: a follower shows a lone write at once. Without nudgeLoop it takes raft one to
// two times its CommitTimeout, 250 ms.
func TestNudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		for i := range 20 {
			time.Sleep(time.Second) // nothing else is under way
			value := fmt.Sprint(i)
			set(t, leader, "/a", value)
			start := time.Now()
			for _, n := range rest {
				shows(t, n, "/a", value)
			}
			if took := time.Since(start); took > 5*time.Millisecond {
				t.Errorf("write %d: %v until all have shown it", i, took)
			}
		}
	})
}

// A script is a leader and a follower as a progress sees them, which do at random what
// the two may do.
type script struct {
	t      *testing.T
	r      *rand.Rand
	p      *progress
	now    raft.RaftState
	term   uint64
	commit uint64
	log    uint64 // the leader's last entry

	acked map[uint64]uint64 // :: term → last entry that the follower has acknowledged in it
	open  []sent            // requests under way
}

type sent struct {
	args  raft.AppendEntriesRequest
	tells bool
	reply bool
}

func (s *script) CommitIndex() uint64 { return s.commit }

// State may be asked long after CommitIndex.
func (s *script) State() raft.RaftState {
	if s.r.IntN(8) == 0 {
		s.change()
	}
	return s.now
}

func (s *script) CurrentTerm() uint64 { return s.term }

// change ends the leadership, or begins another. Meanwhile others have led: more is
// committed, and the entries of this leader may be others.
func (s *script) change() {
	s.term += uint64(1 + s.r.IntN(2))
	s.commit += uint64(s.r.IntN(5))
	s.log = max(s.log, s.commit)
	s.now = raft.Follower
	if s.r.IntN(3) > 0 {
		s.now = raft.Leader
	}
}

// step does one thing.
func (s *script) step() {
	switch s.r.IntN(8) {
	case 0:
		s.change()
	case 1:
		s.log++
	case 2:
		if s.now == raft.Leader && s.commit < s.log {
			s.commit++
		}
	case 3, 4:
		s.send()
	case 5, 6:
		s.receive()
	case 7:
		s.nudge()
	}
}

// send begins a request of raft's, now and then one of a goroutine left from an older term.
func (s *script) send() {
	term := s.term
	if s.r.IntN(6) == 0 && term > 1 {
		term--
	} else if s.now != raft.Leader {
		return
	}
	prev := s.r.Uint64N(s.log + 1)
	args := raft.AppendEntriesRequest{Term: term, PrevLogEntry: prev, PrevLogTerm: term, LeaderCommitIndex: s.commit}
	for i := prev + 1; i <= s.log && s.r.IntN(3) > 0; i++ {
		args.Entries = append(args.Entries, &raft.Log{Index: i, Term: term})
	}
	s.open = append(s.open, sent{args, s.p.start("x", &args), s.r.IntN(4) > 0})
}

// receive ends one of the requests under way, in any order.
func (s *script) receive() {
	if len(s.open) == 0 {
		return
	}
	i := s.r.IntN(len(s.open))
	o := s.open[i]
	s.open = append(s.open[:i], s.open[i+1:]...)
	var err error
	if !o.reply {
		err = errors.New("lost")
	}
	success := s.r.IntN(4) > 0
	if err == nil && success && (o.args.PrevLogEntry > 0 || len(o.args.Entries) > 0) {
		last := o.args.PrevLogEntry + uint64(len(o.args.Entries))
		s.acked[o.args.Term] = max(s.acked[o.args.Term], last)
	}
	s.p.end(&o.args, &raft.AppendEntriesResponse{Term: o.args.Term, Success: success}, time.Millisecond, err, o.tells)
}

func (s *script) nudge() {
	before := s.term
	args, _, ok := s.p.nudge(s)
	noted := s.r.IntN(3) == 0 // told by a note, and not answered
	if noted {
		args, ok = s.p.tellable(s)
	}
	if !ok {
		return
	}
	switch acked := s.acked[args.Term]; {
	case args.LeaderCommitIndex > acked:
		s.t.Fatalf("in term %d entry %d is said to be committed, and the follower has acknowledged %d", args.Term, args.LeaderCommitIndex, acked)
	case args.PrevLogEntry > acked || args.LeaderCommitIndex > args.PrevLogEntry || len(args.Entries) > 0:
		s.t.Fatalf("bad request %+v, %d are acknowledged", args, acked)
	case args.Term != s.term || s.now != raft.Leader:
		s.t.Fatalf("a request of term %d, and it is term %d, before it was %d: what is committed may be of another leader", args.Term, s.term, before)
	}
	if noted {
		s.p.noted(&args)
		return
	}
	s.open = append(s.open, sent{args, s.p.start("x", &args), s.r.IntN(4) > 0})
}

// TestNudgeIsSafe: whatever happens, and however late, a nudge says of no entry that it
// is committed unless the follower has acknowledged it in the same term, and this node was
// leading in that term when it learnt of the commit. It fails without the limit to what is
// matched, and if state and term are not asked after the commit index.
func TestNudgeIsSafe(t *testing.T) {
	for seed := range uint64(300) {
		s := &script{
			t: t, r: rand.New(rand.NewPCG(seed, 1)), p: &progress{id: "x", wake: make(chan struct{}, 1)},
			now: raft.Leader, term: 1, acked: make(map[uint64]uint64),
		}
		for range 1000 {
			s.step()
		}
	}
}

// TestNudgeThatIsRefused: a follower that has taken a snapshot does not have what it had.
// To tell it again and again is no use; it fails without progress.refused.
func TestNudgeThatIsRefused(t *testing.T) {
	s := &script{t: t, r: rand.New(rand.NewPCG(1, 1)), p: &progress{id: "x", wake: make(chan struct{}, 1)}, now: raft.Leader, term: 1, commit: 5}
	request := func(args raft.AppendEntriesRequest, success bool) {
		tells := s.p.start("x", &args)
		s.p.end(&args, &raft.AppendEntriesResponse{Term: 1, Success: success}, 0, nil, tells)
	}
	request(raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 5, PrevLogTerm: 1}, true)
	args, _, ok := s.p.nudge(fixed{s})
	if !ok || args.LeaderCommitIndex != 5 {
		t.Fatalf("no nudge: %+v", args)
	}
	request(args, false)
	if args, _, ok := s.p.nudge(fixed{s}); ok {
		t.Errorf("the same again: %+v", args)
	}
	request(raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 9, PrevLogTerm: 1}, true)
	if args, _, ok := s.p.nudge(fixed{s}); !ok || args.PrevLogEntry != 9 {
		t.Errorf("none, though raft knows what it has: %+v", args)
	}
}

// fixed is a script whose leader does not change.
type fixed struct{ *script }

func (f fixed) State() raft.RaftState { return f.now }

// TestBoundedRequests shows that a request holds a bounded number of bytes, and always an
// entry if there is one.
func TestBoundedRequests(t *testing.T) {
	entries := func(sizes ...int) (all []*raft.Log) {
		for _, size := range sizes {
			all = append(all, &raft.Log{Data: make([]byte, size)})
		}
		return all
	}
	for _, tt := range []struct {
		entries []*raft.Log
		want    int
	}{
		{nil, 0},
		{entries(1, 2, 3), 3},
		{entries(maxAppendBytes+1, 1), 1},
		{entries(1, maxAppendBytes-1, 1), 2},
		{entries(1<<20, 1<<20, 1<<20, 1<<20, 1), 4},
	} {
		if got := bounded(tt.entries); len(got) != tt.want {
			t.Errorf("%d of %d entries, want %d", len(got), len(tt.entries), tt.want)
		}
	}
}

// TestAnswersThatOweNothing: an answer after which there is nothing to tell wakes nobody.
func TestAnswersThatOweNothing(t *testing.T) {
	p := &progress{id: "x", wake: make(chan struct{}, 1)}
	answer := func(args raft.AppendEntriesRequest) {
		tells := p.start("x", &args)
		p.check(5)
		p.end(&args, &raft.AppendEntriesResponse{Term: 1, Success: true}, 0, nil, tells)
		p.check(5)
	}
	for _, test := range []struct {
		what string
		args raft.AppendEntriesRequest
		wake int
	}{
		{"a heartbeat", raft.AppendEntriesRequest{Term: 1}, 0},
		{"an entry that is committed", raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 5, PrevLogTerm: 1}, 1},
		{"the same, as it is told", raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 5, PrevLogTerm: 1, LeaderCommitIndex: 5}, 0},
		{"an entry that is not committed", raft.AppendEntriesRequest{Term: 1, PrevLogEntry: 6, PrevLogTerm: 1}, 0},
	} {
		answer(test.args)
		if got := len(p.wake); got != test.wake {
			t.Errorf("%s: woken %d times, want %d", test.what, got, test.wake)
		}
		if test.wake > 0 {
			<-p.wake
		}
	}
}
