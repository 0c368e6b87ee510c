// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

const (
	fewWatches  = 10
	somePolls   = 2000
	manyWatches = 10_000

	// wakeRounds is how often the wake-up of one watch is measured, at least: what one of many
	// takes is to be that of one of few, and two or three rounds differ by a fifth.
	wakeRounds = 9
)

// A watched is a server with open watches, one of which sees /w/one and the others /w/all.
type watched struct {
	*server
	*load.Watches
	open int
	kib  float64 // memory for each watch
}

// runWatches measures what open watches take, and whether a write that wakes one of many
// takes longer than one that wakes one of few.
func runWatches(ctx context.Context, b *bench, t *report.Table) error {
	many, err := affordable(b.pick(manyWatches, 1000))
	if err != nil {
		return err
	}
	for _, stream := range []bool{false, true} {
		err := b.pair(ctx, how{}, func(ours, peer *server) error {
			return b.pair(ctx, how{}, func(oursFew, peerFew *server) error {
				var all []*watched
				for i, s := range []*server{oursFew, ours, peerFew, peer} {
					w, err := openWatches(ctx, s, stream, []int{fewWatches, many}[i%2])
					if err != nil {
						return err
					}
					defer w.Close()
					all = append(all, w)
				}
				return b.addWatches(ctx, t, stream, all)
			})
		})
		if err != nil {
			return err
		}
	}
	if err := b.addNextPolls(ctx, t, many); err != nil {
		return err
	}
	if many < b.pick(manyWatches, 1000) {
		t.Notes = append(t.Notes, fmt.Sprintf("Only %d watches, as this process may have no more open files: see ulimit -n.", many))
	}
	t.Notes = append(t.Notes, "One of many beside one of few is the ratio of the medians of each round, taken one after the other on two servers of the same program; up to 1.1 counts as 1.0, as two equal servers differ by that much.")
	return nil
}

// affordable returns how many watches, at most n, two servers can have open at the same
// time, as this process may have so many files. It allows itself more if it may.
func affordable(n int) (int, error) {
	const others = 200
	need := uint64(2*n + others)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, err
	}
	if files.Cur >= need {
		return n, nil
	}
	more := syscall.Rlimit{Cur: need, Max: max(files.Max, need)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more); err == nil {
		return n, nil
	}
	if files.Cur < 2*others {
		return 0, fmt.Errorf("%d open files are allowed, %d are needed; see ulimit -n", files.Cur, need)
	}
	return int(files.Cur-others) / 2, nil
}

// openWatches opens so many watches of a server.
func openWatches(ctx context.Context, s *server, stream bool, n int) (*watched, error) {
	name := "one"
	w, err := load.Watch(s.nodes[0].client, stream, func(buf []byte) []byte { return watchRequest(name, stream)(buf) })
	if err != nil {
		return nil, err
	}
	at := &watched{server: s, Watches: w, open: n}
	err = func() error {
		if err := w.Open(ctx, s.nodes[0].client, 1); err != nil {
			return err
		}
		before, _, err := s.memory()
		if err != nil {
			return err
		}
		name = "all"
		if err := w.Open(ctx, s.nodes[0].client, n-1); err != nil {
			return err
		}
		name = "one" // the only one that is asked for anew
		after, _, err := s.memory()
		at.kib = (after - before) * 1e6 / 1024 / float64(n-1)
		return err
	}()
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("%s: %w", s.name, errors.Join(err, s.nodes[0].Failed()))
	}
	return at, nil
}

// addWatches adds the rows of one kind of watch: of ours with few and with many, and of
// the peer.
func (b *bench) addWatches(ctx context.Context, t *report.Table, stream bool, all []*watched) error {
	kind, memory := "long poll", report.AtMost(0.5, "≤ 1/2")
	if stream {
		kind, memory = "stream", report.Goal{}
	}
	t.Add(report.Row{What: "resident for each " + kind + ", KiB", Goal: memory, Ours: []float64{all[1].kib}, Peer: []float64{all[3].kib}})
	seen, err := byTurns(ctx, b.pick(max(b.rounds, wakeRounds), b.rounds), all, func(ctx context.Context, w *watched) (telling, error) {
		return b.write(ctx, w.server, w.Watches, "one", 1, 1)
	})
	if err != nil {
		return err
	}
	var p50 [4][]float64
	for i := range p50 {
		p50[i] = values(seen[i], func(m telling) float64 { return milliseconds(m.Woken.Quantile(0.5)) })
	}
	for i := range 2 {
		t.Add(report.Row{What: fmt.Sprintf("put that wakes one %s of %d, p50 ms", kind, all[i].open), Ours: p50[i], Peer: p50[i+2],
			OursLatency: quantiles(seen[i], woken), PeerLatency: quantiles(seen[i+2], woken)})
	}
	t.Add(report.Row{What: "one of that many beside one of few", Goal: report.Own(1.1, "≤ 1.0×"),
		Ours: quotients(p50[1], p50[0]), Peer: quotients(p50[3], p50[2])})
	return nil
}

// addNextPolls adds what an event at a long poll takes of the server, together with the poll
// that its client asks for next. Each write wakes all polls.
func (b *bench) addNextPolls(ctx context.Context, t *report.Table, many int) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		for _, polls := range []int{b.pick(somePolls, 100), many} {
			a, c, err := compare(ctx, b.rounds, ours, peer, b.tellAll(false, polls, 1))
			if err != nil {
				return err
			}
			t.Add(report.Row{What: fmt.Sprintf("an event and the next poll, of %d long polls, server CPU µs", polls), Goal: report.AtMost(1, "≤ 1×"),
				Ours: values(a, perEvent), Peer: values(c, perEvent)})
		}
		return nil
	})
}
