// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

const (
	valueSize = 256
	fewKeys   = 10_000
)

// third is the goal for what an operation costs the server.
func third() report.Goal { return report.AtMost(1./3, "≤ 1/3") }

// widths is how many connections there are, and what is to be reached with that many.
type widths []struct {
	conns int
	goal  float64
}

// pick leaves the first and the last in a quick run.
func (w widths) pick(b *bench) widths {
	if b.quick {
		return widths{w[0], w[len(w)-1]}
	}
	return w
}

func runPut(ctx context.Context, b *bench, t *report.Table) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		k := newKeyspace(b.pick(fewKeys, 500), valueSize)
		if err := b.fill(ctx, k, ours, peer); err != nil {
			return err
		}
		for _, w := range (widths{{1, 1.2}, {16, 2}, {64, 2.5}, {256, 3}}).pick(b) {
			err := b.try(ctx, t, ours, peer, trial{"put, " + connections(w.conns), report.AtLeast(w.goal), third(), w.conns, nil, k.puts(w.conns)})
			if err != nil {
				return err
			}
		}
		return b.addMemory(t, ours, peer)
	})
}

// fill writes all keys of a keyspace to the first node of each server.
func (b *bench) fill(ctx context.Context, k *keyspace, servers ...*server) error {
	conns := min(128, k.keys)
	for _, s := range servers {
		job := load.Job{Total: k.keys, Request: k.fill, Check: k.checkPut(conns, func(n int) int { return n })}
		if _, err := b.load(ctx, s, s.nodes[0], conns, job); err != nil {
			return err
		}
	}
	return nil
}

// A trial is one thing to measure under load.
type trial struct {
	what      string
	goal, cpu report.Goal // of the operations per second, of the server's processor time for each
	conns     int
	at        func(s *server) *node // which node is asked; nil is the first
	job       func() load.Job       // new for each round
}

// try makes rows of a trial of both.
func (b *bench) try(ctx context.Context, t *report.Table, ours, peer *server, trial trial) error {
	measure := func(ctx context.Context, s *server) (outcome, error) {
		at := s.nodes[0]
		if trial.at != nil {
			at = trial.at(s)
		}
		return b.load(ctx, s, at, trial.conns, trial.job())
	}
	if len(ours.nodes) > 1 {
		measure = steady(t, measure)
	}
	a, p, err := compare(ctx, b.rounds, ours, peer, measure)
	if err != nil {
		return err
	}
	t.Add(throughput(trial.what, trial.goal, trial.cpu, a, p)...)
	return nil
}

// connections returns "1 connection", "2 connections" and so on.
func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// addMemory adds what both have resident now, and had at most. There may be no peer.
func (b *bench) addMemory(t *report.Table, ours, peer *server) error {
	now, most := report.Row{What: "memory after that, MB"}, report.Row{What: "at most, MB"}
	rss, peak, err := ours.memory()
	if err != nil {
		return err
	}
	now.Ours, most.Ours = []float64{rss}, []float64{peak}
	if peer != nil {
		if rss, peak, err = peer.memory(); err != nil {
			return err
		}
		now.Peer, most.Peer = []float64{rss}, []float64{peak}
	}
	t.Add(now, most)
	return nil
}
