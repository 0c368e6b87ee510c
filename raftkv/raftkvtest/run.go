// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv"
)

// A run is one life of a node's process.
type run struct {
	log   *faultyLog
	host  *Host
	node  atomic.Pointer[raftkv.Node] // nil before it serves
	quit  chan struct{}               // closed to end the process
	ended chan struct{}               // closed when it has ended

	mu     sync.Mutex
	killed bool          // it ends without being asked, and answers nobody
	paused chan struct{} // closed when it goes on; nil unless it is paused
}

// begin makes a run, and the configuration of its node.
func (m *Member) begin() (*run, raftkv.Config) {
	r := &run{
		log:   newFaultyLog(m.c.newRand()),
		host:  m.c.Net.Host(m.Name),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	cfg := raftkv.Config{
		Name:      m.Name,
		DataDir:   m.dir,
		PeerAddr:  m.addr(),
		ClientURL: "http://" + m.Name + ":4001",
		Now:       func() time.Time { return time.Now().Add(time.Duration(m.skew.Load())) },
		Log:       slog.New(m.c.handler).With("node", m.Name),
		Hooks: raftkv.Hooks{
			Listen: r.host.Listen,
			Dial:   r.host.Dial,
			Killed: r.isKilled,
			LogStore: func(s raft.LogStore) raft.LogStore {
				r.log.store = s
				return r.log
			},
		},
	}
	// With its data a member finds the others by itself.
	if !m.first && !(m.joined && m.c.newRand().IntN(2) == 0) {
		cfg.Peers = m.c.peersOf(m)
	}
	switch {
	case m.c.options.LogFS != nil:
		cfg.Hooks.LogFS = m.c.options.LogFS(m.Name)
	case m.disk != nil:
		cfg.Hooks.LogFS = m.disk
	}
	if m.c.options.Config != nil {
		m.c.options.Config(&cfg)
	}
	return r, cfg
}

// live is the process: it opens the node, and ends when it is told to or must.
func (m *Member) live(r *run, cfg raftkv.Config) {
	defer close(r.ended)
	defer r.kill() // nobody waits for it any more
	defer m.c.Net.Kill(m.Name)
	node, err := m.open(r, cfg)
	if err != nil {
		if !r.over() && !r.log.mayFail() && !m.mayLeave(err) {
			m.c.fail("%s does not open: %v", m.Name, err)
		}
		return
	}
	m.mu.Lock()
	m.joined = true
	m.mu.Unlock()
	r.node.Store(node)
	m.c.trace("%s serves", m.Name)
	m.c.Ledger.follow(m, r, node)
	select {
	case <-r.quit:
	case <-node.Failed():
		m.c.count(func(c *Coverage) { c.Failures++ })
		m.c.trace("%s has failed: %v", m.Name, node.Err())
		if !r.over() && !m.mayLeave(node.Err()) && !r.log.mayFail() {
			m.c.fail("%s failed: %v", m.Name, node.Err())
		}
		r.kill()
		m.c.Net.Kill(m.Name)
	}
	if err := node.Close(); err != nil && !r.log.mayFail() && !r.isKilled() {
		m.c.fail("%s does not close: %v", m.Name, err)
	}
}

// open opens the node, unless the process is told to end before.
func (m *Member) open(r *run, cfg raftkv.Config) (*raftkv.Node, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.c.wg.Go(func() {
		select {
		case <-r.quit:
			cancel()
		case <-ctx.Done():
		}
	})
	return raftkv.Open(ctx, cfg)
}

// ending reports whether the process was told to end.
func (r *run) ending() bool {
	select {
	case <-r.quit:
		return true
	default:
		return false
	}
}

// over reports whether the process was told to end, or is killed, after which its node
// may fail before it is told.
func (r *run) over() bool { return r.ending() || r.isKilled() }

// kill makes the run answer nobody any more, and its disk take nothing.
func (r *run) kill() {
	r.mu.Lock()
	r.killed = true
	r.mu.Unlock()
	r.log.crash()
	r.resume()
}

func (r *run) isKilled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.killed
}

func (r *run) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ending() {
		close(r.quit)
	}
}

func (r *run) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused != nil {
		close(r.paused)
		r.paused = nil
	}
	r.log.release()
}

// awake waits until the run is not paused.
func (r *run) awake() {
	for {
		r.mu.Lock()
		paused := r.paused
		r.mu.Unlock()
		if paused == nil {
			return
		}
		<-paused
	}
}
