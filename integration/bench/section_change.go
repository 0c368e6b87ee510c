// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// half is the goal of being at least twice as good as the peer.
func half() report.Goal { return report.AtMost(0.5, "≤ 1/2") }

// A changed is what one round of changes has measured, from the acknowledgement of each
// write on.
type changed struct {
	file, reload          load.Histogram // until the file is in place, until the reload runs
	floorFile, floorWhole load.Histogram // with the disk alone: until the file is in place, and synced with its folder
}

// runChange measures one template of one key that has a reload command.
func runChange(ctx context.Context, b *bench, t *report.Table) (err error) {
	t.Peer, t.Notes = b.peer.name(), []string{peerNote}
	var sites []*changeSite
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.close())
		}
	}()
	for _, r := range append(b.ours(), b.others()...) {
		s, err := b.newChangeSite(ctx, r)
		sites = append(sites, s)
		if err != nil {
			return err
		}
	}
	rounds := make([][]changed, len(sites))
	for range b.rounds {
		round, err := changes(ctx, sites, b.pick(400, 5))
		if err != nil {
			return err
		}
		for i, c := range round {
			rounds[i] = append(rounds[i], c)
		}
	}
	peer := slices.Concat(rounds[len(b.ours()):]...)
	for i, r := range b.ours() {
		addChanges(t, r, rounds[i], peer)
	}
	addFloors(t, rounds[0], peer)
	return nil
}

// changes makes n changes at each site, one by one by turns: the slowest of them are the
// disk's, which has better and worse moments.
func changes(ctx context.Context, sites []*changeSite, n int) ([]changed, error) {
	all := make([]changed, len(sites))
	for range n {
		for i, s := range sites {
			if err := s.change(ctx, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// addFloors adds what the disk alone takes, beside what the peer takes for a change: less than
// that nobody can.
func addFloors(t *report.Table, ours, peer []changed) {
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		t.Add(report.Row{What: "the disk alone: write, fsync, rename, " + q.name + " ms; beside it the peer until the file is in place",
			Ours: values(ours, func(c changed) float64 { return ms(c.floorFile.Quantile(q.of)) }),
			Peer: values(peer, func(c changed) float64 { return ms(c.file.Quantile(q.of)) })},
			report.Row{What: "and fsync of the folder, " + q.name + " ms; beside it the peer until the reload command runs",
				Ours: values(ours, func(c changed) float64 { return ms(c.floorWhole.Quantile(q.of)) }),
				Peer: values(peer, func(c changed) float64 { return ms(c.reload.Quantile(q.of)) })})
	}
}

// addChanges adds the rows of one renderer.
func addChanges(t *report.Table, r renderer, ours, peer []changed) {
	add := func(what string, goal report.Goal, of func(c changed) float64) {
		t.Add(report.Row{What: r.name + ": " + what, Goal: goal, Ours: values(ours, of), Peer: values(peer, of)})
	}
	beyond := report.Goal{}
	if r.source == embedded {
		beyond = report.Own(1, "≤ 1 ms")
	}
	add("until the file is in place, p50 ms", report.Goal{}, func(c changed) float64 { return ms(c.file.Quantile(0.5)) })
	add("the same, p99 ms", half(), func(c changed) float64 { return ms(c.file.Quantile(0.99)) })
	add("the same beyond the disk alone, p50 ms", beyond, func(c changed) float64 { return ms(c.file.Quantile(0.5) - c.floorWhole.Quantile(0.5)) })
	add("until the reload command runs, p50 ms", report.Goal{}, func(c changed) float64 { return ms(c.reload.Quantile(0.5)) })
	add("the same, p99 ms", half(), func(c changed) float64 { return ms(c.reload.Quantile(0.99)) })
	add("the same beyond the disk alone, p50 ms", beyond, func(c changed) float64 { return ms(c.reload.Quantile(0.5) - c.floorWhole.Quantile(0.5)) })
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// A changeSite renders one key, and tells by a pipe when its reload command runs.
type changeSite struct {
	*site
	pipe    *os.File
	reloads *bufio.Reader
	value   int
}

func (b *bench) newChangeSite(ctx context.Context, r renderer) (*changeSite, error) {
	base, err := b.newSite(r)
	s := &changeSite{site: base}
	if err != nil {
		return s, err
	}
	path := filepath.Join(s.dir, "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return s, err
	}
	if s.pipe, err = os.OpenFile(path, os.O_RDWR, 0); err != nil { // for writing too, so that it never ends
		return s, err
	}
	s.reloads = bufio.NewReader(s.pipe)
	err = s.describe([]shown{{name: "k", keys: "/k", reload: "echo >pipe", ours: `{{getv "/k" "none"}}`, peers: `{{keyOrDefault "k" "none"}}`}})
	if err != nil {
		return s, err
	}
	if err := errors.Join(s.startStore(ctx), s.put(ctx, "/k", "0"), s.start(false)); err != nil {
		return s, err
	}
	return s, s.awaitReload()
}

func (s *changeSite) close() error {
	err := s.site.close()
	if s.pipe != nil {
		err = errors.Join(err, s.pipe.Close())
	}
	return err
}

// awaitReload returns when the reload command has begun.
func (s *changeSite) awaitReload() error {
	if err := s.pipe.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	_, err := s.reloads.ReadString('\n')
	return errors.Join(err, s.process.Failed())
}

// change writes the key once.
func (s *changeSite) change(ctx context.Context, c *changed) error {
	s.placed.forget()
	s.value++
	if err := s.put(ctx, "/k", strconv.Itoa(s.value)); err != nil {
		return err
	}
	acked := time.Now()
	at, err := s.placed.await(ctx, "k")
	if err != nil {
		return err
	}
	c.file.Record(at.Sub(acked))
	if err := s.awaitReload(); err != nil {
		return err
	}
	c.reload.Record(time.Since(acked))
	file, whole, err := diskAlone(s.dir, s.value)
	c.floorFile.Record(file)
	c.floorWhole.Record(whole)
	return err
}

// diskAlone does what replacing a file takes of the disk: write, fsync, rename, and fsync
// of the folder. It returns how long it took until the file was in place, and in all.
func diskAlone(dir string, value int) (file, whole time.Duration, err error) {
	from, to := filepath.Join(dir, "floor.new"), filepath.Join(dir, "floor")
	start := time.Now()
	f, err := os.Create(from)
	if err != nil {
		return 0, 0, err
	}
	_, err = f.WriteString(strconv.Itoa(value))
	if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(from, to)); err != nil {
		return 0, 0, err
	}
	file = time.Since(start)
	d, err := os.Open(dir)
	if err != nil {
		return 0, 0, err
	}
	err = errors.Join(d.Sync(), d.Close())
	return file, time.Since(start), err
}
