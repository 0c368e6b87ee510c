// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"confd/integration/bench/report"
)

// floorNote says what the rows of floors are.
const floorNote = "A floor is a program that does nothing but write(2) of the same bytes to each stream, from one thread (of 1) or two (of 2), in place of confd: its ratio is the most that a server could reach beside etcd with this client on this machine."

// runFanOut measures streams that all see the same key, and beside them the least that a
// server can do.
func runFanOut(ctx context.Context, b *bench, t *report.Table) error {
	path, err := build(ctx, b.dir, "confd/integration/bench/floor")
	if err != nil {
		return err
	}
	return b.pair(ctx, how{}, func(ours, peer *server) (err error) {
		servers := []*server{ours, peer}
		for threads := 1; threads <= 2; threads++ {
			floor, failed := floorProgram(path, threads).start(ctx, filepath.Join(b.dir, "floors", fmt.Sprint(threads)), how{})
			defer func() { err = errors.Join(err, floor.stop()) }()
			if failed != nil {
				return failed
			}
			servers = append(servers, floor)
		}
		t.Notes = append(t.Notes, floorNote)
		return errors.Join(b.addFanOut(ctx, t, servers), b.addMemory(t, ours, peer))
	})
}

// floorProgram is the floor with so many threads that write.
func floorProgram(path string, threads int) *program {
	name := fmt.Sprintf("floor of %d", threads)
	return &program{name: name, path: path, args: func(n *node) []string {
		return []string{"-addr", n.client, "-threads", fmt.Sprint(threads)}
	}}
}

// addFanOut adds the rows of servers, of which the second is the peer.
func (b *bench) addFanOut(ctx context.Context, t *report.Table, servers []*server) error {
	streams := b.pick(1000, 100)
	const window = 16
	many, err := byTurns(ctx, b.rounds, servers, b.tellAll(true, streams, window))
	if err != nil {
		return err
	}
	one, err := byTurns(ctx, b.rounds, servers, b.tellAll(true, streams, 1))
	if err != nil {
		return err
	}
	for i, s := range servers {
		if i == 1 {
			continue
		}
		first, atLeast, atMost := "", report.AtLeast(3), report.AtMost(0.5, "≤ 1/2")
		if i > 1 {
			first, atLeast, atMost = s.name+": ", report.Goal{}, report.Goal{}
		}
		what := fmt.Sprintf("%s%d streams, up to %d events on the way, ", first, streams, window)
		add := func(unit string, goal report.Goal, of func(telling) float64) {
			t.Add(report.Row{What: what + unit, Goal: goal, Ours: values(many[i], of), Peer: values(many[1], of)})
		}
		add("events/s", atLeast, func(m telling) float64 { return float64(m.Events) / m.Took.Seconds() })
		add("server CPU µs/event", report.Goal{}, perEvent)
		add("client CPU µs/event", report.Goal{}, func(m telling) float64 { return m.CPU.Seconds() * 1e6 / float64(m.Events) })
		add("client CPU, % of the machine", report.Goal{}, func(m telling) float64 {
			return 100 * m.CPU.Seconds() / m.Took.Seconds() / float64(runtime.NumCPU())
		})
		p99 := func(m telling) float64 { return milliseconds(m.After.Quantile(0.99)) }
		t.Add(report.Row{What: first + "one event at a time, from the answer to the last stream, p99 ms", Goal: atMost,
			Ours: values(one[i], p99), Peer: values(one[1], p99), OursLatency: quantiles(one[i], after), PeerLatency: quantiles(one[1], after)})
	}
	return nil
}
