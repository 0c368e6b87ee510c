// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"confd/integration/bench/report"
)

func runGet(ctx context.Context, b *bench, t *report.Table) error {
	return b.gets(ctx, t, "get", "", widths{{1, 3}, {16, 2.5}, {64, 2.5}, {256, 2}})
}

func runQuorumGet(ctx context.Context, b *bench, t *report.Table) error {
	return b.gets(ctx, t, "quorum get", "?quorum=true", widths{{1, 4}, {16, 4}, {64, 4}, {256, 4}})
}

// gets measures reads of single keys with a query.
func (b *bench) gets(ctx context.Context, t *report.Table, what, query string, all widths) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		k := newKeyspace(b.pick(fewKeys, 500), valueSize)
		if err := b.fill(ctx, k, ours, peer); err != nil {
			return err
		}
		for _, w := range all.pick(b) {
			err := b.try(ctx, t, ours, peer, trial{what + ", " + connections(w.conns), report.AtLeast(w.goal), third(), w.conns, nil, k.gets(query)})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
