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
