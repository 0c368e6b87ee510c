// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// A route is where operations go: to this node's own log if it leads, or to the node that
// does. It lasts as long as that one leads.
type route struct {
	leader string // its id
	self   bool
	term   uint64 // of this node's leadership
	since  time.Time

	ctx context.Context // ends a while after another route has taken its place
	end context.CancelCauseFunc
}

// errLeaderChanged is why the context of a route ends.
var errLeaderChanged = errors.New("the leader has changed")

// Limits of batches on their way at the same time, into the log or to the leader.
const (
	inFlight     = 1 // a second one only makes both smaller, and what each costs all members does not depend on its size
	inFlightFull = 6 // unless they are full: some are written while others are synced, those that wait with one sync
	inFlightPart = 4 // or large, at least
)

// observe is called by raft, in its main goroutine, and only notes that the leader may
// have changed.
func (n *Node) observe(o *raft.Observation) bool {
	switch data := o.Data.(type) {
	case raft.LeaderObservation:
		n.wakeRoute()
	case raft.RaftState:
		if data == raft.Candidate {
			n.stood.Store(true)
		}
		n.wakeRoute()
	case raft.PeerObservation:
		n.wakeRoute()
	}
	return false
}

func (n *Node) wakeRoute() {
	select {
	case n.routeChanged <- struct{}{}:
	default:
	}
}

// routeLoop follows who leads.
func (n *Node) routeLoop() {
	lost := n.started // since when there is no leader
	var before string // the last leader
	for {
		now, old := n.findRoute(), n.route.Load()
		another := !sameRoute(old, now)
		if !another {
			if now != nil {
				now.end(nil) // not taken
			}
		} else {
			n.route.Store(now)
			if old != nil {
				// What the old leader has acknowledged may still arrive.
				time.AfterFunc(n.cfg.ElectionTimeout/2, func() { old.end(errLeaderChanged) })
				before, lost = old.leader, time.Now()
			}
			n.logRoute(old, now, before, lost)
			n.pulse.wakeUp()
		}
		limit := inFlight
		if now == nil {
			limit = 0
		}
		n.queue.open(limit, another)
		select {
		case n.announce <- struct{}{}:
		default:
		}
		n.readers.retry()
		select {
		case <-n.routeChanged:
		case <-n.closing:
			return
		}
	}
}

// findRoute returns who leads now, nil if that is not known.
func (n *Node) findRoute() *route {
	if n.raft.State() == raft.Leader {
		return n.newRoute(n.dir.id, n.raft.CurrentTerm())
	}
	_, id := n.raft.LeaderWithID()
	if id == "" || string(id) == n.dir.id {
		return nil
	}
	return n.newRoute(string(id), 0)
}

func (n *Node) newRoute(leader string, term uint64) *route {
	r := &route{leader: leader, self: leader == n.dir.id, term: term, since: time.Now()}
	r.ctx, r.end = context.WithCancelCause(n.ctx)
	return r
}

func sameRoute(a, b *route) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.leader == b.leader && a.term == b.term
}

// logRoute tells people who leads, why that has changed, and how long nobody did.
func (n *Node) logRoute(old, now *route, before string, lost time.Time) {
	term := n.raft.CurrentTerm()
	switch {
	case now == nil && old.self:
		cause := "a majority of the members does not answer"
		if term > old.term {
			cause = "another node has begun a newer term"
		}
		if n.handingOver.Load() {
			cause = "this node ends"
			if n.isRemoved(n.dir.id) {
				cause = "this node was removed"
			}
			n.log.Info("leadership handed over", "cause", cause, "term", old.term, "led for", time.Since(old.since))
			break
		}
		n.log.Warn("leadership lost", "cause", cause, "term", old.term, "led for", time.Since(old.since))
	case now == nil:
		if n.transport.handed.Swap(false) {
			n.log.Info("the leader hands over to this node", "leader", n.label(old.leader), "followed for", time.Since(old.since))
			break
		}
		cause := "another member stands for election"
		if n.stood.Swap(false) {
			cause = "no sign of life from it"
		}
		n.log.Warn("lost the leader", "leader", n.label(old.leader), "cause", cause, "followed for", time.Since(old.since))
	case now.self: // beginToLead tells
	default:
		args := []any{"leader", n.label(now.leader), "term", term}
		if before != "" && before != now.leader {
			args = append(args, "before", n.label(before))
		}
		if old == nil {
			args = append(args, "without a leader for", time.Since(lost))
		}
		n.log.Info("following", args...)
	}
	n.stood.Store(false)
}

// label returns how people know a node.
func (n *Node) label(id string) string {
	for _, m := range n.Members() {
		if m.ID == id && m.Name != "" {
			return m.Name
		}
	}
	return cmp.Or(n.peers.name(id), id)
}

// servers returns raft's configuration: the newest, which may not be committed yet.
func (n *Node) servers() ([]raft.Server, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, err
	}
	return f.Configuration().Servers, nil
}

// voters returns how many nodes vote.
func (n *Node) voters() int {
	servers, err := n.servers()
	if err != nil {
		return 0
	}
	return countVoters(servers)
}

func countVoters(servers []raft.Server) int {
	count := 0
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			count++
		}
	}
	return count
}
