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

// byTurns measures several things, one after the other in one round and the other way
// round in the next, so that what changes with time on the machine hits all. It returns,
// for each of them, what was measured in each round.
func byTurns[T, M any](ctx context.Context, rounds int, all []T, measure func(context.Context, T) (M, error)) ([][]M, error) {
	found := make([][]M, len(all))
	for round := range rounds {
		for step := range all {
			i := step
			if round%2 == 1 {
				i = len(all) - 1 - step
			}
			m, err := measure(ctx, all[i])
			if err != nil {
				return nil, fmt.Errorf("round %d: %w", round+1, err)
			}
			found[i] = append(found[i], m)
		}
	}
	return found, nil
}

// compare measures ours and the peer by turns.
func compare[T, M any](ctx context.Context, rounds int, ours, peer T, measure func(context.Context, T) (M, error)) (a, b []M, err error) {
	found, err := byTurns(ctx, rounds, []T{ours, peer}, measure)
	if err != nil {
		return nil, nil, err
	}
	return found[0], found[1], nil
}

// quotients returns what a is of b in each round that has both.
func quotients(a, b []float64) []float64 {
	var all []float64
	for i := range min(len(a), len(b)) {
		all = append(all, a[i]/b[i])
	}
	return all
}

// shares is quotients in percent.
func shares(a, b []float64) []float64 {
	all := quotients(a, b)
	for i := range all {
		all[i] *= 100
	}
	return all
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
	return quantiles(all, func(o outcome) *load.Histogram { return o.Latency })
}

// quantiles returns p50 and p99 over all rounds, nil if there are none.
func quantiles[M any](all []M, of func(M) *load.Histogram) *report.Latency {
	if len(all) == 0 {
		return nil
	}
	var sum load.Histogram
	for _, m := range all {
		sum.Merge(of(m))
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
