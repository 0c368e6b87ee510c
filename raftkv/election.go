// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import "github.com/hashicorp/raft"

// An election is what a node asks of its own raft when it has seen enough of a term.
type election struct {
	id   raft.ServerID // the node's
	term uint64
}

// request returns the request by which a leader hands over.
func (e election) request(addr raft.ServerAddress) raft.RPC {
	return raft.RPC{
		Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(e.id), Addr: []byte(addr),
		}},
		RespChan: make(chan raft.RPCResponse, 1),
	}
}

// electNow makes this node stand for election at once, instead of waiting for a leader
// that, if it is the only voter, cannot be another. It is the request by which a
// leader hands over; it takes the place of the election timeout, not of the vote.
//
// Nothing happens if raft is in a newer term by then, or the request that it is at may bring it
// there: this node would stand against one that has been elected a moment ago, perhaps by its
// own vote, or against itself, and those who are asked in this way vote although they have a
// leader. What came before is over: raft may have refused it, and its term says nothing then.
// It is called while raft runs.
func (t *transport) electNow(id raft.ServerID, term uint64) {
	t.wg.Go(func() {
		select {
		case t.elect <- election{id, term}:
		case <-t.done:
		}
	})
}
