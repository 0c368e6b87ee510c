// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// Check waits until all members agree, and then compares all that they have with all
// that is in the ledger. What is wrong is in Failures. It must be called when nobody
// writes; members that are down or removed are left out, and one must be left.
func (c *Cluster) Check(ctx context.Context) {
	if err := c.WaitServing(ctx); err != nil {
		c.fail("%v", err)
		return
	}
	if err := c.wait(ctx, "all members to agree", c.differ); err != nil {
		c.fail("%v", err)
		return
	}
	c.Ledger.check(c.nodes()[0].View())
	c.checkGrowth()
}

// checkGrowth looks for nodes that write to the log on end, without being asked.
func (c *Cluster) checkGrowth() {
	entries := c.nodes()[0].RaftIndex()
	c.Ledger.mu.Lock()
	calls := uint64(len(c.Ledger.calls))
	c.Ledger.mu.Unlock()
	if limit := 2*calls + 200; entries > limit {
		c.fail("the log has %d entries for %d calls", entries, calls)
	}
}

func (c *Cluster) nodes() []*raftkv.Node {
	var nodes []*raftkv.Node
	for _, m := range c.Members() {
		if n := m.Node(); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// differ returns the first difference between the members.
func (c *Cluster) differ() error {
	for _, m := range c.Members() {
		if m.Running() && m.Node() == nil {
			return fmt.Errorf("%s does not serve", m.Name)
		}
	}
	if err := c.Ledger.complete(); err != nil {
		return err
	}
	nodes := c.nodes()
	for _, m := range c.Members() {
		if _, pending := m.gone(nodes); pending {
			return fmt.Errorf("%s was removed, and has not ended", m.Name)
		}
	}
	for _, n := range nodes {
		select {
		case <-n.Ready():
		default:
			return fmt.Errorf("%s is not ready", n.Status().Name)
		}
	}
	for _, n := range nodes[1:] {
		a, b := nodes[0].Status().Name, n.Status().Name
		switch i, j := nodes[0].View().Index(), n.View().Index(); {
		case i != j:
			return fmt.Errorf("%s is at index %d, %s at %d", a, i, b, j)
		case n.Tree().Hash() != nodes[0].Tree().Hash():
			return fmt.Errorf("%s and %s differ at index %d", a, b, i)
		case !maps.EqualFunc(*n.Meta(), *nodes[0].Meta(), slices.Equal):
			return fmt.Errorf("the metadata of %s and %s differ", a, b)
		}
	}
	return nil
}

// complete returns an error unless all events up to the last were seen.
func (l *Ledger) complete() error {
	index := uint64(0)
	for _, n := range l.c.nodes() {
		index = max(index, n.View().Index())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != index || uint64(len(l.events)) != index {
		return fmt.Errorf("%d events seen, the last of index %d, but the index is %d", len(l.events), l.last, index)
	}
	return nil
}

// check compares the calls with the events, and the events with a view.
func (l *Ledger) check(view *tree.View) {
	l.mu.Lock()
	calls, events, last := slices.Clone(l.calls), maps.Clone(l.events), l.last
	l.mu.Unlock()
	r := newReplay()
	for i := uint64(1); i <= last; i++ {
		e := events[i]
		if e == nil {
			l.c.fail("index %d: nobody has seen its event", i)
			return
		}
		if err := r.apply(e); err != nil {
			l.c.fail("index %d: %v", i, err)
			return
		}
	}
	if err := r.compare(view); err != nil {
		l.c.fail("the state does not follow from the events: %v", err)
	}
	l.checkCalls(calls, events, r)
	l.checkWriters(calls, events)
	l.checkOrder(calls, events)
}

// checkCalls looks at each call by itself: its answer must be right at its index.
func (l *Ledger) checkCalls(calls []*call, events map[uint64]*tree.Event, r *replay) {
	for _, c := range calls {
		switch {
		case c.op == nil:
			if was := r.at(c.key, c.index); !sameNode(was, c.node) {
				l.c.fail("%s read %s at index %d: %s, but it was %s", c.member, c.key, c.index, showNode(c.node), showNode(was))
			}
		case c.outcome == acked:
			e := events[c.index]
			if e == nil {
				l.c.fail("LOST: %s acknowledged %s", c.member, showEvent(c.event))
			} else if !sameEvent(e, c.event) {
				l.c.fail("LOST: %s acknowledged %s, but index %d is %s", c.member, showEvent(c.event), c.index, showEvent(e))
			} else if !answers(e, c.op) {
				l.c.fail("%s acknowledged %v %s by %s", c.member, c.op.Action, c.op.Key, showEvent(e))
			}
		case c.outcome == refused:
			if !refuses(c.code, c.op, r, c.index) {
				l.c.fail("%s refused %v %s at index %d with %d, but the key was %s", c.member, c.op.Action, c.op.Key,
					c.index, c.code, showNode(r.at(c.op.Key, c.index)))
			}
		}
	}
}

// answers reports whether the event can be what an operation has done.
func answers(e *tree.Event, op *tree.Op) bool {
	key := e.Key
	if op.InOrder {
		key = key[:max(0, len(key)-len("/00000000000000000000"))]
	}
	expires := int64(0)
	if op.HasTTL {
		expires = e.Now + int64(op.TTL)*1e9
	}
	if e.Action != op.Action || key != op.Key || e.Node.Value != op.Value || e.Node.Expires != expires {
		return false
	}
	return (op.PrevValue == "" || e.Prev.Value == op.PrevValue) && (op.PrevIndex == 0 || e.Prev.Modified == op.PrevIndex)
}

// refuses reports whether the tree must refuse op with that code at an index.
func refuses(code tree.Code, op *tree.Op, r *replay, index uint64) bool {
	was := r.at(op.Key, index)
	switch code {
	case tree.CodeKeyNotFound:
		return was == nil
	case tree.CodeNodeExist:
		return was != nil
	case tree.CodeNotFile:
		return was != nil && was.Dir
	case tree.CodeCompareFailed:
		return was != nil && (op.PrevValue != "" && op.PrevValue != was.Value || op.PrevIndex != 0 && op.PrevIndex != was.Modified)
	}
	return false
}

// checkWriters looks for who has made each event: no call counts twice, none that was
// refused counts, and nothing comes from nowhere.
func (l *Ledger) checkWriters(calls []*call, events map[uint64]*tree.Event) {
	byID := make(map[string]*call)    // those that write a value
	byIndex := make(map[uint64]*call) // those that were acknowledged
	unsure := make(map[string]int)    // :: key → deletes that may have happened
	for _, c := range calls {
		switch {
		case c.op == nil:
			continue
		case c.id != "":
			byID[c.id] = c
		case c.outcome == unknown:
			unsure[c.op.Key]++
		}
		if c.outcome != acked {
			continue
		}
		if other := byIndex[c.index]; other != nil {
			l.c.fail("index %d was acknowledged twice: %s and %s", c.index, c.describe(), other.describe())
		}
		byIndex[c.index] = c
	}
	done := make(map[string]uint64) // :: id → index
	for _, i := range slices.Sorted(maps.Keys(events)) {
		e := events[i]
		switch e.Action {
		case tree.Expire:
		case tree.Delete, tree.CompareAndDelete:
			if byIndex[i] != nil {
				continue
			}
			if unsure[e.Key]--; unsure[e.Key] < 0 {
				l.c.fail("index %d: nobody has asked for %s", i, showEvent(e))
			}
		default:
			id := idOf(e.Node.Value)
			l.checkWriter(byID[id], e, done[id])
			done[id] = i
		}
	}
}

// checkWriter looks at an event that has written a value, with the index of another one
// that has written the same.
func (l *Ledger) checkWriter(c *call, e *tree.Event, before uint64) {
	switch i := e.Index(); {
	case before != 0:
		l.c.fail("TWICE: %s at index %d, and at %d", showEvent(e), i, before)
	case c == nil:
		l.c.fail("index %d: nobody has asked for %s", i, showEvent(e))
	case c.outcome == refused || c.outcome == notProposed:
		l.c.fail("index %d: %s was not to happen, %s said", i, showEvent(e), c.member)
	case c.outcome == unknown && !answers(e, c.op):
		l.c.fail("index %d: %s is not what %s was asked for", i, showEvent(e), c.member)
	case c.outcome == unknown && c.index == 0:
		c.index = i // now its place is known
		l.c.count(func(v *Coverage) { v.UnknownDone++ })
	}
}

// checkOrder compares the order of indexes with real time: what begins after something
// has ended comes after it.
func (l *Ledger) checkOrder(calls []*call, events map[uint64]*tree.Event) {
	byEnd := slices.Clone(calls)
	slices.SortFunc(byEnd, func(a, b *call) int { return cmp.Compare(a.end, b.end) })
	slices.SortFunc(calls, func(a, b *call) int { return cmp.Compare(a.begin, b.begin) })
	var newest *call // of those that have ended, the one with the highest index
	for _, c := range calls {
		for len(byEnd) > 0 && byEnd[0].end < c.begin {
			e := byEnd[0]
			byEnd = byEnd[1:]
			sure := e.outcome == acked && !e.local || e.outcome == refused
			if sure && (newest == nil || e.index > newest.index) {
				newest = e
			}
		}
		if newest == nil || c.index == 0 || c.local {
			continue
		}
		if changes := c.op != nil && c.outcome != refused; c.index < newest.index || changes && c.index == newest.index {
			l.c.fail("ORDER: %s by %s has index %d, though %s by %s ended with index %d before it began",
				c.describe(), c.member, c.index, newest.describe(), newest.member, newest.index)
		}
	}
}

func (c *call) describe() string {
	if c.op == nil {
		return "reading " + c.key
	}
	return fmt.Sprintf("%v %s %s", c.op.Action, c.op.Key, c.id)
}
