// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// compare measures two things by turns: ours first in one round, the peer first in the
// next, so that what changes with time on the machine hits both. It returns what was
// measured in each round.
func compare[T, M any](ctx context.Context, rounds int, ours, peer T, measure func(context.Context, T) (M, error)) (a, b []M, err error) {
	a, b = make([]M, rounds), make([]M, rounds)
	for round := range rounds {
		order := []int{0, 1}
		if round%2 == 1 {
			order = []int{1, 0}
		}
		for _, side := range order {
			of, into := ours, &a[round]
			if side == 1 {
				of, into = peer, &b[round]
			}
			if *into, err = measure(ctx, of); err != nil {
				return nil, nil, fmt.Errorf("round %d: %w", round+1, err)
			}
		}
	}
	return a, b, nil
}

// An outcome is what one round under load has measured of a server.
type outcome struct {
	load.Result
	serverCPU time.Duration // of all its nodes
}

// perOp returns the processor time of the server for each operation, in microseconds.
func (o outcome) perOp() float64 { return o.serverCPU.Seconds() * 1e6 / float64(o.Ops) }

// clientPerOp returns the same of the load generator.
func (o outcome) clientPerOp() float64 { return o.CPU.Seconds() * 1e6 / float64(o.Ops) }

// values applies a function to what each round has measured.
func values[M any](all []M, of func(M) float64) []float64 {
	var out []float64
	for _, m := range all {
		out = append(out, of(m))
	}
	return out
}

// latency returns the quantiles over all rounds.
func latency(all []outcome) *report.Latency {
	var sum load.Histogram
	for _, o := range all {
		sum.Merge(o.Latency)
	}
	return &report.Latency{P50: sum.Quantile(0.5), P99: sum.Quantile(0.99)}
}

// throughput makes rows of what rounds under load have measured: operations per second,
// processor time of the server for each operation, and of the load generator.
func throughput(what string, goal, cpuGoal report.Goal, ours, peer []outcome) []report.Row {
	perSecond := func(o outcome) float64 { return o.PerSecond() }
	return []report.Row{
		{What: what + ", op/s", Goal: goal, Ours: values(ours, perSecond), Peer: values(peer, perSecond),
			OursLatency: latency(ours), PeerLatency: latency(peer)},
		{What: what + ", server CPU µs/op", Goal: cpuGoal, Ours: values(ours, outcome.perOp), Peer: values(peer, outcome.perOp)},
		{What: what + ", client CPU µs/op", Ours: values(ours, outcome.clientPerOp), Peer: values(peer, outcome.clientPerOp)},
	}
}
