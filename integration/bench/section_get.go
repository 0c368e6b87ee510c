// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"confd/integration/bench/load"
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
			err := b.row(ctx, t, fmt.Sprintf("%s, %d connections", what, w.conns), w.goal, ours, peer, w.conns, func() load.Job {
				return load.Job{Check: k.checkGet(), Request: func(buf []byte, n int) []byte { return k.get(buf, n, query) }}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
