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
	"strconv"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// A scaled is what was measured of many templates over many keys.
type scaled struct {
	start                   float64 // seconds until all files are there
	file                    load.Histogram
	change, untouched, idle float64 // processor time with the store, ms of a write, and % of one processor
	renderer                float64 // of untouched, what is the renderer's; the store's too if it is embedded
	memory                  float64 // of the renderer, MiB
	settled, burst          float64 // after the last of many writes, ms; processor time of all, ms
	startFloor              float64 // of start, seconds: see scaleFloorNote
	settledFloor            float64 // of settled, ms
}

// runScale measures 1,000 templates that show 100 keys each.
func runScale(ctx context.Context, b *bench, t *report.Table) error {
	t.Peer, t.Notes = b.peer.name(), []string{peerNote, scaleFloorNote}
	var all []scaled
	for _, r := range append(b.ours(), b.others()...) {
		m, err := b.scale(ctx, r, b.pick(1000, 20))
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		all = append(all, m)
	}
	n := len(b.ours())
	for i, r := range b.ours() {
		add := func(what string, goal report.Goal, of func(m scaled) float64) {
			t.Add(report.Row{What: r.name + ": " + what, Goal: goal, Ours: []float64{of(all[i])}, Peer: values(all[n:], of)})
		}
		add("start, s", report.Own(1, "≤ 1 s"), func(m scaled) float64 { return m.start })
		add("until the file is in place, p50 ms", report.Own(2, "≤ 2 ms"), func(m scaled) float64 { return ms(m.file.Quantile(0.5)) })
		add("the same, p99 ms", report.Goal{}, func(m scaled) float64 { return ms(m.file.Quantile(0.99)) })
		add("CPU of a change, with the store, ms", half(), func(m scaled) float64 { return m.change })
		add("CPU of a write that no template shows, ms", report.Goal{}, func(m scaled) float64 { return m.untouched })
		if r.source != embedded {
			add("of that, the renderer's, ms", report.Own(0.05, "≤ 0.05 ms"), func(m scaled) float64 { return m.renderer })
		}
		add("idle, % of a processor", report.Goal{}, func(m scaled) float64 { return m.idle })
		add("memory of the renderer, MiB", report.AtMost(1, "≤ 1×"), func(m scaled) float64 { return m.memory })
		add("a write to each: settled after the last, ms", report.Own(100, "≤ 100 ms"), func(m scaled) float64 { return m.settled })
		add("CPU of all these, ms", half(), func(m scaled) float64 { return m.burst })
		if r.source != embedded {
			t.Add(report.Row{What: r.name + ": floor of a start, s", Ours: []float64{all[i].startFloor}},
				report.Row{What: r.name + ": floor of a write to each, ms", Ours: []float64{all[i].settledFloor}})
		}
	}
	return nil
}

// scale measures one renderer.
func (b *bench) scale(ctx context.Context, r renderer, templates int) (m scaled, err error) {
	s, err := b.newSite(r)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return m, err
	}
	if err := errors.Join(s.describe(apps(templates)), s.startStore(ctx), s.fill(ctx, templates*keysEach), s.freeStore()); err != nil {
		return m, err
	}
	start := time.Now()
	if err := s.start(false); err != nil {
		return m, err
	}
	last, err := s.placed.awaitAll(ctx, names(templates))
	if err != nil {
		return m, errors.Join(err, s.process.Failed())
	}
	m.start = last.Sub(start).Seconds()
	time.Sleep(time.Second) // what the start leaves behind is not a change's
	rss, _, err := s.process.Memory()
	if err != nil {
		return m, err
	}
	m.memory = float64(rss) / (1 << 20)
	err = errors.Join(s.changesOfMany(ctx, &m, templates), s.untouched(ctx, &m), s.burst(ctx, &m, templates))
	if r.source == remoteConfd || r.source == remoteEtcd {
		err = errors.Join(err, s.scaleFloor(ctx, &m, templates))
	}
	return m, err
}

func names(templates int) map[string]bool {
	all := make(map[string]bool)
	for i := range templates {
		all[fmt.Sprintf("r%d", i)] = true
	}
	return all
}

// used returns the processor time of what f does, for each of n times, in milliseconds: of
// the renderer, and with its store.
func (s *site) used(n int, f func() error) (own, both float64, err error) {
	ownBefore, bothBefore, err := s.cpu()
	if err != nil {
		return 0, 0, err
	}
	if err := f(); err != nil {
		return 0, 0, err
	}
	ownAfter, bothAfter, err := s.cpu()
	return ms(ownAfter-ownBefore) / float64(n), ms(bothAfter-bothBefore) / float64(n), err
}

// changesOfMany writes one key after the other, each of another template.
func (s *site) changesOfMany(ctx context.Context, m *scaled, templates int) (err error) {
	n := s.b.pick(300, 10)
	_, m.change, err = s.used(n, func() error {
		for i := range n {
			app := (7*i + 3) % templates
			s.placed.forget()
			if err := s.put(ctx, fmt.Sprintf("/app%d/key7", app), strconv.Itoa(i+1)); err != nil {
				return err
			}
			acked := time.Now()
			at, err := s.placed.await(ctx, fmt.Sprintf("r%d", app))
			if err != nil {
				return err
			}
			m.file.Record(at.Sub(acked))
		}
		return nil
	})
	return err
}

// untouched writes a key that no template shows, and then nothing.
func (s *site) untouched(ctx context.Context, m *scaled) (err error) {
	n := s.b.pick(300, 10)
	m.renderer, m.untouched, err = s.used(n, func() error {
		for i := range n {
			if err := s.put(ctx, "/other", strconv.Itoa(i)); err != nil {
				return err
			}
		}
		time.Sleep(100 * time.Millisecond) // what it wakes has come by then
		return nil
	})
	if err != nil {
		return err
	}
	seconds := s.b.pick(3, 1)
	_, m.idle, err = s.used(seconds*10, func() error { // ms of a second, in hundredths
		time.Sleep(time.Duration(seconds) * time.Second)
		return nil
	})
	return err
}

// burst writes a key of each template, as quickly as 16 clients do, and looks at what the
// files hold when they have come to rest.
func (s *site) burst(ctx context.Context, m *scaled, templates int) (err error) {
	s.placed.forget()
	_, m.burst, err = s.used(1, func() error {
		err := parallel(16, templates, func(i int) error { return s.put(ctx, fmt.Sprintf("/app%d/key9", i), "burst") })
		if err != nil {
			return err
		}
		acked := time.Now()
		last, err := s.placed.awaitAll(ctx, names(templates))
		m.settled = max(ms(last.Sub(acked)), 0)
		return err
	})
	for i := 0; i < templates && err == nil; i++ {
		var text []byte
		text, err = os.ReadFile(filepath.Join(s.dir, "out", fmt.Sprintf("r%d", i)))
		if err == nil && bytes.Count(text, []byte("vburst\n")) != 1 {
			err = fmt.Errorf("out/r%d has not what was written last", i)
		}
	}
	return err
}
