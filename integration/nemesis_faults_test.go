// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"math/rand/v2"
	"syscall"
	"time"
)

// A nemFault is something bad that happens to a cluster for a while.
type nemFault struct {
	kind     string
	leader   bool // it takes the leader away from the others: the gap is measured
	short    bool // perhaps for too short a time for another to lead
	graceful bool // with notice
	quorum   bool // it takes the quorum away
	alive    bool // the nodes that it hits can still be asked, now or afterwards
	min, max time.Duration

	// strike begins it. It returns the nodes that are hit and what ends it.
	strike func(s *nemStrike) (hit []*nemNode, heal func())
}

// A nemStrike is what a fault finds: a healthy cluster.
type nemStrike struct {
	*nemCluster
	when      func() time.Duration // since the round began
	rand      *rand.Rand
	leader    *nemNode
	followers []*nemNode
	losses    nemLosses // what the network loses so far
	hunter    *nemClient
}

const (
	ms = time.Millisecond
	sc = time.Second
)

// nemProcessFaults and nemNetworkFaults may come together, one of each.
var nemProcessFaults = []nemFault{
	{kind: "kill -9 leader", leader: true, min: 100 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.killAll(s.leader) }},
	{kind: "kill -9 follower", max: 2 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.killAll(s.follower()) }},
	{kind: "kill -9 majority", quorum: true, max: 2 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.killAll(s.some(len(s.nodes)/2 + 1)...) }},
	{kind: "kill -9 all", max: 500 * ms, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.killAll(s.nodes...) }},
	{kind: "stop leader", alive: true, leader: true, short: true, min: 500 * ms, max: 5 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.pause(s.leader) }},
	{kind: "stop follower", alive: true, min: 500 * ms, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.pause(s.follower()) }},
	{kind: "slow leader", alive: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.slow(s.leader) }},
	{kind: "slow follower", alive: true, min: 1 * sc, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.slow(s.follower()) }},
	{kind: "shut down leader", leader: true, graceful: true, max: 1 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.shutDown(s.leader) }},
	{kind: "shut down follower", max: 1 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.shutDown(s.follower()) }},
}

var nemNetworkFaults = []nemFault{
	{kind: "leader isolated", alive: true, leader: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, true, s.leader) }},
	{kind: "leader deaf", alive: true, leader: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, false, s.leader) }},
	{kind: "leader mute", alive: true, leader: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(false, true, s.leader) }},
	{kind: "follower isolated", alive: true, min: 500 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, true, s.follower()) }},
	{kind: "follower deaf", alive: true, min: 500 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, false, s.follower()) }},
	{kind: "follower mute", alive: true, min: 500 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(false, true, s.follower()) }},
	{kind: "minority cut off", alive: true, min: 1 * sc, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) {
		return s.cutOff(true, true, s.some((len(s.nodes)-1)/2)...)
	}},
	{kind: "link of leader cut", alive: true, min: 1 * sc, max: 3 * sc, strike: (*nemStrike).cutLink},
	{kind: "all apart", quorum: true, min: 500 * ms, max: 3 * sc, strike: (*nemStrike).allApart},
	{kind: "packet loss", min: 1 * sc, max: 4 * sc, strike: (*nemStrike).packetLoss},
}

func (s *nemStrike) follower() *nemNode { return s.followers[s.rand.IntN(len(s.followers))] }

// some returns that many nodes.
func (s *nemStrike) some(n int) []*nemNode {
	var nodes []*nemNode
	for _, i := range s.rand.Perm(len(s.nodes))[:n] {
		nodes = append(nodes, s.nodes[i])
	}
	return nodes
}

func (s *nemStrike) killAll(nodes ...*nemNode) ([]*nemNode, func()) {
	for _, n := range nodes {
		s.kill(n)
	}
	return nodes, func() {
		for _, n := range nodes {
			s.restart(n)
		}
	}
}

func (s *nemStrike) pause(n *nemNode) ([]*nemNode, func()) {
	s.signal(n, syscall.SIGSTOP)
	return []*nemNode{n}, func() { s.signal(n, syscall.SIGCONT) }
}

// slow lets a node run for a third of the time only.
func (s *nemStrike) slow(n *nemNode) ([]*nemNode, func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(150 * ms); ; {
			s.signal(n, syscall.SIGSTOP)
			select {
			case <-end:
				tick.Stop()
				return
			case <-time.After(100 * ms):
			}
			s.signal(n, syscall.SIGCONT)
			<-tick.C
		}
	}()
	return []*nemNode{n}, func() {
		close(end)
		<-ended
		s.signal(n, syscall.SIGCONT)
	}
}

func (s *nemStrike) shutDown(n *nemNode) ([]*nemNode, func()) {
	p := s.signal(n, syscall.SIGTERM)
	return []*nemNode{n}, func() {
		if p == nil {
			return // it has ended by itself, which is a violation
		}
		if err := p.wait(); !s.program.stopped(err) {
			s.report.violation("node %s after SIGTERM: %v\n%s", n.name, err, n.logTail(2048))
		}
		s.restart(n)
	}
}

// spoil makes the network lose more, until what it returns is called.
func (s *nemStrike) spoil(more nemLosses) func() {
	for link, share := range more {
		s.losses[link] = share
	}
	s.lose(s.losses)
	return func() {
		for link := range more {
			delete(s.losses, link)
		}
		s.lose(s.losses)
	}
}

func (s *nemStrike) lose(m nemLosses) {
	if err := s.network.lose(m); err != nil {
		s.report.violation("the network cannot lose: %v", err)
	}
}

// cutOff lets nodes not hear from the others, or the others not from them, or both.
func (s *nemStrike) cutOff(deaf, mute bool, nodes ...*nemNode) ([]*nemNode, func()) {
	inside := make(map[*nemNode]bool)
	for _, n := range nodes {
		inside[n] = true
	}
	m := make(nemLosses)
	for _, n := range nodes {
		for _, other := range s.nodes {
			if inside[other] {
				continue
			}
			if deaf {
				m[nemLink{other.i, n.i}] = 1
			}
			if mute {
				m[nemLink{n.i, other.i}] = 1
			}
		}
	}
	return nodes, s.spoil(m)
}

// cutLink cuts the leader from one follower, which the others still hear.
func (s *nemStrike) cutLink() ([]*nemNode, func()) {
	f := s.follower()
	return []*nemNode{f}, s.spoil(nemLosses{}.cut([]int{s.leader.i}, []int{f.i}))
}

func (s *nemStrike) allApart() ([]*nemNode, func()) {
	return nil, s.spoil(s.everywhere(1))
}

func (s *nemStrike) packetLoss() ([]*nemNode, func()) {
	return nil, s.spoil(s.everywhere(0.05 + 0.25*s.rand.Float64()))
}

func (s *nemStrike) everywhere(share float64) nemLosses {
	m := make(nemLosses)
	for i := range s.nodes {
		for j := range s.nodes {
			if i != j {
				m[nemLink{i, j}] = share
			}
		}
	}
	return m
}
