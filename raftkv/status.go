// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"strings"
	"time"
)

// A Status is what a node knows about itself and its cluster at one moment.
type Status struct {
	Name      string
	ID        string // of the node: a 64-bit number in hex
	ClusterID string // a 64-bit number in hex; empty before the first leader
	PeerAddr  string // advertised
	ClientURL string

	State       string    // leader, follower, candidate or shutdown
	LeaderID    string    // empty if no leader is known
	LeaderName  string    // empty if it is not known
	LeaderSince time.Time // when this node began to lead, or to follow it; zero if neither is so
	Started     time.Time

	RaftIndex uint64 // of the last entry applied
	Term      uint64

	AppendsReceived uint64 // requests of a leader to store entries, heartbeats included
	AppendsSent     uint64
}

// Status returns the node's state. It blocks for nothing but short locks.
func (n *Node) Status() Status {
	_, leader := n.raft.LeaderWithID()
	s := Status{
		Name:      n.cfg.Name,
		ID:        n.dir.id,
		ClusterID: n.ClusterID(),
		PeerAddr:  string(n.transport.LocalAddr()),
		ClientURL: n.cfg.ClientURL,

		State:    strings.ToLower(n.raft.State().String()),
		LeaderID: string(leader),
		Started:  n.started,

		RaftIndex: n.RaftIndex(),
		Term:      n.RaftTerm(),

		AppendsReceived: n.transport.received.Load(),
		AppendsSent:     n.transport.sent.Load(),
	}
	for _, m := range n.Members() {
		if m.ID == s.LeaderID {
			s.LeaderName = m.Name
		}
	}
	if l := n.lead.Load(); l != nil {
		s.LeaderSince = l.since
	} else if r := n.route.Load(); r != nil && !r.self && r.leader == s.LeaderID {
		s.LeaderSince = r.since
	}
	return s
}

// Outage returns since when the node has not heard of a leader, and what that means; the
// zero time while it leads or follows one.
func (n *Node) Outage() (since time.Time, err error) {
	if _, leader := n.raft.LeaderWithID(); leader != "" {
		return time.Time{}, nil
	}
	since = n.raft.LastContact()
	if since.IsZero() {
		since = n.started
	}
	return since, errors.New("the node knows no leader, so that writes of others may be missing")
}

// RaftIndex returns the index of the last log entry applied; it costs one load.
func (n *Node) RaftIndex() uint64 { return n.fsm.Applied() }

// RaftTerm returns raft's current term; it costs one load.
func (n *Node) RaftTerm() uint64 { return n.raft.CurrentTerm() }

// Now returns the time of the store, Unix time in nanoseconds: what remaining times to
// live are counted from. It is the wall clock unless that has been set back or far ahead;
// on a node whose clock is not the leader's it is the leader's.
func (n *Node) Now() int64 {
	now := n.clock.read()
	if to := n.route.Load(); to != nil && !to.self {
		now += n.pulse.ahead.Load()
	}
	return now
}
