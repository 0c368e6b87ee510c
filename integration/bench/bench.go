// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// options is the command line.
type options struct {
	command     string
	quick, list bool
	peers       bool
	rounds      int
	round       time.Duration
	markdown    string
	dir, etcd   string
	sections    []section
}

// A bench is one run of the program.
type bench struct {
	options
	dir   string // for this run alone
	confd *program
	etcd  *program
	peer  peer // of the renderer
	http  *http.Client
}

// measure runs the sections and prints what they find. What was found before an error is
// printed, too.
func measure(ctx context.Context, o options, stdout io.Writer) (err error) {
	b := &bench{options: o, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: fillConns}}}
	defer b.http.CloseIdleConnections()
	if b.peer, err = findPeer(ctx, o.peers); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(o.dir, "confd-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.peer, err = b.peer.copied(b.dir); err != nil {
		return err
	}
	path, err := build(ctx, b.dir, "confd")
	if err != nil {
		return err
	}
	version, err := etcdVersion(ctx, o.etcd)
	if err != nil {
		return err
	}
	b.confd, b.etcd = confdProgram(path), etcdProgram(o.etcd, version)
	about, err := machine(ctx, o, version)
	if err != nil {
		return err
	}
	if b.quick {
		about = append(about, "quick:      shows that everything works; the figures mean nothing")
	}
	fmt.Fprintf(stdout, "%s\n", strings.Join(about, "\n"))
	var tables []*report.Table
	for _, s := range o.sections {
		t := &report.Table{Title: s.name + ": " + s.about, Ours: b.confd.name, Peer: b.etcd.name}
		tables = append(tables, t)
		start := time.Now()
		if err = s.run(ctx, b, t); err != nil {
			err = fmt.Errorf("section %s: %w", s.name, err)
		}
		fmt.Fprintf(stdout, "\n%s(%.0f s)\n", t.Text(), time.Since(start).Seconds())
		if err != nil {
			break
		}
	}
	fmt.Fprintf(stdout, "\n%s\n", summary(tables))
	if o.markdown != "" {
		err = errors.Join(err, writeMarkdown(o.markdown, about, tables))
	}
	return err
}

// summary says which goals were missed.
func summary(tables []*report.Table) string {
	var missed []string
	reached := 0
	for _, t := range tables {
		missed = append(missed, t.Missed()...)
		reached += t.Reached()
	}
	text := fmt.Sprintf("%d goals reached, %d missed", reached, len(missed))
	return strings.Join(append([]string{text}, missed...), "\n  missed: ")
}

func writeMarkdown(file string, about []string, tables []*report.Table) error {
	var text strings.Builder
	text.WriteString("# Benchmark report\n\n```text\n" + strings.Join(about, "\n") + "\n```\n")
	for _, t := range tables {
		text.WriteString("\n" + t.Markdown())
	}
	text.WriteString("\n" + summary(tables) + "\n")
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

// pick returns how much of something there is to be in a full run, or in a quick one.
func (b *bench) pick(full, quick int) int {
	if b.quick {
		return quick
	}
	return full
}

// pair starts ours and etcd in the same way, has both used, and stops them.
func (b *bench) pair(ctx context.Context, h how, use func(ours, peer *server) error) (err error) {
	dir, err := os.MkdirTemp(b.dir, "pair-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ours, err := b.confd.start(ctx, filepath.Join(dir, "ours"), h)
	defer func() { err = errors.Join(err, ours.stop()) }()
	if err != nil {
		return err
	}
	peer, err := b.etcd.start(ctx, filepath.Join(dir, "peer"), h)
	defer func() { err = errors.Join(err, peer.stop()) }()
	if err != nil {
		return err
	}
	return use(ours, peer)
}

// load puts a node of a server under load, for the length of a round unless the job says
// another.
func (b *bench) load(ctx context.Context, s *server, at *node, conns int, job load.Job) (outcome, error) {
	c, err := load.Dial(at.client, conns)
	if err != nil {
		return outcome{}, errors.Join(err, at.Failed())
	}
	defer c.Close()
	if job.Total == 0 && job.For == 0 {
		job.For = b.round
	}
	var marks []time.Duration
	job.Mark = func() error {
		used, err := s.cpu()
		marks = append(marks, used)
		return err
	}
	result, err := c.Run(ctx, job)
	if err != nil {
		return outcome{}, fmt.Errorf("%s, %d connections: %w", s.name, conns, errors.Join(err, s.failed()))
	}
	return outcome{result, marks[1] - marks[0]}, nil
}
