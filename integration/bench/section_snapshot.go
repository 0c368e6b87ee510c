// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"confd/integration/bench/report"
)

// snapshotsTaken is how many snapshots a confd has finished since its start.
const snapshotsTaken = "confd_snapshot_duration_seconds_count"

// addSnapshots adds how long writes take while snapshots are taken one after the other,
// beside a server that takes none. To etcd a snapshot is due after 20,000 writes, as it
// would begin the next one while it still writes the last.
func (b *bench) addSnapshots(ctx context.Context, t *report.Table, k *keyspace, ours, peer *server) error {
	const never = "1000000000"
	oursAlways, peerAlways := "-snapshot-count=16", "--snapshot-count=20000"
	type state struct {
		*server
		extra string
	}
	all := []state{{ours, "-snapshot-count=" + never}, {ours, oursAlways}, {peer, "--snapshot-count=" + never}, {peer, peerAlways}}
	taken := map[string]float64{}
	found, err := byTurns(ctx, b.pick(min(b.rounds, 2), 1), all, func(ctx context.Context, s state) (outcome, error) {
		if err := s.restartWith(ctx, s.extra); err != nil {
			return outcome{}, err
		}
		if s.extra == oursAlways {
			if err := s.nodes[0].awaitSnapshot(ctx); err != nil {
				return outcome{}, err
			}
		}
		job := k.puts(sizeConns)()
		job.For = 5 * b.round
		o, err := b.load(ctx, s.server, s.nodes[0], sizeConns, job)
		if err == nil && s.server == ours {
			var n float64
			n, err = ours.nodes[0].sample(ctx, snapshotsTaken)
			taken[s.extra] += n
		}
		return o, err
	})
	if err != nil {
		return err
	}
	p999 := func(o outcome) float64 { return milliseconds(o.Latency.Quantile(0.999)) }
	var v [4][]float64
	for i := range v {
		v[i] = values(found[i], p999)
	}
	t.Add(report.Row{What: "put without snapshots, p99.9 ms", Ours: v[0], Peer: v[2], OursLatency: latency(found[0]), PeerLatency: latency(found[2])},
		report.Row{What: "put while snapshots are taken, p99.9 ms", Ours: v[1], Peer: v[3], OursLatency: latency(found[1]), PeerLatency: latency(found[3])},
		report.Row{What: "p99.9 with snapshots beside without", Goal: report.Own(2, "≤ 2×"), Ours: quotients(v[1], v[0]), Peer: quotients(v[3], v[2])})
	t.Notes = append(t.Notes, fmt.Sprintf("In %d measurements of %v, and before them, confd took %.0f snapshots with %s, and %.0f without; etcd has %s.",
		len(v[1]), 5*b.round, taken[oursAlways], oursAlways, taken[all[0].extra], peerAlways))
	return nil
}

// restartWith starts a server of one node again, with a flag.
func (s *server) restartWith(ctx context.Context, flag string) error {
	n := s.nodes[0]
	if err := n.Stop(); err != nil {
		return err
	}
	n.extra = []string{flag}
	if err := n.launch(); err != nil {
		return err
	}
	if err := n.await(ctx); err != nil {
		return err
	}
	return nil
}

// awaitSnapshot waits for the first snapshot of a confd since its start.
func (n *node) awaitSnapshot(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("confd takes no snapshot within %v", startTimeout))
	defer cancel()
	for {
		taken, err := n.sample(ctx, snapshotsTaken)
		if err != nil || taken > 0 {
			return err
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}

// sample returns a sample of the node's metrics.
func (n *node) sample(ctx context.Context, name string) (float64, error) {
	body, err := n.ask(ctx, "GET", "/metrics", "")
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no sample %s", name)
}
