// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// An outcome is what a client knows about a call.
type outcome int

const (
	unknown     outcome = iota // it may have happened, or may happen yet
	acked                      // it has happened
	refused                    // the tree has refused it, and said so
	notProposed                // it never happens
)

// A call is something that a client has asked for.
type call struct {
	member  string
	op      *tree.Op // nil for a read
	key     string   // of a read
	id      string   // begins the value that it writes; "" if it writes none
	outcome outcome
	event   *tree.Event // if acked, unless it is a read
	node    *tree.Node  // what a read has found, nil for nothing
	code    tree.Code   // if refused
	index   uint64      // of the event, the refusal or the view
	local   bool        // a read that need not be the newest

	begin, end uint64    // moments, in the order in which they were taken
	terms      [2]uint64 // of the member, at these
}

// A Ledger is what the clients of a cluster have asked for and learnt, and the events
// that were seen on its nodes. Check compares all that.
type Ledger struct {
	c *Cluster

	mu     sync.Mutex
	moment uint64
	calls  []*call
	events map[uint64]*tree.Event // :: index → the event, the same on all nodes
	last   uint64                 // highest index of them
}

func newLedger(c *Cluster) *Ledger {
	return &Ledger{c: c, events: make(map[uint64]*tree.Event)}
}

func (l *Ledger) tick() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moment++
	return l.moment
}

func (l *Ledger) add(c *call) {
	c.end = l.tick()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
}

// Do carries out op through a member, and keeps what became of it. A value that is
// written must be unique up to its first colon.
func (l *Ledger) Do(ctx context.Context, m *Member, op *tree.Op) (*tree.Event, error) {
	c := &call{member: m.Name, op: op, begin: l.tick()}
	switch op.Action {
	case tree.Set, tree.Create, tree.Update, tree.CompareAndSwap:
		c.id = idOf(op.Value)
	}
	run, start := m.current(), time.Now()
	c.terms[0] = m.term()
	event, err := m.Do(ctx, op)
	c.terms[1] = m.term()
	var refusal *tree.Error
	switch {
	case err == nil:
		c.outcome, c.event, c.index = acked, event, event.Index()
		l.readOwn(m, run, c)
	case errors.As(err, &refusal):
		c.outcome, c.code, c.index = refused, refusal.Code, refusal.Index
	case errors.Is(err, raftkv.ErrNotProposed):
		c.outcome = notProposed
	}
	l.add(c)
	l.inTime(c, m, run, start, err)
	return event, err
}

// maxWait is how long a node may take to answer, which is its Timeout and a little.
const maxWait = 8 * time.Second

// inTime counts a call, and checks how long it took, unless its member may have been paused.
func (l *Ledger) inTime(c *call, m *Member, r *run, start time.Time, err error) {
	l.c.count(func(v *Coverage) { v.called(c) })
	if took := time.Since(start); took > maxWait && r != nil && !r.log.mayFail() {
		l.c.fail("%s took %v for %s: %v", m.Name, took, c.describe(), err)
	}
}

// readOwn checks that the node which has acknowledged an operation has applied it.
func (l *Ledger) readOwn(m *Member, r *run, c *call) {
	if r == nil || r != m.current() {
		return
	}
	if n := r.node.Load(); n != nil && n.View().Index() < c.index {
		l.c.fail("%s acknowledged index %d and is itself at %d", m.Name, c.index, n.View().Index())
	}
}

// Read reads a key through a member: the newest state, or with local what it has.
func (l *Ledger) Read(ctx context.Context, m *Member, key string, local bool) {
	c := &call{member: m.Name, key: key, begin: l.tick(), local: local}
	run, start := m.current(), time.Now()
	var view *tree.View
	var err error
	if local {
		err = m.ask(func(n *raftkv.Node) error { view = n.View(); return nil })
	} else {
		view, err = m.Read(ctx)
	}
	if err == nil {
		c.outcome, c.index = acked, view.Index()
		if n, err := view.Get(key); err == nil {
			c.node = n
		}
		l.add(c)
	}
	l.inTime(c, m, run, start, err)
}

// saw keeps an event that was seen on a node. All must see the same.
func (l *Ledger) saw(who string, e *tree.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := e.Index()
	if old := l.events[i]; old == nil {
		l.events[i] = e
		l.last = max(l.last, i)
	} else if !sameEvent(old, e) {
		defer l.c.fail("%s has seen %s at index %d, others %s", who, showEvent(e), i, showEvent(old))
	}
}

// idOf returns what makes a value unique.
func idOf(value string) string {
	id, _, _ := strings.Cut(value, ":")
	return id
}
