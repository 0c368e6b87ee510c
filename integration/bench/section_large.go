// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"confd/integration/bench/report"
)

// largeNotes say what the rows are.
var largeNotes = []string{
	"The answer to a put has the new value and the one before. Etcd keeps what was written in memory until its next snapshot, after 100,000 writes.",
	"Of the two floors, in place of confd, the disk's is a loop that writes 16 values to a file of full size, and syncs it. The server's is a program that reads the same requests, writes the values that have come to one such file with one sync, and answers the same, with no log, no checksum and no copy: its ratio is about the most that a server could reach beside etcd with this client on this machine.",
}

// A large is a size of values, and how many writes of that size there are until memory is
// looked at.
type large struct {
	what                string
	bytes, keys         int
	writes, writtenKeys int
}

// runLarge writes large values, with new servers for each size.
func runLarge(ctx context.Context, b *bench, t *report.Table) error {
	floor, err := build(ctx, b.dir, "confd/integration/bench/floor")
	if err != nil {
		return err
	}
	t.Notes = append(t.Notes, largeNotes...)
	for _, l := range []large{
		{"64 KiB", 64 << 10, 128, b.pick(30_000, 300), b.pick(1000, 100)},
		{"1 MiB", 1 << 20, 16, b.pick(1000, 32), b.pick(100, 16)},
	} {
		if err := b.largeSpeed(ctx, t, l, floor); err != nil {
			return err
		}
		if err := b.largeMemory(ctx, t, l); err != nil {
			return err
		}
	}
	return nil
}

const largeConns = 16

// largeSpeed adds rows of how fast values of a size are written, and of the floors, which
// are measured by turns with both. floor is the path of a program.
func (b *bench) largeSpeed(ctx context.Context, t *report.Table, l large, floor string) error {
	return b.pair(ctx, how{}, func(ours, peer *server) (err error) {
		dir := filepath.Join(b.dir, "floor-"+fmt.Sprint(l.bytes))
		least, failed := valueFloor(floor).start(ctx, dir, how{})
		defer func() { err = errors.Join(err, least.stop()) }()
		if failed != nil {
			return failed
		}
		k := newKeyspace(l.keys, l.bytes)
		put := func(s *server) func(context.Context) (outcome, error) {
			return func(ctx context.Context) (outcome, error) {
				return b.load(ctx, s, s.nodes[0], largeConns, k.puts(largeConns)())
			}
		}
		disk := func(ctx context.Context) (outcome, error) { return b.diskFloor(ctx, k.value(nil, 0)) }
		all := []func(context.Context) (outcome, error){put(ours), put(peer), put(least), disk}
		found, err := byTurns(ctx, b.rounds, all, func(ctx context.Context, measure func(context.Context) (outcome, error)) (outcome, error) {
			return measure(ctx)
		})
		if err == nil {
			addLarge(t, l, found)
		}
		return err
	})
}

// addLarge adds the rows of what was found of ours, the peer, a server that does nothing
// else, and the disk.
func addLarge(t *report.Table, l large, found [][]outcome) {
	what := fmt.Sprintf("put of %s, %s", l.what, connections(largeConns))
	t.Add(throughput(what, report.AtLeast(2), report.Goal{}, found[0], found[1])...)
	ours, peer := rate(found[0]), rate(found[1])
	for i, name := range []string{"floor of a server", "floor of the disk"} {
		floor := rate(found[2+i])
		row := report.Row{What: fmt.Sprintf("%s, %s, values/s", name, l.what), Ours: floor, Peer: peer}
		if i == 0 {
			row.OursLatency = latency(found[2])
		}
		t.Add(row, report.Row{What: fmt.Sprintf("what confd has of the %s, %%", name), Ours: shares(ours, floor)})
	}
}

// largeMemory adds a row of what both had resident at most during the same number of
// writes: after the same time the faster one would have done more of them.
func (b *bench) largeMemory(ctx context.Context, t *report.Table, l large) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		k := newKeyspace(l.writtenKeys, l.bytes)
		var peaks [2]float64
		for i, s := range []*server{ours, peer} {
			job := k.puts(largeConns)()
			job.Total = l.writes
			if _, err := b.load(ctx, s, s.nodes[0], largeConns, job); err != nil {
				return err
			}
			var err error
			if _, peaks[i], err = s.memory(); err != nil {
				return err
			}
		}
		what := fmt.Sprintf("memory at most, MB, %d writes of %s to %d keys", l.writes, l.what, l.writtenKeys)
		t.Add(report.Row{What: what, Goal: report.AtMost(0.1, "≤ 1/10"), Ours: peaks[:1], Peer: peaks[1:]})
		return nil
	})
}

// floorBytes is the size of the file of a floor.
const floorBytes = 2 << 30

// valueFloor is the floor of a server of large values.
func valueFloor(path string) *program {
	return &program{name: "floor", path: path, args: func(n *node) []string {
		return []string{"-addr", n.client, "-file", filepath.Join(n.dir, "values"), "-size", fmt.Sprint(floorBytes)}
	}}
}

// diskFloor writes values and syncs, 16 at a time, for the length of a round or until the
// file is full.
func (b *bench) diskFloor(ctx context.Context, value []byte) (_ outcome, err error) {
	f, err := os.CreateTemp(b.dir, "floor-")
	if err != nil {
		return outcome{}, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, floorBytes); err != nil {
		return outcome{}, fmt.Errorf("making a file of full size: %w", err)
	}
	batch := bytes.Repeat(value, largeConns)
	var o outcome
	for start := time.Now(); o.Took < b.round && (o.Ops+largeConns)*len(value) <= floorBytes; o.Took = time.Since(start) {
		if err := ctx.Err(); err != nil {
			return o, err
		}
		if _, err := f.Write(batch); err != nil {
			return o, err
		}
		if err := f.Sync(); err != nil {
			return o, err
		}
		o.Ops += largeConns
	}
	return o, nil
}
