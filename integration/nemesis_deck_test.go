// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

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
	var probes, hunts sync.WaitGroup
	healed, stopHunts := context.WithCancel(context.Background())
	defer stopHunts()
	for i, f := range faults {
		holds[i] = f.min + time.Duration(s.rand.Int64N(int64(f.max-f.min)))
		var hit []*nemNode
		hit, heals[i] = f.strike(s)
		if f.alive {
			hunts.Go(func() { s.hunter.hunt(healed, hit[0]) })
		}
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
	stopHunts()
	hunts.Wait()
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
