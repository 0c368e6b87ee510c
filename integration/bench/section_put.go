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
			err := b.row(ctx, t, fmt.Sprintf("put, %d connections", w.conns), w.goal, ours, peer, w.conns, func() load.Job {
				return load.Job{Request: k.put, Check: k.checkPut(w.conns, k.key)}
			})
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

// row measures a job at the first node of both, and adds the rows of its throughput.
func (b *bench) row(ctx context.Context, t *report.Table, what string, goal float64, ours, peer *server, conns int, job func() load.Job) error {
	a, p, err := compare(ctx, b.rounds, ours, peer, func(ctx context.Context, s *server) (outcome, error) {
		return b.load(ctx, s, s.nodes[0], conns, job())
	})
	if err != nil {
		return err
	}
	t.Add(throughput(what, report.AtLeast(goal), third(), a, p)...)
	return nil
}

// addMemory adds what both have resident now, and had at most.
func (b *bench) addMemory(t *report.Table, ours, peer *server) error {
	a, aPeak, err := ours.memory()
	if err != nil {
		return err
	}
	p, pPeak, err := peer.memory()
	if err != nil {
		return err
	}
	t.Add(report.Row{What: "memory after that, MB", Ours: []float64{a}, Peer: []float64{p}},
		report.Row{What: "at most, MB", Ours: []float64{aPeak}, Peer: []float64{pPeak}})
	return nil
}
