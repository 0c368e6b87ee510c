// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"confd/integration/bench/report"
)

// runMemory loads keys into servers that are new each time.
func runMemory(ctx context.Context, b *bench, t *report.Table) error {
	keys := b.pick(100_000, 5000)
	var grown, peaks [2][]float64
	for range b.pick(min(b.rounds, 2), 1) {
		err := b.pair(ctx, how{}, func(ours, peer *server) error {
			for i, s := range []*server{ours, peer} {
				bytes, peak, err := b.perKey(ctx, s, keys)
				if err != nil {
					return err
				}
				grown[i], peaks[i] = append(grown[i], bytes), append(peaks[i], peak)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	t.Add(report.Row{What: fmt.Sprintf("resident for each of %d keys, bytes", keys), Goal: report.AtMost(0.5, "≤ 1/2"), Ours: grown[0], Peer: grown[1]},
		report.Row{What: "the process at most, MB", Ours: peaks[0], Peer: peaks[1]})
	return nil
}

// perKey returns how many bytes a server has resident for each key more, and how many
// megabytes it had at most.
func (b *bench) perKey(ctx context.Context, s *server, keys int) (bytes, peak float64, err error) {
	warm := newKeyspace(1000, valueSize)
	if err := b.fill(ctx, warm, s); err != nil {
		return 0, 0, err
	}
	before, _, err := s.memory()
	if err != nil {
		return 0, 0, err
	}
	k := newKeyspace(keys, valueSize)
	k.dir = "memory"
	if err := b.fill(ctx, k, s); err != nil {
		return 0, 0, err
	}
	after, peak, err := s.memory()
	return (after - before) * 1e6 / float64(keys), peak, err
}

// A large is a size of values, and how many writes of that size there are until memory is
// looked at.
type large struct {
	what                string
	bytes, keys         int
	writes, writtenKeys int
}

// runLarge writes large values, with new servers for each size.
func runLarge(ctx context.Context, b *bench, t *report.Table) error {
	for _, l := range []large{
		{"64 KiB", 64 << 10, 128, b.pick(30_000, 300), b.pick(1000, 100)},
		{"1 MiB", 1 << 20, 16, b.pick(1000, 32), b.pick(100, 16)},
	} {
		if err := b.largeSpeed(ctx, t, l); err != nil {
			return err
		}
		if err := b.largeMemory(ctx, t, l); err != nil {
			return err
		}
	}
	t.Notes = append(t.Notes, "The answer to a put has the new value and the one before. Etcd keeps what was written in memory until its next snapshot, after 100,000 writes.")
	return nil
}

const largeConns = 16

// largeSpeed adds rows of how fast values of a size are written.
func (b *bench) largeSpeed(ctx context.Context, t *report.Table, l large) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		k := newKeyspace(l.keys, l.bytes)
		what := fmt.Sprintf("put of %s, %s", l.what, connections(largeConns))
		return b.try(ctx, t, ours, peer, trial{what, report.AtLeast(2), report.Goal{}, largeConns, nil, k.puts(largeConns)})
	})
}

// largeMemory adds a row of what both had resident at most during the same number of
// writes: after the same time the faster one would have done more of them.
func (b *bench) largeMemory(ctx context.Context, t *report.Table, l large) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		k := newKeyspace(l.writtenKeys, l.bytes)
		var peaks [2]float64
		for i, s := range []*server{ours, peer} {
			job := k.puts(largeConns)()
			job.Total = l.writes
			if _, err := b.load(ctx, s, s.nodes[0], largeConns, job); err != nil {
				return err
			}
			var err error
			if _, peaks[i], err = s.memory(); err != nil {
				return err
			}
		}
		what := fmt.Sprintf("memory at most, MB, %d writes of %s to %d keys", l.writes, l.what, l.writtenKeys)
		t.Add(report.Row{What: what, Goal: report.AtMost(0.1, "≤ 1/10"), Ours: peaks[:1], Peer: peaks[1:]})
		return nil
	})
}
