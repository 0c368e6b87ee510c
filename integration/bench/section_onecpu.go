// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"confd/integration/bench/report"
)

// oneProcessor returns the command that runs a program on the first processor only, as on a
// small machine.
func oneProcessor() []string { return []string{"taskset", "-c", "0"} }

// runOneCPU measures servers that have one processor, where nothing goes on while the disk
// syncs unless the server sees to it. The client has all that there are.
func runOneCPU(ctx context.Context, b *bench, t *report.Table) error {
	k := newKeyspace(b.pick(fewKeys, 500), valueSize)
	err := b.pair(ctx, how{wrap: oneProcessor()}, func(ours, peer *server) error {
		if err := b.fill(ctx, k, ours, peer); err != nil {
			return err
		}
		all := widths{{1, 1}, {16, 1}, {64, 1}, {256, 1}}.pick(b)
		for _, w := range all { // before the puts, which change what is there
			if err := b.try(ctx, t, ours, peer, trial{"get, " + connections(w.conns), report.AtLeast(w.goal), report.Goal{}, w.conns, nil, k.gets("")}); err != nil {
				return err
			}
		}
		for _, w := range all {
			if err := b.try(ctx, t, ours, peer, trial{"put, " + connections(w.conns), report.AtLeast(w.goal), report.Goal{}, w.conns, nil, k.puts(w.conns)}); err != nil {
				return err
			}
		}
		return nil
	})
	t.Notes = append(t.Notes, "Both run under taskset, on the first processor.")
	return err
}
