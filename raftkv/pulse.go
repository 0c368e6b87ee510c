// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// Raft 1.8.0 looks for its leader every one to two timeouts and needs all followers to
// miss it, so that two to three timeouts pass until somebody stands for election. To make
// the timeout shorter is no cure: it also has to outlast a disk that stalls, which holds
// raft's main loop up. So here the followers look themselves, past raft and its disk.
//
// A follower that has heard nothing of its leader for a moment, or whose connection to it has
// broken, asks it for a sign of life a few times within silence. If none comes, or nobody
// listens there any more, it asks the other voters. When a majority misses the same leader,
// the one of them with the longest log stands for election at once. All that is about when
// to hold an election; who wins it is raft's affair as ever.
//
// As long as all is well nobody looks: a follower sleeps until the leader could have been
// silent for that moment, and is woken when a connection breaks or nobody listens.
const pulses = 5 // within silence

// silence returns how long a leader may give no sign of life.
func (c *Config) silence() time.Duration { return c.ElectionTimeout * 6 / 10 }

// A pulse is the leader's sign of life as this node sees it.
type pulse struct {
	wake  chan struct{} // capacity one; there is a reason to look now
	heard atomic.Int64  // Unix nanoseconds
	gone  atomic.Bool   // nobody listens at its address
	asks  atomic.Bool
	asked atomic.Pointer[route]
	when  time.Time    // of the last ask; owned by pulseLoop
	ahead atomic.Int64 // nanoseconds that the leader's clock is before this node's; see Now
}

// clockEvery is how often the leader is asked for its time, if for nothing else.
const clockEvery = time.Second

// maxSkew is how far two clocks may be apart and pass for equal: the answer takes time.
const maxSkew = 200 * time.Millisecond

// calm returns for how long a leader is not asked that raft has heard of. Raft's heartbeats
// are at most a fifth of ElectionTimeout apart.
func (c *Config) calm() time.Duration { return c.silence() / 2 }

// wakeUp has the node look after its leader.
func (p *pulse) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// pulseLoop looks after the leader while this node follows one.
func (n *Node) pulseLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var stood time.Time
	for {
		select {
		case <-timer.C:
		case <-n.pulse.wake:
		case <-n.closing:
			return
		}
		timer.Stop()
		to := n.route.Load()
		if to == nil || to.self {
			continue // routeLoop tells of another
		}
		term := n.raft.CurrentTerm()
		if n.lookAfter(to) && n.votes(n.dir.id) && time.Since(stood) > 2*n.cfg.silence() && n.shouldStand(to) && n.stillFollows(to) {
			stood = time.Now()
			n.log.Info("standing for election: a majority misses the leader", "leader", n.label(to.leader))
			n.transport.electNow(raft.ServerID(n.dir.id), term)
		}
		timer.Reset(n.nextLook(to))
	}
}

// lookAfter asks the leader for a sign of life if it is time. It reports whether this node
// misses it.
func (n *Node) lookAfter(to *route) bool {
	if now := time.Now(); n.pulse.due(to, n.raft.LastContact(), now, n.cfg.calm()) || !n.peers.client(to.leader).connected() {
		n.pulse.when = now
		n.ask(to)
	}
	return n.misses(to, n.cfg.silence())
}

// nextLook returns when to look again: when the leader would have to be asked, or, if that is
// so, a few times until it is missed, and then.
func (n *Node) nextLook(to *route) time.Duration {
	step, last := n.cfg.silence()/pulses, n.lastSign()
	switch quiet := time.Since(last); {
	case n.pulse.gone.Load() || !n.peers.client(to.leader).connected():
		return step / 4 // for an answer to be given up, or the others to find out, too
	case quiet < n.cfg.calm():
		return n.cfg.calm() - quiet
	case quiet < n.cfg.silence():
		return min(step, n.cfg.silence()-quiet)
	}
	return step
}

// due reports whether the leader is to be asked: raft has not heard of it for calm, it is
// another one, it was gone, or its time is wanted.
func (p *pulse) due(to *route, contact, now time.Time, calm time.Duration) bool {
	return p.asked.Load() != to || p.gone.Load() || now.Sub(contact) > calm || now.Sub(p.when) >= clockEvery
}

// ask asks the leader for a sign of life, unless an answer is still awaited.
func (n *Node) ask(to *route) {
	p := &n.pulse
	if p.asked.Swap(to) != to { // a new leader has all the time
		p.heard.Store(time.Now().UnixNano())
		p.gone.Store(false)
	}
	if !p.asks.CompareAndSwap(false, true) {
		return
	}
	n.wg.Go(func() {
		defer p.asks.Store(false)
		ctx, cancel := context.WithTimeout(to.ctx, n.cfg.silence())
		defer cancel()
		answer, err := n.peers.client(to.leader).call(ctx, kindPulse, nil)
		if p.asked.Load() != to {
			return
		}
		if gone := errors.Is(err, syscall.ECONNREFUSED); gone != p.gone.Swap(gone) {
			p.wakeUp()
		}
		if err != nil || len(answer) < 9 || answer[0] != 1 {
			return
		}
		p.heard.Store(time.Now().UnixNano())
		ahead := int64(binary.LittleEndian.Uint64(answer[1:])) - n.clock.read()
		if time.Duration(ahead).Abs() < maxSkew {
			ahead = 0
		}
		p.ahead.Store(ahead)
	})
}

// servePulse answers ask: whether this node leads, and has not failed, and its time.
func (n *Node) servePulse() []byte {
	answer := []byte{byte(flag(n.raft.State() == raft.Leader && n.Err() == nil))}
	return binary.LittleEndian.AppendUint64(answer, uint64(n.clock.read()))
}

// misses reports whether the leader has given no sign of life for that long.
func (n *Node) misses(to *route, silence time.Duration) bool {
	p := &n.pulse
	if p.asked.Load() != to {
		return false
	}
	return p.gone.Load() || time.Since(n.lastSign()) >= silence
}

// lastSign returns when the leader gave its last sign of life, to this node or to its raft.
func (n *Node) lastSign() time.Time {
	last := time.Unix(0, n.pulse.heard.Load())
	if contact := n.raft.LastContact(); contact.After(last) {
		return contact
	}
	return last
}

// shouldStand reports whether a majority of the voters misses the leader and none of those
// has a longer log than this node.
func (n *Node) shouldStand(to *route) bool {
	servers, err := n.servers()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.silence()/2)
	defer cancel()
	answers := make(chan absence, len(servers))
	voters, asked := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if id := string(s.ID); id != n.dir.id && id != to.leader {
			asked++
			n.wg.Go(func() { answers <- n.askAbsence(ctx, id, to.leader) })
		}
	}
	own, missing := n.lastEntry(), 1
	for range asked {
		if a := <-answers; a.missed {
			if missing++; a.longerThan(own) {
				return false // it will stand
			}
		}
	}
	return missing > voters/2
}

// stillFollows reports whether raft knows of no other leader, and of no other candidate either:
// a vote makes it forget the leader before it gets to know the newer term.
func (n *Node) stillFollows(to *route) bool {
	_, id := n.raft.LeaderWithID()
	return string(id) == to.leader
}

// An absence is what a voter says about a leader that another one misses.
type absence struct {
	id          string
	missed      bool
	term, index uint64 // of the last entry in its log
}

func (a absence) longerThan(b absence) bool {
	switch {
	case a.term != b.term:
		return a.term > b.term
	case a.index != b.index:
		return a.index > b.index
	}
	return compareIDs(a.id, b.id) < 0
}

func (n *Node) askAbsence(ctx context.Context, id, leader string) absence {
	a := absence{id: id}
	answer, err := n.peers.client(id).call(ctx, kindAbsent, []byte(leader))
	if err != nil || len(answer) == 0 {
		return a
	}
	term, size := binary.Uvarint(answer[1:])
	if size <= 0 {
		return a
	}
	index, more := binary.Uvarint(answer[1+size:])
	if more <= 0 {
		return a
	}
	return absence{id, answer[0] == 1, term, index}
}

// serveAbsent tells another voter whether this one misses that leader too. Their looks at
// it are not at the same moment, so a little less silence will do.
func (n *Node) serveAbsent(leader string) []byte {
	to := n.route.Load()
	answer := []byte{0}
	if to == nil || to.leader == leader && !to.self && n.misses(to, n.cfg.silence()*3/4) {
		answer[0] = 1
	}
	own := n.lastEntry()
	answer = binary.AppendUvarint(answer, own.term)
	return binary.AppendUvarint(answer, own.index)
}

// lastEntry returns where this node's log ends.
func (n *Node) lastEntry() absence {
	a := absence{id: n.dir.id, index: n.raft.LastIndex()}
	var l raft.Log
	if err := n.ahead.GetLog(a.index, &l); err == nil {
		a.term = l.Term
		return a
	}
	if s, err := n.lastSnapshot(); err == nil && s.Index == a.index { // all of it is in the snapshot
		a.term = s.Term
	}
	return a
}
