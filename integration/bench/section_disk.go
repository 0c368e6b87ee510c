// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"confd/integration/bench/report"
)

// slowDisk returns the command that runs a program so that its syncs take 5 ms longer.
// The program is a child of ours, strace is not (-D).
func slowDisk() []string {
	return []string{"strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=5000"}
}

// runSlowDisk measures writes where the disk is what they wait for.
func runSlowDisk(ctx context.Context, b *bench, t *report.Table) error {
	k := newKeyspace(b.pick(fewKeys, 500), valueSize)
	err := b.pair(ctx, how{wrap: slowDisk()}, func(ours, peer *server) error {
		for _, w := range (widths{{1, 0.95}, {16, 0.95}, {64, 0.95}, {256, 0.95}}).pick(b) {
			err := b.try(ctx, t, ours, peer, trial{"one node, " + connections(w.conns), report.AtLeast(w.goal), report.Goal{}, w.conns, nil, k.puts(w.conns)})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.Notes = append(t.Notes, "Both run under strace, which delays the end of every fsync and fdatasync.")
	return b.pair(ctx, how{nodes: 3, wrap: slowDisk()}, func(ours, peer *server) error {
		for _, conns := range []int{1, 64} {
			leader := func(s *server) *node { return s.leader }
			err := b.try(ctx, t, ours, peer, trial{"three nodes, at the leader, " + connections(conns), report.Goal{}, report.Goal{}, conns, leader, k.puts(conns)})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
