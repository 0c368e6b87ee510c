// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"confd/integration/bench/report"
)

// snapshotsTaken is how many snapshots a confd has finished since its start.
const snapshotsTaken = "confd_snapshot_duration_seconds_count"

const (
	neverSnapshot = "-snapshot-count=1000000000"
	oftenConfd    = "-snapshot-count=16"
	oftenEtcd     = "-snapshot-count=20000" // it would begin the next while it still writes the last
)

// snapshotRounds is how often ours is measured. One write in a thousand is a matter of two or
// three syncs in a round, so that of few rounds the disk decides. The peer, which takes a
// quarter of a minute to start again, has two.
const snapshotRounds = 8

// addSnapshots adds how long writes take while snapshots are taken one after the other,
// beside the same server when it takes none.
func (r *sizeRun) addSnapshots(ctx context.Context) error {
	all := append(r.both(), r.both()...)
	all[1], all[2] = all[2], all[1]
	for i, flag := range []string{neverSnapshot, oftenConfd, neverSnapshot, oftenEtcd} {
		all[i].flag = flag
	}
	length, taken := 5*r.round, map[string]float64{}
	measure := func(ctx context.Context, s sized) (outcome, error) { return r.whileSnapshots(ctx, s, length, taken) }
	few := min(r.rounds, 2)
	found, err := sizes(ctx, r, few, all, measure)
	if err != nil {
		return err
	}
	further, err := sizes(ctx, r, r.pick(snapshotRounds, few)-few, all[:2], measure)
	if err != nil {
		return err
	}
	for i, outcomes := range further {
		found[i] = append(found[i], outcomes...)
	}
	var p999 [4][]float64
	for i := range p999 {
		p999[i] = values(found[i], func(o outcome) float64 { return milliseconds(o.Latency.Quantile(0.999)) })
	}
	for i, what := range []string{"put without snapshots, p99.9 ms", "put while snapshots are taken, p99.9 ms"} {
		r.t.Add(report.Row{What: what, Ours: p999[i], Peer: p999[i+2], OursLatency: latency(found[i]), PeerLatency: latency(found[i+2])})
	}
	r.t.Add(report.Row{What: "p99.9 with snapshots beside without", Goal: report.Own(2, "≤ 2×"),
		Ours: quotients(p999[1], p999[0]), Peer: quotients(p999[3], p999[2])})
	r.t.Notes = append(r.t.Notes, fmt.Sprintf("Snapshots: in %d measurements of %v and just before them confd took %.0f with %s, and %.0f with %s; etcd has %s.",
		len(found[0]), length, taken[oftenConfd], oftenConfd, taken[neverSnapshot], neverSnapshot, oftenEtcd))
	return nil
}

// whileSnapshots measures writes to a server that is started again with its flag, and adds to
// taken, of that flag, how many snapshots ours has finished.
func (r *sizeRun) whileSnapshots(ctx context.Context, s sized, length time.Duration, taken map[string]float64) (outcome, error) {
	if err := s.restartWith(ctx, s.flag); err != nil {
		return outcome{}, err
	}
	if s.flag == oftenConfd {
		if err := s.nodes[0].awaitSnapshot(ctx); err != nil {
			return outcome{}, err
		}
	}
	job := s.k.puts(sizeConns)()
	job.For = length
	o, err := r.load(ctx, s.server, s.nodes[0], sizeConns, job)
	if err != nil || s.peer {
		return o, err
	}
	n, err := s.nodes[0].sample(ctx, snapshotsTaken)
	taken[s.flag] += n
	return o, err
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

// awaitSnapshot writes until a confd has finished its first snapshot since its start. Without
// a write none may be due: the last one can be of the end of the measurement before.
func (n *node) awaitSnapshot(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("confd takes no snapshot within %v", startTimeout))
	defer cancel()
	for {
		taken, err := n.sample(ctx, snapshotsTaken)
		if err != nil || taken > 0 {
			return err
		}
		if err := n.put(ctx, "/bench-snapshot", "x"); err != nil {
			return errors.Join(context.Cause(ctx), err)
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
