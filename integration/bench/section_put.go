// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

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

// putNotes say what the rows are.
var putNotes = []string{
	"The floor of a server, in place of confd, is a program of one thread: it reads the requests that have come from all connections, writes the values to a file that was written before with one sync, and answers the same. It has no log, no checksum, no raft, no history, and a map for a tree. Its ratio is about the most that a server could reach beside etcd with this client on this machine.",
}

func runPut(ctx context.Context, b *bench, t *report.Table) error {
	path, err := build(ctx, b.dir, "confd/integration/bench/floor")
	if err != nil {
		return err
	}
	t.Notes = append(t.Notes, putNotes...)
	return b.pair(ctx, how{}, func(ours, peer *server) (err error) {
		floor, failed := smallFloor(path).start(ctx, filepath.Join(b.dir, "floor-put"), how{})
		defer func() { err = errors.Join(err, floor.stop()) }()
		if failed != nil {
			return failed
		}
		k := newKeyspace(b.pick(fewKeys, 500), valueSize)
		if err := b.fill(ctx, k, ours, peer, floor); err != nil {
			return err
		}
		for _, w := range (widths{{1, 1.2}, {16, 2}, {64, 2.5}, {256, 3}}).pick(b) {
			err := b.tryFloor(ctx, t, []*server{ours, peer, floor}, trial{"put, " + connections(w.conns), report.AtLeast(w.goal), third(), w.conns, nil, k.puts(w.conns)})
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

// on returns the measurement of a trial.
func (b *bench) on(t *report.Table, trial trial) func(context.Context, *server) (outcome, error) {
	measure := func(ctx context.Context, s *server) (outcome, error) {
		at := s.nodes[0]
		if trial.at != nil {
			at = trial.at(s)
		}
		return b.load(ctx, s, at, trial.conns, trial.job())
	}
	return func(ctx context.Context, s *server) (outcome, error) {
		if len(s.nodes) > 1 {
			return steady(t, measure)(ctx, s)
		}
		return measure(ctx, s)
	}
}

// try makes rows of a trial of both.
func (b *bench) try(ctx context.Context, t *report.Table, ours, peer *server, trial trial) error {
	a, p, err := compare(ctx, b.rounds, ours, peer, b.on(t, trial))
	if err != nil {
		return err
	}
	t.Add(throughput(trial.what, trial.goal, trial.cpu, a, p)...)
	return nil
}

// tryFloor makes rows of a trial of three servers: ours, the peer, and the floor.
func (b *bench) tryFloor(ctx context.Context, t *report.Table, servers []*server, trial trial) error {
	found, err := byTurns(ctx, b.rounds, servers, b.on(t, trial))
	if err != nil {
		return err
	}
	t.Add(throughput(trial.what, trial.goal, trial.cpu, found[0], found[1])...)
	rows := throughput("floor of a server, "+trial.what, report.Goal{}, report.Goal{}, found[2], found[1])
	rows[0].PeerLatency = nil // it is told above
	t.Add(rows[0], rows[1], report.Row{What: "what confd has of the floor, op/s, %", Ours: shares(rate(found[0]), rate(found[2]))})
	return nil
}

// rate returns the operations per second of each round.
func rate(all []outcome) []float64 {
	return values(all, func(o outcome) float64 { return o.PerSecond() })
}

// smallFloorBytes is the size of the file of a floor of small values.
const smallFloorBytes = 16 << 20

// smallFloor is the floor of a server of small values, of one node or of three, of which the first
// leads.
func smallFloor(path string) *program {
	return &program{name: "floor", path: path, args: func(n *node) []string {
		args := []string{"-small", "-addr", n.client, "-file", filepath.Join(n.dir, "values"), "-size", fmt.Sprint(smallFloorBytes)}
		if len(n.cluster) > 0 {
			_, leader, _ := strings.Cut(n.cluster[0], "http://")
			args = append(args, "-peer", leader, "-number", fmt.Sprint(n.name[0]-'a'))
		}
		return args
	}}
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
