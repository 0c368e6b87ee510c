// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// BenchmarkDo measures writes of 256 bytes to 10,000 keys: of one node, and of three in this
// process, at their leader and at a follower. CPU is that of the process, so of all nodes.
func BenchmarkDo(b *testing.B) {
	for _, at := range []string{"alone", "leader", "follower"} {
		for _, writers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/writers=%d", at, writers), func(b *testing.B) {
				n := benchNode(b, at)
				benchDo(b, n, writers, 256)
			})
		}
	}
}

// BenchmarkDoLarge measures writes of large values at one node.
func BenchmarkDoLarge(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%d/writers=%d", size, writers), func(b *testing.B) {
				n := benchNode(b, "alone")
				b.SetBytes(int64(size))
				benchDo(b, n, writers, size)
			})
		}
	}
}

// BenchmarkDoSlowDisk measures writes to a log that takes 5 ms longer for each, alone and at
// the leader of three.
func BenchmarkDoSlowDisk(b *testing.B) {
	slow := func(cfg *Config) {
		cfg.Hooks.LogStore = func(s raft.LogStore) raft.LogStore { return slowLog{s} }
	}
	for _, at := range []string{"alone", "leader"} {
		for _, writers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/writers=%d", at, writers), func(b *testing.B) {
				benchDo(b, benchNode(b, at, slow), writers, 256)
			})
		}
	}
}

// slowLog is a log on a slow disk.
type slowLog struct{ raft.LogStore }

func (slowLog) IsMonotonic() bool { return true }

func (l slowLog) StoreLogs(es []*raft.Log) error {
	time.Sleep(5 * time.Millisecond)
	return l.LogStore.StoreLogs(es)
}

// benchNode opens a node alone, or three and returns the one that leads or one that follows.
func benchNode(b *testing.B, at string, change ...func(*Config)) *Node {
	quiet := func(cfg *Config) {
		cfg.Log = slog.New(slog.DiscardHandler)
		for _, f := range change {
			f(cfg)
		}
	}
	if at == "alone" {
		cfg := testConfig(b)
		quiet(&cfg)
		return open(b, cfg)
	}
	nodes := openThree(b, quiet)
	leader := leaderOf(b, nodes)
	for _, n := range nodes {
		if (n == leader) == (at == "leader") {
			return n
		}
	}
	b.Fatal("no such node")
	return nil
}

// benchDo writes b.N times, as many at once as there are writers.
func benchDo(b *testing.B, n *Node, writers, size int) {
	const keys = 10_000
	value := strings.Repeat("v", size)
	b.ReportAllocs()
	var next atomic.Int64
	cpu := cpuTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				op := &tree.Op{Action: tree.Set, Key: fmt.Sprintf("/bench/%d", i*7919%keys), Value: value}
				if _, err := n.Do(b.Context(), op); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/op")
}

// cpuTime returns the CPU time that this process has taken.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
