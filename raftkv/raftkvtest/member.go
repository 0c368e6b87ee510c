// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// ErrDown means that a member does not run, so that nothing was proposed.
var ErrDown = fmt.Errorf("connection refused (%w)", raftkv.ErrNotProposed)

// ErrCut means that a member has ended before it could answer.
var ErrCut = errors.New("connection reset")

// restartPause is after how long a member is started again that has ended by itself.
const restartPause = time.Second

// A Member is a machine of a cluster, and the program on it that starts the node, again
// if it ends by itself. Its methods may be called concurrently.
type Member struct {
	Name string

	c     *Cluster
	dir   string
	first bool         // makes the cluster
	skew  atomic.Int64 // of its clock
	port  atomic.Int64

	mu      sync.Mutex
	run     *run          // the running one, or the last one
	wanted  bool          // it is to run
	idle    chan struct{} // closed when the last run has ended and no other follows
	disk    *Disk         // with Options.Disks
	joined  bool          // it has served, so that its data says where it belongs
	leaving string        // its id, if somebody has asked to remove it
	removed bool          // it has ended for that reason
}

// Start starts the member, unless it runs.
func (m *Member) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wanted || m.removed {
		return
	}
	m.c.trace("start %s", m.Name)
	idle := m.idle
	m.wanted, m.idle = true, make(chan struct{})
	done := m.idle
	m.c.wg.Go(func() {
		defer close(done)
		if idle != nil {
			<-idle
		}
		m.supervise(done)
	})
}

// supervise keeps the member running while it is wanted, and was not stopped and started
// again meanwhile, which makes another idle.
func (m *Member) supervise(idle chan struct{}) {
	for {
		m.mu.Lock()
		if !m.wanted || m.idle != idle {
			m.mu.Unlock()
			return
		}
		r, cfg := m.begin()
		m.run = r
		m.mu.Unlock()
		m.live(r, cfg)
		time.Sleep(restartPause)
	}
}

func (m *Member) addr() string { return fmt.Sprintf("%s:%d", m.Name, 7001+m.port.Load()) }

// Crash ends the member at once, as kill -9 does. With off its machine goes too, so that
// nobody is told.
func (m *Member) Crash(off bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.wanted {
		return
	}
	m.c.trace("crash %s (power %t)", m.Name, off)
	m.wanted = false
	if m.run == nil {
		return
	}
	if off {
		m.c.Net.PowerOff(m.Name)
	} else {
		m.c.Net.Kill(m.Name)
	}
	m.run.kill()
	m.run.end()
	if off && m.disk != nil {
		m.disk = m.disk.PowerOff(m.c.newRand())
	}
}

// Stop stops the member as an operator does, and returns when it has ended.
func (m *Member) Stop() {
	m.mu.Lock()
	if !m.wanted {
		m.mu.Unlock()
		return
	}
	m.c.trace("stop %s", m.Name)
	m.wanted = false
	if m.run != nil {
		m.run.resume()
		m.run.end()
	}
	idle := m.idle
	m.mu.Unlock()
	m.c.Net.Thaw(m.Name)
	<-idle
}

// Running reports whether the member is meant to run.
func (m *Member) Running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wanted
}

// Node returns the member's node, nil if it does not serve.
func (m *Member) Node() *raftkv.Node {
	if r := m.current(); r != nil {
		return r.node.Load()
	}
	return nil
}

// term returns the term that the member's node knows, 0 if it does not serve.
func (m *Member) term() uint64 {
	if n := m.Node(); n != nil {
		return n.RaftTerm()
	}
	return 0
}

// current returns the run that is under way, nil if there is none.
func (m *Member) current() *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.wanted || m.run == nil || m.run.over() {
		return nil
	}
	return m.run
}

// Do carries out op as a client of this member.
func (m *Member) Do(ctx context.Context, op *tree.Op) (*tree.Event, error) {
	var event *tree.Event
	err := m.ask(func(n *raftkv.Node) (err error) {
		event, err = n.Do(ctx, op)
		return err
	})
	if err != nil {
		return nil, err
	}
	return event, nil
}

// Read returns a linearizable view as a client of this member.
func (m *Member) Read(ctx context.Context) (*tree.View, error) {
	var view *tree.View
	err := m.ask(func(n *raftkv.Node) (err error) {
		view, err = n.Linearizable(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return view, nil
}

// ask asks the node something. No answer comes from a member that is paused or has ended.
func (m *Member) ask(question func(*raftkv.Node) error) error {
	r := m.current()
	if r == nil {
		return ErrDown
	}
	r.awake()
	node := r.node.Load()
	if node == nil || r.isKilled() {
		return ErrDown
	}
	err := question(node)
	r.awake()
	if r.isKilled() {
		return ErrCut
	}
	return err
}

func (c *Cluster) newMember(name string) *Member {
	m := &Member{Name: name, c: c, dir: filepath.Join(c.dir, name), first: len(c.members) == 0}
	if c.options.Disks {
		m.disk = NewDisk()
	}
	return m
}
