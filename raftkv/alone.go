// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// confirmedAlone reports whether this node is the only voter, and leads, and its tree holds
// everything that had been committed when it was called. These are the steps of confirm, in
// their order, as far as they need not wait: whoever may not say so here takes that way.
//
// The configuration is the newest that this node has, committed or not. Another node
// cannot have been elected without a vote of this one, until it is in there as a voter;
// and then this node hears of its term before it can be out of it again.
func (n *Node) confirmedAlone(ctx context.Context) bool {
	start := time.Now()
	l := n.lead.Load()
	if l == nil || ctx.Err() != nil || n.ended() {
		return false
	}
	index := n.raft.CommitIndex()
	servers, err := n.servers()
	if err != nil || !onlyVoter(servers, raft.ServerID(n.dir.id)) {
		return false
	}
	if n.raft.CurrentTerm() != l.term || n.fsm.Applied() < index {
		return false
	}
	n.counts.confirm.Observe(time.Since(start))
	return true
}

// onlyVoter reports whether a node votes, and no other does.
func onlyVoter(servers []raft.Server, id raft.ServerID) bool {
	votes := false
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			if s.ID != id {
				return false
			}
			votes = true
		}
	}
	return votes
}

// ended reports whether the node has failed or is being closed. Each of two selects takes no
// lock, one of both would.
func (n *Node) ended() bool {
	select {
	case <-n.failed:
		return true
	default:
	}
	select {
	case <-n.closing:
		return true
	default:
	}
	return false
}
