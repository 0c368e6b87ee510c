// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// clusterNotes say what the rows are.
var clusterNotes = []string{
	"CPU and memory are those of the three nodes together.",
	"The floor of a server is that of put, three times: the leader sends what has come to the two others, writes it meanwhile, and answers when it is on its disk and on that of one of them.",
}

// runCluster measures three nodes of each program, of which only three work at a time.
func runCluster(ctx context.Context, b *bench, t *report.Table) error {
	path, err := build(ctx, b.dir, "confd/integration/bench/floor")
	if err != nil {
		return err
	}
	return b.pair(ctx, how{nodes: 3}, func(ours, peer *server) (err error) {
		if err := b.addIdle(ctx, t, ours, peer); err != nil {
			return err
		}
		floor, failed := smallFloor(path).start(ctx, filepath.Join(b.dir, "floor-cluster"), how{nodes: 3})
		defer func() { err = errors.Join(err, floor.stop()) }()
		if failed != nil {
			return failed
		}
		k := newKeyspace(b.pick(fewKeys, 500), valueSize)
		fill := func(ctx context.Context, s *server) (struct{}, error) { return struct{}{}, b.fill(ctx, k, s) }
		servers := []*server{ours, peer, floor}
		if _, err := byTurns(ctx, 1, servers, steady(t, fill)); err != nil {
			return err
		}
		puts, gets := b.clusterTrials(k)
		for _, trial := range puts {
			if err := b.tryFloor(ctx, t, servers, trial); err != nil {
				return err
			}
		}
		for _, trial := range gets {
			if err := b.try(ctx, t, ours, peer, trial); err != nil {
				return err
			}
		}
		if err := b.addVisibility(ctx, t, ours, peer); err != nil {
			return err
		}
		t.Notes = append(t.Notes, clusterNotes...)
		return b.addMemory(t, ours, peer)
	})
}

// clusterTrials returns what is measured of a cluster under load.
func (b *bench) clusterTrials(k *keyspace) (puts, gets []trial) {
	places := []struct {
		name string
		at   func(*server) *node
	}{{"the leader", func(s *server) *node { return s.leader }}, {"a follower", func(s *server) *node { return s.followers()[0] }}}
	for _, place := range places {
		for _, w := range (widths{{1, 1.2}, {64, 2.5}}) {
			puts = append(puts, trial{fmt.Sprintf("put at %s, %s", place.name, connections(w.conns)),
				report.AtLeast(w.goal), report.Goal{}, w.conns, place.at, k.puts(w.conns)})
		}
	}
	for _, place := range places {
		const conns = 64
		get := k.gets("?quorum=true")
		gets = append(gets, trial{fmt.Sprintf("quorum get at %s, %s", place.name, connections(conns)),
			report.AtLeast(5), report.Goal{}, conns, place.at, func() load.Job {
				job := get()
				job.Check = k.checkQuorumGet
				return job
			}})
	}
	return puts, gets
}

// checkQuorumGet checks a read of a key that puts have written: it has the key, and a
// value of this keyspace.
func (k *keyspace) checkQuorumGet(_, n int, r *load.Response) error {
	want := k.node([]byte(`{"action":"get","node":`), k.key(n), 0)
	number := len(want) - len(`","modifiedIndex":`) - k.size
	if r.Status != 200 {
		return load.Refused(r.Status)
	}
	if len(r.Body) < len(want) || !bytes.Equal(r.Body[:number], want[:number]) ||
		!bytes.Equal(r.Body[number+10:len(want)], want[number+10:]) {
		return fmt.Errorf("the answer is not like %.100q", want)
	}
	return nil
}

// addIdle adds what both use while nobody asks anything, at the same time.
func (b *bench) addIdle(ctx context.Context, t *report.Table, ours, peer *server) error {
	settle, length := 3*time.Second, 10*time.Second
	if b.quick {
		settle, length = 100*time.Millisecond, time.Second
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	nodes := append(append([]*node(nil), ours.nodes...), peer.nodes...)
	before := make([]time.Duration, len(nodes))
	for i, n := range nodes {
		var err error
		if before[i], err = n.CPU(); err != nil {
			return err
		}
	}
	if err := pause(ctx, length); err != nil {
		return err
	}
	var most [2]float64
	for i, n := range nodes {
		used, err := n.CPU()
		if err != nil {
			return err
		}
		of := &most[i/len(ours.nodes)]
		*of = max(*of, 100*(used-before[i]).Seconds()/length.Seconds())
	}
	t.Add(report.Row{What: fmt.Sprintf("idle for %v, CPU of the busiest node, %% of a core", length), Goal: report.Own(1, "≤ 1 %"),
		Ours: most[:1], Peer: most[1:]})
	return nil
}

// addVisibility adds how long it takes from the answer to a write at the leader until
// watches at both followers have it.
func (b *bench) addVisibility(ctx context.Context, t *report.Table, ours, peer *server) error {
	measure := func(ctx context.Context, s *server) (telling, error) {
		w, err := load.Watch(s.leader.client, true, watchRequest("one", true))
		if err != nil {
			return telling{}, err
		}
		defer w.Close()
		for _, n := range s.followers() {
			if err := w.Open(ctx, n.client, 1); err != nil {
				return telling{}, err
			}
		}
		return b.write(ctx, s, w, "one", 2, 1)
	}
	a, p, err := compare(ctx, b.rounds, ours, peer, steady(t, measure))
	if err != nil {
		return err
	}
	p50 := func(s telling) float64 { return milliseconds(s.After.Quantile(0.5)) }
	t.Add(report.Row{What: "put at the leader, from its answer to watches at both followers, p50 ms", Goal: report.Own(1, "≤ 1 ms"),
		Ours: values(a, p50), Peer: values(p, p50), OursLatency: quantiles(a, after), PeerLatency: quantiles(p, after)})
	return nil
}
