// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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
	{kind: "stop leader", leader: true, short: true, min: 500 * ms, max: 5 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.pause(s.leader) }},
	{kind: "stop follower", min: 500 * ms, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.pause(s.follower()) }},
	{kind: "slow leader", min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.slow(s.leader) }},
	{kind: "slow follower", min: 1 * sc, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.slow(s.follower()) }},
	{kind: "shut down leader", leader: true, graceful: true, max: 1 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.shutDown(s.leader) }},
	{kind: "shut down follower", max: 1 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.shutDown(s.follower()) }},
}

var nemNetworkFaults = []nemFault{
	{kind: "leader isolated", leader: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, true, s.leader) }},
	{kind: "leader deaf", leader: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, false, s.leader) }},
	{kind: "leader mute", leader: true, min: 1 * sc, max: 4 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(false, true, s.leader) }},
	{kind: "follower isolated", min: 500 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, true, s.follower()) }},
	{kind: "follower deaf", min: 500 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(true, false, s.follower()) }},
	{kind: "follower mute", min: 500 * ms, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) { return s.cutOff(false, true, s.follower()) }},
	{kind: "minority cut off", min: 1 * sc, max: 3 * sc, strike: func(s *nemStrike) ([]*nemNode, func()) {
		return s.cutOff(true, true, s.some((len(s.nodes)-1)/2)...)
	}},
	{kind: "link of leader cut", min: 1 * sc, max: 3 * sc, strike: (*nemStrike).cutLink},
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

// A nemDeck deals faults: each kind comes once before one comes again.
type nemDeck struct {
	rand *rand.Rand
	only string // a word in the kind of every fault
	left [][]nemFault
}

// knows tells whether there are faults of the kind that is wanted.
func (d *nemDeck) knows() bool {
	return slices.ContainsFunc(slices.Concat(nemProcessFaults, nemNetworkFaults), func(f nemFault) bool { return strings.Contains(f.kind, d.only) })
}

func (d *nemDeck) next() []nemFault {
	if len(d.left) == 0 {
		for _, faults := range [][]nemFault{nemProcessFaults, nemNetworkFaults} {
			for _, f := range faults {
				d.left = append(d.left, []nemFault{f})
			}
		}
		for range 2 {
			d.left = append(d.left,
				[]nemFault{nemProcessFaults[0]}, // the one that is asked about most
				[]nemFault{nemNetworkFaults[d.rand.IntN(len(nemNetworkFaults))], nemProcessFaults[d.rand.IntN(len(nemProcessFaults))]})
		}
		d.left = slices.DeleteFunc(d.left, func(hand []nemFault) bool {
			return slices.ContainsFunc(hand, func(f nemFault) bool { return !strings.Contains(f.kind, d.only) })
		})
		d.rand.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	hand := d.left[0]
	d.left = d.left[1:]
	return hand
}

// suffer lets one or two faults happen and end.
func (s *nemStrike) suffer(faults []nemFault) {
	var kinds []string
	for _, f := range faults {
		kinds = append(kinds, f.kind)
	}
	kind := strings.Join(kinds, " and ")
	s.report.struck(kinds)
	alone := len(faults) == 1
	heals := make([]func(), len(faults))
	holds := make([]time.Duration, len(faults))
	var probes sync.WaitGroup
	for i, f := range faults {
		holds[i] = f.min + time.Duration(s.rand.Int64N(int64(f.max-f.min)))
		var hit []*nemNode
		hit, heals[i] = f.strike(s)
		left := s.others(hit)
		s.report.timeline("%7.3fs %s: %s for %v; node %s led", s.when().Seconds(), f.kind, names(hit), holds[i].Round(ms), s.leader.name)
		switch {
		case alone && f.leader:
			probes.Go(func() { s.measure(f, left) })
		case f.quorum && len(left) > 0:
			probes.Go(func() { s.answers(kind, left[0]) })
		}
	}
	// A time of day, since real processes are what waits here.
	for i := range faults {
		time.Sleep(holds[i])
		heals[i]()
	}
	probes.Wait()
	s.report.timeline("%7.3fs healed", s.when().Seconds())
	s.awaitHealth("after " + kind)
}

func names(nodes []*nemNode) string {
	if len(nodes) == 0 {
		return "all nodes"
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	return strings.Join(names, ",")
}

func (s *nemStrike) others(hit []*nemNode) (left []*nemNode) {
	for _, n := range s.nodes {
		found := false
		for _, h := range hit {
			found = found || h == n
		}
		if !found {
			left = append(left, n)
		}
	}
	return left
}

// nemProbeEvery is how exact a gap is known.
const nemProbeEvery = 20 * ms

// measure takes the time until a write through one of the nodes is acknowledged. It sends
// one every moment, so that none waits for a timeout of the one before.
func (s *nemStrike) measure(f nemFault, left []*nemNode) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 30*sc)
	defer cancel()
	acked := make(chan time.Duration, 1)
	var wg sync.WaitGroup
	tick := time.NewTicker(nemProbeEvery)
	defer tick.Stop()
	for gap := time.Duration(0); gap == 0; {
		for _, n := range left {
			wg.Go(func() {
				if err := s.probe(ctx, n, nemOpLimit); err == nil {
					select {
					case acked <- time.Since(start):
					default: // not the first
					}
				}
			})
		}
		select {
		case gap = <-acked:
			now, err := s.nemCluster.leader(ctx, left)
			s.report.gap(f, gap, !f.short || err != nil || now != s.leader)
		case <-tick.C:
		case <-ctx.Done():
			s.report.violation("no write was acknowledged for 30 s after %s", f.kind)
			gap = 30 * sc
		}
	}
	cancel()
	wg.Wait()
}

// probe writes a key that is in no history.
func (s *nemStrike) probe(ctx context.Context, n *nemNode, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+n.api+"/v2/keys/probe/"+n.name, strings.NewReader(url.Values{"value": {"x"}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, _, err := parseAnswer(resp); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// nemAnswerLimit is when a node must have answered although there is no quorum.
const nemAnswerLimit = 10 * sc

// answers checks that a write is answered, by whatever, without a quorum.
func (s *nemStrike) answers(kind string, n *nemNode) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), nemAnswerLimit)
	defer cancel()
	s.probe(ctx, n, nemAnswerLimit) // an error is an answer, too
	if ctx.Err() != nil {
		s.report.violation("no answer within %v from node %s during %s", nemAnswerLimit, n.name, kind)
		return
	}
	s.report.answered(time.Since(start))
}
