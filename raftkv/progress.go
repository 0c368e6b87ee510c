// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A progress is what this node, while it leads, knows about another by the answers to its
// AppendEntries requests.
type progress struct {
	id   raft.ServerID
	wake chan struct{} // capacity one; receives when the follower may have to be told of commits

	mu       sync.Mutex
	began    time.Time // of the term it is about
	contact  time.Time // when it last answered, zero if it has not
	asked    time.Time // when the last request was sent that it has agreed to, zero if it has not
	up       time.Time // since when it has answered without a failure; zero while it does not
	stumbled bool      // it has answered in this term, and then failed to
	refused  bool      // it does not have what it had, as after a snapshot, until raft knows what it has
	flying   int       // requests with entries, or with a commit index, under way
	matched  uint64    // its log is the leader's up to this entry
	told     uint64    // of which it knows these to be committed
	sentNote uint64    // and was sent a note of these, which it may not have got; see commitNote
	answers  int       // to operations that it has forwarded, under way, which will tell it
	snapshot uint64    // last entry of a snapshot that it is sent or has taken, 0 if none
	sendings int       // of snapshots to it that are under way
	last     raft.AppendEntriesRequest
	target   raft.ServerAddress
	latency  latency
	fails    uint64
}

// A latency is the times of requests, in milliseconds.
type latency struct {
	n                  uint64
	current, low, high float64
	sum, squares       float64
}

func (l *latency) add(d time.Duration) {
	ms := float64(d) / float64(time.Millisecond)
	if l.n == 0 || ms < l.low {
		l.low = ms
	}
	l.high = max(l.high, ms)
	l.current = ms
	l.n++
	l.sum += ms
	l.squares += ms * ms
}

// start notes a request. It reports whether the request tells more than that the leader
// is there.
func (p *progress) start(target raft.ServerAddress, args *raft.AppendEntriesRequest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if args.Term < p.last.Term {
		return false // sent late, after the term it is for; what is known of this one stays
	}
	p.beginLocked(args.Term)
	p.target = target
	if args.PrevLogEntry == 0 && len(args.Entries) == 0 {
		return false
	}
	p.flying++
	return true
}

// saidSince reports whether the follower has said since then what it would answer to a
// request: that it follows this leader, and has what the request is about, and knows what is
// committed.
func (p *progress) saidSince(since time.Time, args *raft.AppendEntriesRequest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if args.Term != p.last.Term || len(args.Entries) > 0 || p.asked.Before(since) || p.up.IsZero() || p.refused {
		return false
	}
	return args.PrevLogEntry == 0 && args.LeaderCommitIndex == 0 ||
		args.PrevLogEntry == p.matched && args.PrevLogTerm == p.last.PrevLogTerm && min(args.LeaderCommitIndex, p.matched) <= p.told
}

// beginLocked forgets what was known in an earlier term.
func (p *progress) beginLocked(term uint64) {
	if term == p.last.Term {
		return
	}
	p.began, p.contact, p.asked, p.up = time.Now(), time.Time{}, time.Time{}, time.Time{}
	p.stumbled, p.refused, p.matched, p.told, p.sentNote, p.snapshot = false, false, 0, 0, 0, 0
	p.last = raft.AppendEntriesRequest{Term: term}
}

// sending notes that a snapshot is sent.
func (p *progress) sending(args *raft.InstallSnapshotRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sendings++
	if args.Term >= p.last.Term {
		p.beginLocked(args.Term)
		p.snapshot = args.LastLogIndex
	}
}

// sentSnapshot notes how that has ended.
func (p *progress) sentSnapshot(args *raft.InstallSnapshotRequest, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sendings--
	switch {
	case args.Term != p.last.Term:
	case ok:
		p.contact = time.Now()
	case p.snapshot == args.LastLogIndex:
		p.snapshot = 0
	}
}

// needs returns the last entry that the follower has, which is sent again with those after
// it; 0 if that is not known or it has not been heard from for long.
func (p *progress) needs(now time.Time) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	has := max(p.matched, p.snapshot)
	if has == 0 || p.sendings == 0 && now.Sub(p.contact) > keepFor {
		return 0
	}
	return has
}

// end notes the answer to a request, which took d.
func (p *progress) end(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, d time.Duration, err error, tells bool) {
	p.mu.Lock()
	if tells {
		p.flying--
	}
	if args.Term == p.last.Term {
		p.answeredLocked(args, resp, d, err, tells)
	}
	p.mu.Unlock()
}

func (p *progress) answeredLocked(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, d time.Duration, err error, tells bool) {
	if err != nil {
		p.fails++
		p.up = time.Time{}
		p.stumbled = !p.contact.IsZero() // a new member takes a moment to begin
		return
	}
	now := time.Now()
	p.contact = now
	if p.up.IsZero() {
		p.up = now
	}
	p.latency.add(d)
	if sent := now.Add(-d); !resp.Success {
		p.asked = time.Time{}
	} else if sent.After(p.asked) {
		p.asked = sent
	}
	if !tells {
		return
	}
	if p.refused = !resp.Success; p.refused {
		return
	}
	index, term := args.PrevLogEntry, args.PrevLogTerm
	if k := len(args.Entries); k > 0 {
		index, term = args.Entries[k-1].Index, args.Entries[k-1].Term
	}
	if index < p.matched {
		return
	}
	p.matched = index
	p.told = max(p.told, min(args.LeaderCommitIndex, index))
	p.last = raft.AppendEntriesRequest{
		RPCHeader: args.RPCHeader, Term: args.Term, PrevLogEntry: index, PrevLogTerm: term,
	}
}

// check wakes who tells the follower of commits if it has to be told of this one. It is for
// after each commit and each answer, most of which, as those to heartbeats, change nothing.
func (p *progress) check(commit uint64) {
	p.mu.Lock()
	owes := p.owesLocked(commit)
	p.mu.Unlock()
	if !owes {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// owesLocked reports whether the follower has committed entries that it does not know to be,
// and will not learn of by a request or an answer under way.
func (p *progress) owesLocked(commit uint64) bool {
	return p.flying == 0 && p.answers == 0 && p.newsLocked(commit)
}

// newsLocked reports whether the follower has committed entries of which it was not told.
func (p *progress) newsLocked(commit uint64) bool {
	return min(commit, p.matched) > max(p.told, p.sentNote) && !p.up.IsZero() && !p.refused
}

// committer is what a nudge needs to know of raft.
type committer interface {
	CommitIndex() uint64
	State() raft.RaftState
	CurrentTerm() uint64
}

// nudge returns a request that tells the follower what is committed of that which it has,
// false if it knows or will learn it from a request under way.
func (p *progress) nudge(r committer) (raft.AppendEntriesRequest, raft.ServerAddress, bool) {
	commit := r.CommitIndex()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.owesLocked(commit) {
		return raft.AppendEntriesRequest{}, "", false
	}
	args, ok := p.requestLocked(r, commit)
	return args, p.target, ok
}

// requestLocked returns the request that tells the follower of a commit index that was asked
// of raft before, false if this node leads no longer.
func (p *progress) requestLocked(r committer, commit uint64) (raft.AppendEntriesRequest, bool) {
	// The commit index may be that of a later leader, which has other entries. It is not if
	// this node still leads in the term of the request: asked afterwards, in this order.
	if r.State() != raft.Leader || r.CurrentTerm() != p.last.Term {
		return raft.AppendEntriesRequest{}, false
	}
	args := p.last
	args.LeaderCommitIndex = min(commit, p.matched)
	return args, true
}

// fill sets what plan wants to know, where the leader's log ends with entry last.
func (p *progress) fill(s *seat, last, term uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.unheard = p.last.Term != term || p.contact.IsZero()
	if p.last.Term != term {
		return // what is known is of an earlier term
	}
	now := time.Now()
	since := p.contact
	if since.IsZero() {
		since = p.began
	}
	if s.silent = 0; !since.IsZero() {
		s.silent = now.Sub(since)
	}
	if p.matched < last {
		s.behind = last - p.matched
	}
	s.steady = !p.contact.IsZero() && !p.up.IsZero() && (!p.stumbled || now.Sub(p.up) >= steady)
}

// A Follower is what the leader knows about another member.
type Follower struct {
	ID      string
	Contact time.Time // when it last answered; zero if it has not since this node leads
	Matched uint64    // its log is the leader's up to this entry

	Successes, Fails uint64 // AppendEntries requests that were answered, and that were not

	// The time that requests took, in milliseconds.
	LatencyCurrent, LatencyAverage, LatencyDeviation, LatencyMin, LatencyMax float64
}

func (p *progress) follower() Follower {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := Follower{
		ID: string(p.id), Contact: p.contact, Matched: p.matched, Successes: p.latency.n, Fails: p.fails,
		LatencyCurrent: p.latency.current, LatencyMin: p.latency.low, LatencyMax: p.latency.high,
	}
	if n := float64(p.latency.n); n > 0 {
		f.LatencyAverage = p.latency.sum / n
		f.LatencyDeviation = math.Sqrt(max(0, p.latency.squares/n-f.LatencyAverage*f.LatencyAverage))
	}
	return f
}
