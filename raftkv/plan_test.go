// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// randomSeats returns members in any state, of whom one leads.
func randomSeats(r *rand.Rand) []seat {
	seats := make([]seat, 1+r.IntN(12))
	silences := []time.Duration{0, time.Second, 3 * time.Second, 20 * time.Second, time.Hour}
	for i := range seats {
		s := &seats[i]
		s.id = fmt.Sprint(i)
		s.in = r.IntN(5) > 0
		s.votes = s.in && r.IntN(3) > 0
		s.removed = s.in && r.IntN(6) == 0
		if r.IntN(3) == 0 {
			s.silent = silences[r.IntN(len(silences))]
		}
		s.steady = r.IntN(4) > 0
		s.unheard = !s.steady && r.IntN(2) == 0
		s.behind = r.Uint64N(2 * caughtUp)
	}
	l := &seats[r.IntN(len(seats))]
	l.in, l.votes, l.leads, l.silent, l.unheard, l.behind = true, true, true, 0, false, 0
	return seats
}

// quorum returns how many vote, and how many of those are alive.
func quorum(seats []seat, contact time.Duration) (voters, alive int) {
	for _, s := range seats {
		if s.votes {
			voters++
			if s.alive(contact) {
				alive++
			}
		}
	}
	return voters, alive
}

// carryOut does to seats what plan says.
func carryOut(seats []seat, what act, id string) []seat {
	i := slices.IndexFunc(seats, func(s seat) bool { return s.id == id })
	s := &seats[i]
	switch what {
	case actAdd:
		s.in = true
	case actPromote:
		s.votes = true
	case actDemote:
		s.votes = false
	case actRemove:
		return slices.Delete(seats, i, i+1)
	}
	return seats
}

// TestPlan takes all steps from any state. None of them may take the majority away
// (hashicorp/consul#5546), or take the vote of the leader, and they must come to an end at
// which everything is as it was asked for, but for what would take the majority away.
func TestPlan(t *testing.T) {
	for seed := range uint64(50_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		seats := randomSeats(r)
		c := ClusterConfig{ActiveSize: 3 + r.IntN(5), RemoveDelay: time.Duration(2+r.IntN(60)) * time.Second}
		contact := time.Duration(1+r.IntN(10)) * time.Second
		begin := slices.Clone(seats)
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d: %s\n%+v, contact %v\nat first %+v\nnow %+v", seed, fmt.Sprintf(format, args...), c, contact, begin, seats)
		}
		for steps := 0; ; steps++ {
			if steps > 3*len(begin) {
				fail("no end")
			}
			what, id := plan(seats, c, contact)
			if what == actNone {
				break
			}
			of := seats[slices.IndexFunc(seats, func(s seat) bool { return s.id == id })]
			if what == actHandOver {
				if voters, _ := quorum(seats, contact); !of.leads || !of.removed || voters < 2 {
					fail("%s is to hand over", id)
				}
				break
			}
			votersBefore, aliveBefore := quorum(seats, contact)
			seats = carryOut(seats, what, id)
			voters, alive := quorum(seats, contact)
			had := aliveBefore > votersBefore/2
			switch {
			case of.leads:
				fail("%v %s, which leads", what, id)
			case what == actPromote && (of.removed || of.silent >= contact || of.behind > caughtUp || !of.steady):
				fail("%s got a vote", id)
			case (had || voters < votersBefore) && alive <= voters/2:
				fail("%v %s leaves %d of %d voters", what, id, alive, voters)
			}
		}
		checkPlanned(seats, c, contact, fail)
	}
}

// checkPlanned looks at the state in which plan has nothing to do.
func checkPlanned(seats []seat, c ClusterConfig, contact time.Duration, fail func(string, ...any)) {
	voters, alive := quorum(seats, contact)
	// mayLose is another way to write plan's: without s a majority is alive.
	mayLose := func(s seat) bool {
		left, living := voters-1, alive
		if s.alive(contact) {
			living--
		}
		return left > 0 && 2*living > left
	}
	for _, s := range seats {
		handsOver := slices.ContainsFunc(seats, func(s seat) bool { return s.leads && s.removed && voters > 1 })
		if handsOver {
			return // the next leader does the rest
		}
		fit := s.in && !s.votes && !s.removed && s.steady && s.silent < contact && s.behind <= caughtUp
		switch {
		case s.leads:
		case s.removed && s.in && (!s.votes || mayLose(s)):
			fail("%s is still there", s.id)
		case !s.in && !s.removed:
			fail("%s was not added", s.id)
		case s.votes && voters > c.ActiveSize && mayLose(s):
			fail("%d vote", voters)
		case s.votes && s.silent >= max(c.RemoveDelay, contact) && mayLose(s):
			fail("%s is dead and votes", s.id)
		case fit && voters < c.ActiveSize:
			fail("%s could vote, and %d do", s.id, voters)
		}
	}
}
