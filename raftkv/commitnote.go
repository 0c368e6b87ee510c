// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// A commitNote tells a follower what is committed: it is the AppendEntries request without
// entries of a nudge, see progress, in a frame that nobody answers. A leader that answers
// operations which another node has forwarded sends it along with the answer. So who waits
// for a commit costs neither side a request of its own, nor the leader a wake-up for an answer.
//
// It is safe for what it holds, however it comes. Raft's requests may be lost, late, doubled
// and overtaken. This one says no more than that the leader of a term has committed entries up
// to one that this follower has acknowledged to it in the same term, which is its PrevLogEntry,
// and raft takes it as any other: in its main loop, with the terms compared, and only if that
// entry is in its log. Besides, a follower leaves alone what is not of its present term and leader.
//
// Since the leader does not hear whether it has come, it counts for nothing there but that no
// nudge is due: what the follower knows is what it has answered (progress.told). So the next
// request of raft's, with entries or after one to two CommitTimeouts, tells it again.
type commitNote struct {
	term, index, indexTerm uint64 // of the leader, and the last entry that the follower has
	commit                 uint64 // not after index
}

// noteProtocol is the first version of the peer protocol with commit notes.
const noteProtocol = 2

func noteOf(args *raft.AppendEntriesRequest) commitNote {
	return commitNote{args.Term, args.PrevLogEntry, args.PrevLogTerm, args.LeaderCommitIndex}
}

// payload returns the four numbers as uvarints.
func (c commitNote) payload() []byte {
	b := make([]byte, 0, 4*binary.MaxVarintLen64)
	for _, v := range [...]uint64{c.term, c.index, c.indexTerm, c.commit} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// readCommitNote reads a payload; false if that makes no sense.
func readCommitNote(b []byte) (c commitNote, ok bool) {
	for _, v := range [...]*uint64{&c.term, &c.index, &c.indexTerm, &c.commit} {
		var n int
		if *v, n = binary.Uvarint(b); n <= 0 {
			return c, false
		}
		b = b[n:]
	}
	return c, c.commit > 0 && c.commit <= c.index && c.indexTerm <= c.term
}

// noted gives raft a commit note that has come from the node id, and reports true, unless it
// tells nothing to this node. It does not wait for raft's main loop, which may be at the disk.
func (t *transport) noted(id string, payload []byte) bool {
	r := t.raft.Load()
	if r == nil {
		return false
	}
	c, ok := readCommitNote(payload)
	addr, leader := r.LeaderWithID()
	if !ok || id == "" || string(leader) != id || c.term != r.CurrentTerm() || c.commit <= r.CommitIndex() {
		return false
	}
	t.received.Add(1)
	rpc := raft.RPC{
		Command: &raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(id), Addr: []byte(addr)},
			Term:      c.term, PrevLogEntry: c.index, PrevLogTerm: c.indexTerm, LeaderCommitIndex: c.commit,
		},
		RespChan: make(chan raft.RPCResponse, 1), // nobody reads it
	}
	select {
	case t.rpcs <- rpc:
		return true
	default:
	}
	t.wait(rpc)
	return true
}

// wait has lateLoop give raft a note, in place of one that waits already and tells less. The other
// node's notes come on two connections, and may overtake each other.
func (t *transport) wait(rpc raft.RPC) {
	t.lateMu.Lock()
	defer t.lateMu.Unlock()
	select {
	case waits := <-t.late:
		if a, b := waits.Command.(*raft.AppendEntriesRequest), rpc.Command.(*raft.AppendEntriesRequest); a.Term > b.Term ||
			a.Term == b.Term && a.LeaderCommitIndex > b.LeaderCommitIndex {
			rpc = waits
		}
	default:
	}
	t.late <- rpc // there is room: nobody else sends
}

// lateLoop gives raft the notes that came while it was busy.
func (t *transport) lateLoop() {
	for {
		select {
		case rpc := <-t.late:
			t.pass(rpc)
		case <-t.done:
			return
		}
	}
}

// note sends a follower what a nudge says, without an answer. It reports whether that could
// be done.
func (t *transport) note(p *progress, args *raft.AppendEntriesRequest) bool {
	args.LeaderCommitIndex = t.durably(args.LeaderCommitIndex)
	if args.LeaderCommitIndex == 0 || t.silent() || !t.tell(string(p.id), noteOf(args).payload()) {
		return false
	}
	t.sent.Add(1)
	p.noted(args)
	return true
}

// answering returns what is known about a node that has forwarded operations to this one,
// and takes commit notes; nil if there is nothing.
func (t *transport) answering(id string) *progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.progress[raft.ServerID(id)]
}

// noteFor returns the note to send along with an answer, false if there is nothing to tell.
func (t *transport) noteFor(p *progress) (raft.AppendEntriesRequest, bool) {
	r := t.raft.Load()
	if r == nil || t.silent() {
		return raft.AppendEntriesRequest{}, false
	}
	args, ok := p.tellable(r)
	args.LeaderCommitIndex = t.durably(args.LeaderCommitIndex)
	return args, ok && args.LeaderCommitIndex > 0
}

// answered notes that an answer which was to tell of a commit is under way no longer, and
// whether it was sent with args, and has the follower told what it was not.
func (t *transport) answered(p *progress, args *raft.AppendEntriesRequest, sent bool) {
	if sent {
		t.sent.Add(1)
		p.noted(args)
	}
	p.expects(-1)
	if r := t.raft.Load(); r != nil {
		p.check(t.durably(r.CommitIndex()))
	}
}

// expects notes that an answer which will tell of a commit is under way, with 1, or no
// longer, with -1.
func (p *progress) expects(change int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers += change
}

// noted notes that the follower was sent a note.
func (p *progress) noted(args *raft.AppendEntriesRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if args.Term == p.last.Term {
		p.sentNote = max(p.sentNote, args.LeaderCommitIndex)
	}
}

// tellable is nudge for what goes along with an answer, whatever else is under way.
func (p *progress) tellable(r committer) (raft.AppendEntriesRequest, bool) {
	commit := r.CommitIndex()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.newsLocked(commit) {
		return raft.AppendEntriesRequest{}, false
	}
	return p.requestLocked(r, commit)
}

// tell sends a commit note, which nobody answers. It reports whether that could be done: there
// is a connection to a node that takes them, and something has come on it a moment ago. Else
// one is made, or something is asked, for the next. So it is not for long that notes are lost
// on a connection that is dead.
func (p *peerClient) tell(kind byte, payload []byte) bool {
	c, _, _ := p.current()
	if c == nil || c.protocol < noteProtocol {
		return false
	}
	if time.Since(time.Unix(0, c.received.Load())) > muteTime/2 {
		p.probe()
		return false
	}
	err := c.send(p.ctx, frame{kind: kind, payload: payload})
	if err != nil && !errors.Is(err, errUnreachable) {
		c.Close()
	}
	return err == nil
}

// probe asks for something on the connection, which is closed if no answer comes.
func (p *peerClient) probe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.probing {
		return
	}
	p.probing = true
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, muteTime)
		defer cancel()
		_, _ = p.call(ctx, kindTerm, nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.probing = false
	})
}
