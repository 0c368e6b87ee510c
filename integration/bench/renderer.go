// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"confd/integration/bench/proc"
	"confd/integration/freeport"
)

// A renderer is a program that keeps files equal to templates, with the store it reads.
type renderer struct {
	name   string
	source string // what holds the keys: one of the names below
	path   string // of the program that renders
}

// The sources of keys.
const (
	embedded    = "embedded" // the renderer itself
	remoteConfd = "confd"
	remoteEtcd  = "etcd"
	consul      = "consul"
)

// ours returns confd with each store it can be measured with.
func (b *bench) ours() []renderer {
	return []renderer{
		{"own store", embedded, b.confd.path},
		{"remote confd", remoteConfd, b.confd.path},
		{"etcd v2", remoteEtcd, b.confd.path},
	}
}

// A site is one renderer with its store, its folder and what it renders.
type site struct {
	renderer
	b       *bench
	dir     string
	client  string // HOST:PORT of the store
	peer    string
	release func()        // gives the ports back; nil if there are none
	store   *proc.Process // nil if none runs, or the renderer is its own
	process *proc.Process // the renderer; nil if none runs
	placed  *placed       // told of each file in out
}

// newSite makes the folder of a renderer. The caller closes the site.
func (b *bench) newSite(r renderer) (*site, error) {
	dir, err := os.MkdirTemp(b.dir, "site-")
	if err != nil {
		return nil, err
	}
	s := &site{renderer: r, b: b, dir: dir}
	for _, sub := range []string{"empty/conf.d", "conf.d", "templates", "out", "store"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return s, err
		}
	}
	addrs, release, err := freeport.Addrs(2)
	if err != nil {
		return s, err
	}
	s.client, s.peer, s.release = addrs[0], addrs[1], release
	s.placed, err = watchPlaced(filepath.Join(dir, "out"))
	return s, err
}

// close ends what runs and removes the folder.
func (s *site) close() error {
	if s == nil {
		return nil
	}
	err := s.stop()
	if s.store != nil {
		err = errors.Join(err, s.store.Stop())
	}
	if s.placed != nil {
		err = errors.Join(err, s.placed.close())
	}
	if s.release != nil {
		s.release()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// stop ends the renderer.
func (s *site) stop() error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	if s.source == consul {
		p.Kill() // it takes no SIGTERM
		return nil
	}
	return p.Stop()
}

// run starts a program of the site in its folder.
func (s *site) run(name string, args ...string) (*proc.Process, error) {
	return proc.Start(s.dir, filepath.Join(s.dir, name+".log"), nil, args[0], args[1:]...)
}

// ownStore is the command line of confd as a store.
func (s *site) ownStore(confDir string) []string {
	return []string{s.b.confd.path, "-confdir", confDir, "-data-dir", "store", "-addr", s.client, "-peer-addr", s.peer, "-log-level", "warn"}
}

// startStore starts the store, and returns when it takes writes. An embedded one runs for
// itself until the renderer is started.
func (s *site) startStore(ctx context.Context) (err error) {
	var args []string
	switch s.source {
	case embedded, remoteConfd:
		args = s.ownStore("empty")
	case remoteEtcd:
		n := &node{name: "a", dir: "store", client: s.client, peer: s.peer}
		args = append([]string{s.b.etcd.path}, s.b.etcd.args(n)...)
	case consul:
		args = s.b.peer.server(s.client)
	}
	if s.store, err = s.run("store", args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for s.put(ctx, "/bench-started", "1") != nil {
		select {
		case <-s.store.Done():
			return s.store.Failed()
		case <-ctx.Done():
			return fmt.Errorf("%s takes no writes: %w", s.source, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// freeStore ends an embedded store that runs for itself.
func (s *site) freeStore() error {
	if s.source != embedded || s.store == nil {
		return nil
	}
	err := s.store.Stop()
	s.store = nil
	return err
}

// start starts the renderer; with once, for one pass.
func (s *site) start(once bool) (err error) {
	if err := s.freeStore(); err != nil {
		return err
	}
	s.process, err = s.run("renderer", s.renderArgs(once)...)
	return err
}

// renderArgs is the command line of the renderer.
func (s *site) renderArgs(once bool) []string {
	if s.source == consul {
		return s.b.peer.renderer(s.client, once)
	}
	args := s.ownStore(".")
	if s.source != embedded {
		args = []string{s.path, "-watch", "-backend", "etcd", "-node", "http://" + s.client, "-confdir", ".", "-data-dir", "state", "-log-level", "warn"}
	}
	if !once {
		return args
	}
	if s.source == embedded {
		return []string{s.path, "-onetime", "-confdir", ".", "-data-dir", "store", "-peer-addr", s.peer, "-log-level", "warn"}
	}
	args[1] = "-onetime"
	return args
}

// reportName is the file in the site's folder that confd reports a pass in.
const reportName = "report.json"

// pass has the renderer make one pass. It returns how long that took, and the processor
// time. With told, confd reports it too.
func (s *site) pass(ctx context.Context, told bool) (wall, cpu time.Duration, err error) {
	args := s.renderArgs(true)
	if told && s.source != consul {
		args = append(args, "-report", "json:"+reportName)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.dir
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", s.name, err, out)
	}
	return time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// cpu returns the processor time of the renderer, and of it with its store.
func (s *site) cpu() (own, both time.Duration, err error) {
	if own, err = s.process.CPU(); err != nil {
		return 0, 0, err
	}
	both = own
	if s.store != nil {
		used, err := s.store.CPU()
		if err != nil {
			return 0, 0, err
		}
		both += used
	}
	return own, both, nil
}
