// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"confd/integration/bench/report"
)

// runLeaderLoss kills leaders by turns, and starts each again.
func runLeaderLoss(ctx context.Context, b *bench, t *report.Table) error {
	return b.pair(ctx, how{nodes: 3}, func(ours, peer *server) error {
		a, p, err := compare(ctx, b.pick(max(b.rounds, 5), 1), ours, peer, b.loseLeader)
		if err != nil {
			return err
		}
		seconds := time.Duration.Seconds
		t.Add(report.Row{What: "from the kill to the next write that a remaining node takes, s", Goal: report.Own(1.5, "< 1.5 s").And(report.AtMost(1, "≤ 1×")),
			Ours: values(a, seconds), Peer: values(p, seconds)})
		t.Notes = append(t.Notes, "One client at each of the two remaining nodes, which tries again when it is refused or has no answer within 250 ms.")
		return nil
	})
}

// loseLeader returns the time from the kill of the leader to the next write that is
// taken, and returns when the node that was killed takes writes again.
func (b *bench) loseLeader(ctx context.Context, s *server) (time.Duration, error) {
	if err := s.findLeader(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	s.leader.Kill()
	gap, err := s.firstWrite(ctx, start)
	if err != nil {
		return 0, err
	}
	if err := s.leader.launch(); err != nil {
		return 0, err
	}
	if err := s.leader.await(ctx); err != nil {
		return 0, err
	}
	return gap, pause(ctx, time.Second) // so that the next election is not in the wake of this one
}

// firstWrite tries to write at every follower, and returns how long after start one of
// them has taken a write.
func (s *server) firstWrite(ctx context.Context, start time.Time) (time.Duration, error) {
	ctx, done := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s takes no write for %v", s.name, startTimeout))
	defer done()
	taken := make(chan time.Duration, len(s.nodes))
	var tries sync.WaitGroup
	for _, n := range s.followers() {
		tries.Go(func() {
			for ctx.Err() == nil {
				try, end := context.WithTimeout(ctx, 250*time.Millisecond)
				err := n.put(try, "/loss", "x")
				end()
				if err == nil {
					taken <- time.Since(start)
					return
				}
				pause(ctx, time.Millisecond) // the error ends the loop
			}
		})
	}
	defer tries.Wait()
	select {
	case gap := <-taken:
		done()
		return gap, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
