// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"

	"github.com/hashicorp/raft"
)

// confirmedAlone reports whether this node is the only voter, and leads, and its tree holds
// everything that had been committed when it was called. These are the steps of confirm, in
// their order, as far as they need not wait: whoever may not say so here takes that way.
//
// That it is the only voter was so when it began to lead, and since then nobody but it could
// change that, which it has not tried: reconcile says so before it does. Another node cannot
// have been elected without a vote of this one until then, and with one this node has heard of
// a newer term.
func (n *Node) confirmedAlone(ctx context.Context) bool {
	l := n.lead.Load()
	if l == nil || !l.alone.Load() || ctx.Err() != nil || n.ended() {
		return false
	}
	index := n.raft.CommitIndex()
	if n.raft.CurrentTerm() != l.term || n.fsm.Applied() < index {
		return false
	}
	n.counts.confirm.Observe(0) // it has asked nobody
	return true
}

// votesAlone reports whether this node is the only voter of the newest configuration that it
// has, committed or not.
func (n *Node) votesAlone() bool {
	servers, err := n.servers()
	return err == nil && onlyVoter(servers, raft.ServerID(n.dir.id))
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
