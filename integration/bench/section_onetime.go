// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"confd/integration/bench/report"
)

// runOnetime measures one pass and its process: over 1,000 templates of 100 keys, with no
// file there and with nothing to do, and over one template.
func runOnetime(ctx context.Context, b *bench, t *report.Table) error {
	templates := b.pick(1000, 20)
	keys := templates * keysEach
	passes := []pass{
		{what: "1,000 templates, no file there, s", goal: report.AtMost(1./3, "≤ 1/3"), unit: time.Second, all: apps(templates), keys: keys, cold: true},
		{what: "the same with all files in sync, s", goal: report.AtMost(1./3, "≤ 1/3"), unit: time.Second, all: apps(templates), keys: keys},
		{what: "one template of one key, ms", goal: report.Own(15, "≤ 15 ms"), unit: time.Millisecond, keys: 1,
			all: []shown{{name: "k", keys: "/app0/key0", ours: `{{getv "/app0/key0"}}`, peers: `{{key "app0/key0"}}`}}},
	}
	return b.passes(ctx, t, passes)
}

// runNested measures one pass over a template that lists 500 directories, and then the 100
// keys of each.
func runNested(ctx context.Context, b *bench, t *report.Table) error {
	dirs := b.pick(500, 5)
	nested := shown{name: "nested", keys: "/",
		ours:  "{{range $d := lsdir \"/\"}}{{range gets (printf \"/%s/*\" $d)}}{{.Key}} {{.Value}}\n{{end}}{{end}}",
		peers: "{{range $d, $all := tree \"/\" | byKey}}{{range $all}}{{.Key}} {{.Value}}\n{{end}}{{end}}"}
	return b.passes(ctx, t, []pass{
		{what: "a pass, ms", goal: report.Own(50, "≤ 50 ms"), unit: time.Millisecond, all: []shown{nested}, keys: dirs * keysEach, lines: dirs * keysEach, split: true},
	})
}

// A pass is one thing that is done in one pass.
type pass struct {
	what  string
	goal  report.Goal
	unit  time.Duration
	all   []shown
	keys  int
	lines int  // that the first file has; 0 = any
	cold  bool // no file is there
	split bool // confd tells how much of it was the rendering, and the floor is measured
}

// passes measures passes of all renderers, by turns.
func (b *bench) passes(ctx context.Context, t *report.Table, passes []pass) error {
	t.Peer, t.Notes = b.peer.name(), []string{peerNote}
	if slices.ContainsFunc(passes, func(p pass) bool { return p.split }) {
		t.Notes = append(t.Notes, passFloorNote)
	}
	for _, p := range passes {
		if err := b.onePass(ctx, t, p); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) onePass(ctx context.Context, t *report.Table, p pass) (err error) {
	var sites []*site
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.close())
		}
	}()
	for _, r := range append(b.ours(), b.others()...) {
		s, err := b.newPassSite(ctx, r, p)
		sites = append(sites, s)
		if err != nil {
			return err
		}
	}
	m := make([]passed, len(sites))
	for round := range b.rounds + 1 {
		for i, s := range sites {
			if err := s.onePass(ctx, p, round, &m[i]); err != nil {
				return err
			}
		}
	}
	n := len(b.ours())
	var peer passed
	for _, o := range m[n:] {
		peer.wall, peer.cpu = append(peer.wall, o.wall...), append(peer.cpu, o.cpu...)
	}
	for i, r := range b.ours() {
		t.Add(report.Row{What: r.name + ": " + p.what, Goal: p.goal, Ours: m[i].wall, Peer: peer.wall},
			report.Row{What: r.name + ": CPU of its process, ms", Ours: m[i].cpu, Peer: peer.cpu})
		if p.split {
			t.Add(report.Row{What: r.name + ": of a pass, the rendering, ms", Goal: p.goal, Ours: m[i].rendering},
				report.Row{What: r.name + ": " + floorOf(r) + ", ms", Ours: m[i].floor})
		}
	}
	return nil
}

// A passed is what the rounds of one pass have measured: in the pass's unit, and all else in
// milliseconds.
type passed struct{ wall, cpu, rendering, floor []float64 }

// onePass makes a pass and adds to m what it took, but for the first one, which makes the
// files.
func (s *site) onePass(ctx context.Context, p pass, round int, m *passed) error {
	took, used, err := s.timed(ctx, p, round)
	if err != nil || round == 0 {
		return err
	}
	m.wall, m.cpu = append(m.wall, float64(took)/float64(p.unit)), append(m.cpu, ms(used))
	if !p.split || s.source == consul {
		return nil
	}
	rendering, err := s.rendering()
	if err != nil {
		return err
	}
	floor, err := s.floor(ctx)
	m.rendering, m.floor = append(m.rendering, ms(rendering)), append(m.floor, ms(floor))
	return err
}

// rendering returns what confd's report says that the resource of the last pass took, in
// whole milliseconds. There is no reload in it.
func (s *site) rendering() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, reportName))
	if err != nil {
		return 0, err
	}
	var r struct{ Results []struct{ Seconds float64 } }
	if err := json.Unmarshal(text, &r); err != nil {
		return 0, fmt.Errorf("reading the report of a pass: %w", err)
	}
	if len(r.Results) != 1 {
		return 0, fmt.Errorf("the report of a pass is of %d resources, want 1", len(r.Results))
	}
	return time.Duration(r.Results[0].Seconds * float64(time.Second)), nil
}

// newPassSite makes a site that is ready for a pass.
func (b *bench) newPassSite(ctx context.Context, r renderer, p pass) (*site, error) {
	s, err := b.newSite(r)
	if err == nil {
		err = errors.Join(s.describe(p.all), s.startStore(ctx), s.fill(ctx, p.keys), s.freeStore())
	}
	return s, err
}

// timed makes a pass, and looks at what came of it.
func (s *site) timed(ctx context.Context, p pass, round int) (wall, cpu time.Duration, err error) {
	out := filepath.Join(s.dir, "out")
	if p.cold { // nothing is removed: ext4 passes by the inodes of what was, one by one
		err := errors.Join(os.Rename(out, out+strconv.Itoa(round)), os.Mkdir(out, 0o755))
		if err != nil {
			return 0, 0, err
		}
	}
	if wall, cpu, err = s.pass(ctx, p.split); err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(filepath.Join(out, p.all[0].name))
	if err == nil && p.lines > 0 && bytes.Count(text, []byte("\n")) != p.lines {
		err = fmt.Errorf("%s has %d lines, want %d", p.all[0].name, bytes.Count(text, []byte("\n")), p.lines)
	}
	return wall, cpu, err
}
