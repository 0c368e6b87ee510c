// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

const (
	sizeConns = 16  // connections that write while a server is measured
	loadConns = 256 // and while it is filled

	// loadParts is in how many parts keys are loaded, by turns.
	loadParts = 20

	// bearable is how long the loading of etcd may take, or it is left out of the rest.
	bearable = 150 * time.Second
)

// A sizeRun measures servers with many keys. The peer is left out once it has failed, as
// etcd does when it has no answer within 7 s while it copies all keys.
type sizeRun struct {
	*bench
	t          *report.Table
	many, few  *keyspace
	ours, peer *server // the peer is nil when it is left out
}

func runSize(ctx context.Context, b *bench, t *report.Table) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		r := &sizeRun{b, t, newKeyspace(b.pick(1_000_000, 5000), valueSize), newKeyspace(b.pick(fewKeys, 500), valueSize), ours, peer}
		for _, step := range []func(context.Context) error{r.addLoading, r.addAmong, r.addRestart, r.addSnapshots} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// A sized is a server that holds a keyspace.
type sized struct {
	*server
	k    *keyspace
	peer bool   // it is left out with the peer
	flag string // to start it again with
}

// leaveOut ends the peer and says why.
func (r *sizeRun) leaveOut(why error) {
	r.t.Notes = append(r.t.Notes, fmt.Sprintf("%s was left out from then on: %v.", r.peer.name, why))
	n := r.peer.nodes[0]
	n.Kill()
	n.Process, r.peer = nil, nil
}

// sizes measures servers by turns. A peer that fails is left out from then on; for its
// servers the rounds before that are returned.
func sizes[M any](ctx context.Context, r *sizeRun, rounds int, all []sized, measure func(context.Context, sized) (M, error)) ([][]M, error) {
	places := make([]int, len(all))
	for i := range places {
		places[i] = i
	}
	measured := make([]int, len(all))
	found, err := byTurns(ctx, rounds, places, func(ctx context.Context, i int) (m M, err error) {
		if all[i].peer && r.peer == nil {
			return m, nil
		}
		m, err = measure(ctx, all[i])
		switch {
		case err == nil:
			measured[i]++
		case all[i].peer && ctx.Err() == nil:
			r.leaveOut(err)
			return m, nil
		}
		return m, err
	})
	if err != nil {
		return nil, err
	}
	for i, n := range measured {
		found[i] = found[i][:n]
	}
	return found, nil
}

// both returns ours and the peer.
func (r *sizeRun) both() []sized {
	return []sized{{server: r.ours, k: r.many}, {server: r.peer, k: r.many, peer: true}}
}

// addLoading fills both by turns, a part of the keys at a time.
func (r *sizeRun) addLoading(ctx context.Context) error {
	part := r.many.keys / loadParts
	done := map[*server]int{}
	took := map[*server]time.Duration{}
	found, err := sizes(ctx, r, loadParts, r.both(), func(ctx context.Context, s sized) (outcome, error) {
		if s.peer && took[s.server] > bearable {
			return outcome{}, fmt.Errorf("loading %d keys took %v", done[s.server], took[s.server].Round(time.Second))
		}
		first := done[s.server]
		check := s.k.checkPut(loadConns, func(n int) int { return n })
		o, err := r.load(ctx, s.server, s.nodes[0], loadConns, load.Job{Total: part,
			Request: func(buf []byte, n int) []byte { return s.k.fill(buf, first+n) },
			Check:   func(conn, n int, a *load.Response) error { return check(conn, first+n, a) }})
		done[s.server] += part
		took[s.server] += o.Took
		return o, err
	})
	if err != nil {
		return err
	}
	r.t.Add(throughput(fmt.Sprintf("loading %d keys, %s", r.many.keys, connections(loadConns)), report.Goal{}, report.Goal{}, found[0], found[1])...)
	row := report.Row{What: "loading them, s", Ours: []float64{took[r.ours].Seconds()}}
	if r.peer != nil {
		row.Peer = []float64{took[r.peer].Seconds()}
	}
	r.t.Add(row)
	return r.addMemory(r.t, r.ours, r.peer)
}

// addAmong adds what a write takes among few keys and among many. Those with few keys
// are servers of their own, so that all are measured in the same rounds.
func (r *sizeRun) addAmong(ctx context.Context) error {
	return r.pair(ctx, how{}, func(oursFew, peerFew *server) error {
		if err := r.fill(ctx, r.few, oursFew, peerFew); err != nil {
			return err
		}
		all := []sized{{server: oursFew, k: r.few}, {server: r.ours, k: r.many},
			{server: peerFew, k: r.few, peer: true}, {server: r.peer, k: r.many, peer: true}}
		found, err := sizes(ctx, r, r.rounds, all, func(ctx context.Context, s sized) (outcome, error) {
			return r.load(ctx, s.server, s.nodes[0], sizeConns, s.k.puts(sizeConns)())
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
			r.t.Add(throughput(what, report.Goal{}, report.Goal{}, found[i], found[i+2])...)
		}
		steps := math.Log(float64(r.many.keys)) / math.Log(float64(r.few.keys))
		r.t.Add(report.Row{What: "p50 of a put among many keys beside among few", Goal: report.Own(steps, fmt.Sprintf("≤ %.2g, as log n", steps)),
			Ours: quotients(p50[1], p50[0]), Peer: quotients(p50[3], p50[2])})
		return nil
	})
}

// addRestart adds how long it takes from starting a program that was killed to its
// answer to a write.
func (r *sizeRun) addRestart(ctx context.Context) error {
	found, err := sizes(ctx, r, r.pick(min(r.rounds, 3), 1), r.both(), func(ctx context.Context, s sized) (time.Duration, error) {
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
	r.t.Add(report.Row{What: "from a start after kill -9 to the first write that is answered, s", Goal: report.Own(5, "< 5 s"),
		Ours: values(found[0], time.Duration.Seconds), Peer: values(found[1], time.Duration.Seconds)})
	return nil
}
