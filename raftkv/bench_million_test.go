// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"confd/raftkv/tree"
)

// millionValue is a value of 256 bytes.
var millionValue = strings.Repeat("0123456789abcdef", 16)

func millionKey(i int) string { return fmt.Sprintf("/service/app-%05d/host-%d", i/10, i%10) }

// fill writes the keys from 0 to count.
func fill(b *testing.B, n *Node, count int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return
				}
				op := &tree.Op{Action: tree.Set, Key: millionKey(i), Value: millionValue}
				if _, err := n.Do(context.Background(), op); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkMillion has 1,000,000 keys of 256 bytes: the memory they take, writes while no
// snapshot is taken and while one is, and the time from a restart to the first write that
// is answered. Once is enough:
//
//	go test ./raftkv -run '^$' -bench Million -benchtime 1x
func BenchmarkMillion(b *testing.B) {
	const count = 1_000_000
	cfg := testConfig(b)
	cfg.Log = slog.New(slog.DiscardHandler)
	n := open(b, cfg)
	before := heap()
	fill(b, n, count)
	perKey := float64(heap()-before) / count
	for b.Loop() {
		calm := stalls(n, count, func() { time.Sleep(3 * time.Second) })
		var took time.Duration
		busy := stalls(n, count, func() {
			start := time.Now()
			if err := n.snapshot(); err != nil {
				b.Error(err)
			}
			took = time.Since(start)
		})
		report(b, "calm", calm)
		report(b, "snapshot", busy)
		b.ReportMetric(took.Seconds(), "snapshot-s")

		fill(b, n, 20_000) // what follows the snapshot in the log
		closeNode(b, n)
		n = nil
		heap() // what this process alone has twice
		start := time.Now()
		n = open(b, cfg)
		if _, err := n.Do(context.Background(), &tree.Op{Action: tree.Set, Key: "/first", Value: "x"}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "restart-s")
		b.ReportMetric(perKey, "B/key")
	}
}

// stalls writes by eight clients until f returns, and returns how long each write took.
func stalls(n *Node, count int, f func()) []time.Duration {
	var stop atomic.Bool
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			var times []time.Duration
			for i := c; !stop.Load(); i += 7919 {
				start := time.Now()
				op := &tree.Op{Action: tree.Set, Key: millionKey(i % count), Value: millionValue}
				if _, err := n.Do(context.Background(), op); err != nil {
					break
				}
				times = append(times, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
		})
	}
	f()
	stop.Store(true)
	wg.Wait()
	slices.Sort(all)
	return all
}

func report(b *testing.B, name string, sorted []time.Duration) {
	at := func(q float64) float64 { return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), name+"-p50-µs")
	b.ReportMetric(at(0.99), name+"-p99-µs")
	b.ReportMetric(at(0.999), name+"-p99.9-µs")
	b.ReportMetric(float64(len(sorted)), name+"-writes")
}
