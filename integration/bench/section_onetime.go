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
		{what: "a pass, ms", goal: report.Own(50, "≤ 50 ms"), unit: time.Millisecond, all: []shown{nested}, keys: dirs * keysEach, lines: dirs * keysEach},
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
}

// passes measures passes of all renderers, by turns.
func (b *bench) passes(ctx context.Context, t *report.Table, passes []pass) error {
	t.Peer, t.Notes = b.peer.name(), []string{peerNote}
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
	wall, cpu := make([][]float64, len(sites)), make([][]float64, len(sites))
	for round := range b.rounds + 1 {
		for i, s := range sites {
			took, used, err := s.timed(ctx, p, round)
			if err != nil {
				return err
			}
			if round > 0 { // the first one makes the files
				wall[i] = append(wall[i], float64(took)/float64(p.unit))
				cpu[i] = append(cpu[i], ms(used))
			}
		}
	}
	n := len(b.ours())
	peerWall, peerCPU := slices.Concat(wall[n:]...), slices.Concat(cpu[n:]...)
	for i, r := range b.ours() {
		t.Add(report.Row{What: r.name + ": " + p.what, Goal: p.goal, Ours: wall[i], Peer: peerWall},
			report.Row{What: r.name + ": CPU of its process, ms", Ours: cpu[i], Peer: peerCPU})
	}
	return nil
}

// newPassSite makes a site that is ready for a pass.
func (b *bench) newPassSite(ctx context.Context, r renderer, p pass) (*site, error) {
	s, err := b.newSite(r)
	if err == nil {
		err = errors.Join(s.describe(p.all), s.startStore(ctx), s.fill(ctx, p.keys))
	}
	if err == nil && s.source == embedded { // a pass opens it itself
		err = s.store.Stop()
		s.store = nil
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
	if wall, cpu, err = s.pass(ctx); err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(filepath.Join(out, p.all[0].name))
	if err == nil && p.lines > 0 && bytes.Count(text, []byte("\n")) != p.lines {
		err = fmt.Errorf("%s has %d lines, want %d", p.all[0].name, bytes.Count(text, []byte("\n")), p.lines)
	}
	return wall, cpu, err
}
