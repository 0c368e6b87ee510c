// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// sizeConns is how many connections write while a server is measured, loadConns while
// it is filled.
const (
	sizeConns = 16
	loadConns = 256
)

// runSize fills a server of each program, and keeps a second one with few keys beside it.
func runSize(ctx context.Context, b *bench, t *report.Table) error {
	many, few := newKeyspace(b.pick(1_000_000, 5000), valueSize), newKeyspace(b.pick(fewKeys, 500), valueSize)
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		if err := b.loadAll(ctx, t, many, ours, peer); err != nil {
			return err
		}
		if err := b.addMemory(t, ours, peer); err != nil {
			return err
		}
		err := b.pair(ctx, how{}, func(oursFew, peerFew *server) error {
			if err := b.fill(ctx, few, oursFew, peerFew); err != nil {
				return err
			}
			return b.addAmong(ctx, t, []sized{{oursFew, few}, {ours, many}, {peerFew, few}, {peer, many}})
		})
		if err != nil {
			return err
		}
		if err := b.addRestart(ctx, t, ours, peer); err != nil {
			return err
		}
		return b.addSnapshots(ctx, t, many, ours, peer)
	})
}

// A sized is a server that holds a keyspace.
type sized struct {
	*server
	k *keyspace
}

// loadAll fills both by turns, a part of the keys at a time.
func (b *bench) loadAll(ctx context.Context, t *report.Table, k *keyspace, ours, peer *server) error {
	const parts = 20
	done := map[*server]int{}
	a, p, err := compare(ctx, parts, ours, peer, func(ctx context.Context, s *server) (outcome, error) {
		first := done[s]
		done[s] += k.keys / parts
		check := k.checkPut(loadConns, func(n int) int { return n })
		return b.load(ctx, s, s.nodes[0], loadConns, load.Job{Total: k.keys / parts,
			Request: func(buf []byte, n int) []byte { return k.fill(buf, first+n) },
			Check:   func(conn, n int, r *load.Response) error { return check(conn, first+n, r) }})
	})
	if err != nil {
		return err
	}
	t.Add(throughput(fmt.Sprintf("loading %d keys, %s", k.keys, connections(loadConns)), report.Goal{}, report.Goal{}, a, p)...)
	took := func(all []outcome) []float64 {
		sum := 0.0
		for _, o := range all {
			sum += o.Took.Seconds()
		}
		return []float64{sum}
	}
	t.Add(report.Row{What: "loading them, s", Ours: took(a), Peer: took(p)})
	return nil
}

// addAmong adds what a write takes among few keys and among many: of ours, then of the
// peer.
func (b *bench) addAmong(ctx context.Context, t *report.Table, all []sized) error {
	found, err := byTurns(ctx, b.rounds, all, func(ctx context.Context, s sized) (outcome, error) {
		return b.load(ctx, s.server, s.nodes[0], sizeConns, s.k.puts(sizeConns)())
	})
	if err != nil {
		return err
	}
	var p50 [4][]float64
	for i := range p50 {
		p50[i] = values(found[i], func(o outcome) float64 { return milliseconds(o.Latency.Quantile(0.5)) })
	}
	for i := range 2 {
		what := fmt.Sprintf("put among %d keys, %s", all[i].k.keys, connections(sizeConns))
		t.Add(throughput(what, report.Goal{}, report.Goal{}, found[i], found[i+2])...)
	}
	t.Add(report.Row{What: "p50 of a put among many keys beside among few", Ours: quotients(p50[1], p50[0]), Peer: quotients(p50[3], p50[2])})
	return nil
}

// addRestart adds how long it takes from starting a program that was killed to its
// answer to a write.
func (b *bench) addRestart(ctx context.Context, t *report.Table, ours, peer *server) error {
	a, p, err := compare(ctx, b.pick(min(b.rounds, 3), 1), ours, peer, func(ctx context.Context, s *server) (time.Duration, error) {
		n := s.nodes[0]
		n.Kill()
		start := time.Now()
		if err := n.launch(); err != nil {
			return 0, err
		}
		err := n.await(ctx)
		return time.Since(start), err
	})
	if err != nil {
		return err
	}
	t.Add(report.Row{What: "from a start after kill -9 to the first write that is answered, s", Goal: report.Own(5, "< 5 s"),
		Ours: values(a, time.Duration.Seconds), Peer: values(p, time.Duration.Seconds)})
	return nil
}
