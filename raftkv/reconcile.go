// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// The leader brings raft's configuration, who gets the log and who votes, to what the
// registry and the cluster's configuration ask for. One step at a time, each in the term in
// which it was decided, and each of a kind that can be repeated; so a leader that is lost in
// the middle leaves nothing that the next one does not finish. What is done to whom decides
// plan, which knows no raft.
//
// In raft's configuration a server's address has its id before it, so that no two are the
// same: raft refuses equal ones, and these addresses are those of the day a node joined.
// Where it is now, peers knows.

const (
	// steady is how long a member that had failed to answer must answer before it gets
	// a vote.
	steady = 10 * time.Second

	// caughtUp is how many entries a member may be behind to get a vote.
	caughtUp = 256
)

// A seat is a member as plan sees it.
type seat struct {
	id      string
	in      bool               // raft's configuration has it
	addr    raft.ServerAddress // the one there
	votes   bool
	leads   bool
	removed bool
	silent  time.Duration // since it last answered, or the term began; 0 for the leader
	unheard bool          // it has not answered in this term
	steady  bool          // it answers, and has for a while if it had not
	behind  uint64        // entries
}

// alive reports whether the member may be counted on.
func (s seat) alive(contact time.Duration) bool { return s.leads || !s.unheard && s.silent < contact }

// An act is a step of plan.
type act int

const (
	actNone act = iota
	actAdd      // give it the log
	actPromote
	actDemote
	actRemove
	actHandOver // this node itself is to go: another one must lead first
)

func (a act) String() string {
	return [...]string{"nothing", "add", "promote", "demote", "remove", "hand over"}[a]
}

// plan returns the next step and whom it is about. contact is how long a member may be
// silent to count as alive.
//
// No step takes a vote away unless those who are left have a majority that is alive.
func plan(seats []seat, c ClusterConfig, contact time.Duration) (act, string) {
	alive, voters := 0, 0
	for _, s := range seats {
		if s.votes {
			voters++
			if s.alive(contact) {
				alive++
			}
		}
	}
	// mayLose reports whether the others could go on without the vote of s.
	mayLose := func(s seat) bool {
		left, living := voters-1, alive
		if s.alive(contact) {
			living--
		}
		return left > 0 && living > left/2
	}
	for _, s := range seats {
		switch {
		case !s.removed || !s.in:
		case s.leads && voters > 1:
			return actHandOver, s.id
		case !s.leads && (!s.votes || mayLose(s)):
			return actRemove, s.id
		}
	}
	for _, s := range seats {
		if !s.in && !s.removed {
			return actAdd, s.id
		}
	}
	// One that still counts as alive would get its vote back at once.
	delay := max(c.RemoveDelay, contact)
	dead := func(s seat) bool { return s.votes && !s.leads && s.silent >= delay && mayLose(s) }
	if i := slices.IndexFunc(seats, dead); i >= 0 {
		return actDemote, seats[i].id
	}
	if voters > c.ActiveSize {
		if s, ok := leastFit(seats, mayLose); ok {
			return actDemote, s.id
		}
	}
	if voters < c.ActiveSize {
		if s, ok := fittest(seats, contact); ok {
			return actPromote, s.id
		}
	}
	return actNone, ""
}

// leastFit returns the voter that is missed the least: the longest silent, else the one
// that is furthest behind, else the last.
func leastFit(seats []seat, mayLose func(seat) bool) (seat, bool) {
	var worst seat
	found := false
	for _, s := range seats {
		if !s.votes || s.leads || !mayLose(s) {
			continue
		}
		if !found || s.silent > worst.silent+time.Second || s.silent+time.Second >= worst.silent && s.behind >= worst.behind {
			worst, found = s, true
		}
	}
	return worst, found
}

// fittest returns the standby that is to vote next: the one that is least behind of those
// that answer. A request that hangs has not failed for a long time, so to be steady is not
// enough: such a member would get a vote, lose it for being silent, and get it again.
func fittest(seats []seat, contact time.Duration) (seat, bool) {
	var best seat
	found := false
	for _, s := range seats {
		if s.in && !s.votes && !s.removed && s.steady && s.alive(contact) && s.behind <= caughtUp && (!found || s.behind < best.behind) {
			best, found = s, true
		}
	}
	return best, found
}

// wakeReconcile has the leader look for something to do.
func (n *Node) wakeReconcile() {
	select {
	case n.reconcile <- struct{}{}:
	default:
	}
}

// reconcileLoop takes steps while this node leads.
func (n *Node) reconcileLoop() {
	silent := make(map[string]bool) // :: id of who does not answer → people know
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-n.reconcile:
		case <-tick.C:
		case <-n.closing:
			return
		}
		n.peers.save()
		n.checkRemoval()
		n.tellSilence(silent)
		wait := time.Second
		if l := n.lead.Load(); l != nil {
			switch did, err := n.step(l); {
			case err != nil:
				n.log.Warn("changing who votes", "err", err)
			case did:
				wait = 0
			default:
				wait = min(wait, n.ClusterConfig().SyncInterval)
				if n.standbysCatchUp() {
					wait = 2 * retryPause
				}
			}
		}
		tick.Reset(wait)
	}
}

// standbysCatchUp reports whether a new member will be ready for a vote in a moment.
func (n *Node) standbysCatchUp() bool {
	seats, err := n.seats()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(seats, func(s seat) bool { return s.in && !s.votes && s.silent < n.cfg.ElectionTimeout }) &&
		n.voters() < n.ClusterConfig().ActiveSize
}

// step takes the next step, if there is one.
func (n *Node) step(l *leadership) (bool, error) {
	seats, err := n.seats()
	if err != nil {
		return false, err
	}
	if n.raft.CurrentTerm() != l.term {
		return false, nil
	}
	what, id := plan(seats, n.ClusterConfig(), 2*n.cfg.ElectionTimeout)
	if what == actNone {
		return false, nil
	}
	var f raft.Future
	server := raft.ServerID(id)
	l.alone.Store(false) // before another node can vote
	defer func() { l.alone.Store(n.votesAlone()) }()
	switch what {
	case actAdd:
		addr := n.registryAddr(id)
		if addr == "" {
			return false, fmt.Errorf("member %s has no address", n.label(id))
		}
		f = n.raft.AddNonvoter(server, raft.ServerAddress(id+"@"+addr), 0, n.cfg.Timeout)
	case actPromote:
		// By the address that it has there, though it may have moved: the transport knows where
		// it is. Raft 1.8.0 has a data race when the address of a follower is replaced.
		s := seats[slices.IndexFunc(seats, func(s seat) bool { return s.id == id })]
		f = n.raft.AddVoter(server, s.addr, 0, n.cfg.Timeout)
	case actDemote:
		f = n.raft.DemoteVoter(server, 0, n.cfg.Timeout)
	case actRemove:
		f = n.raft.RemoveServer(server, 0, n.cfg.Timeout)
	case actHandOver:
		n.log.Info("this node was removed; handing the leadership over")
		return true, n.handOver()
	}
	if err := f.Error(); err != nil {
		return false, fmt.Errorf("%s %s: %w", what, n.label(id), err)
	}
	n.logStep(what, id, seats)
	n.wakeRoute() // the number of voters decides how much may be in flight
	return true, nil
}

// logStep tells people what has changed.
func (n *Node) logStep(what act, id string, seats []seat) {
	s := seats[slices.IndexFunc(seats, func(s seat) bool { return s.id == id })]
	args := []any{"member", n.label(id), "voters", n.voters()}
	switch what {
	case actAdd:
		n.log.Info("a member gets the log", args...)
	case actPromote:
		n.log.Info("a member votes", args...)
	case actDemote:
		n.log.Warn("a member has lost its vote and stands by", append(args, "silent for", s.silent.Round(time.Second))...)
	case actRemove:
		n.log.Info("a member is removed", args...)
	}
}

// seats returns the members and the servers of raft's configuration, sorted by id.
func (n *Node) seats() ([]seat, error) {
	servers, err := n.servers()
	if err != nil {
		return nil, err
	}
	last, term := n.raft.LastIndex(), n.raft.CurrentTerm()
	var seats []seat
	for _, s := range servers {
		id := string(s.ID)
		x := seat{id: id, in: true, addr: s.Address, votes: s.Suffrage == raft.Voter, leads: id == n.dir.id, removed: n.isRemoved(id)}
		if !x.leads {
			n.transport.progressOf(s.ID).fill(&x, last, term)
		}
		seats = append(seats, x)
	}
	for _, m := range n.Members() {
		if m.Started() && !slices.ContainsFunc(seats, func(s seat) bool { return s.id == m.ID }) {
			seats = append(seats, seat{id: m.ID})
		}
	}
	slices.SortFunc(seats, func(a, b seat) int { return compareIDs(a.id, b.id) })
	return seats, nil
}

// checkRemoval ends this node if it was removed, which is certain: the record was applied,
// so it is committed, and is never taken back. It goes on as long as raft counts on it.
func (n *Node) checkRemoval() {
	if !n.isRemoved(n.dir.id) || n.lead.Load() != nil {
		return
	}
	servers, err := n.servers()
	if err == nil && !slices.ContainsFunc(servers, func(s raft.Server) bool { return string(s.ID) == n.dir.id }) {
		n.fail(ErrRemoved)
	}
}

// tellSilence tells people who does not answer this node while it leads, and who does again.
func (n *Node) tellSilence(told map[string]bool) {
	if n.lead.Load() == nil {
		clear(told)
		return
	}
	seats, err := n.seats()
	if err != nil {
		return
	}
	for _, s := range seats {
		silent := s.in && s.silent >= 2*n.cfg.ElectionTimeout
		switch {
		case silent && !told[s.id]:
			n.log.Warn("a member does not answer", "member", n.label(s.id), "for", s.silent.Round(time.Millisecond))
		case !silent && told[s.id]:
			n.log.Info("a member answers again", "member", n.label(s.id))
		}
		told[s.id] = silent
	}
}

// checkQuorumWithout returns an error if the members that are left when one is removed
// could not go on.
func (n *Node) checkQuorumWithout(id string) error {
	seats, err := n.seats()
	if err != nil {
		return err
	}
	left, living := 0, 0
	for _, s := range seats {
		if !s.votes || s.id == id {
			continue
		}
		left++
		if s.alive(2 * n.cfg.ElectionTimeout) {
			living++
		}
	}
	voted := slices.ContainsFunc(seats, func(s seat) bool { return s.id == id && s.votes })
	switch {
	case !voted:
		return nil
	case left == 0:
		return fmt.Errorf("%w: no other member votes yet", ErrQuorum)
	case living <= left/2:
		return fmt.Errorf("%w: %d of the other %d voters", ErrQuorum, living, left)
	}
	return nil
}

// handOver has another voter lead. It returns when this node does not lead any more, or
// gives up after two election timeouts.
func (n *Node) handOver() error {
	n.handingOver.Store(true)
	f := n.raft.LeadershipTransfer()
	done := make(chan error, 1)
	n.wg.Go(func() { done <- f.Error() })
	t := time.NewTimer(2 * n.cfg.ElectionTimeout)
	defer t.Stop()
	select {
	case err := <-done:
		if err != nil {
			n.handingOver.Store(false)
			err = fmt.Errorf("handing the leadership over: %w", err)
		}
		return err
	case <-t.C:
		n.handingOver.Store(false)
		return fmt.Errorf("handing the leadership over: %w", ErrTimeout)
	}
}
