// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"confd/raftkv/tree"
)

func BenchmarkDo(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			cfg := testConfig(b)
			cfg.Log = slog.New(slog.DiscardHandler)
			n := open(b, cfg)
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					op := &tree.Op{Action: tree.Set, Key: fmt.Sprintf("/bench/%d", w), Value: "a value of some thirty characters"}
					for left.Add(-1) >= 0 {
						if _, err := n.Do(context.Background(), op); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkLinearizable(b *testing.B) {
	cfg := testConfig(b)
	cfg.Log = slog.New(slog.DiscardHandler)
	n := open(b, cfg)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Linearizable(context.Background()); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	cfg := testConfig(b)
	cfg.Log = slog.New(slog.DiscardHandler)
	for b.Loop() {
		n := open(b, cfg)
		closeNode(b, n)
	}
}
