// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"fmt"
	"strings"
	"testing"

	"confd/raftkv/tree"
)

// A made is a ledger that a test makes by hand: a tree that operations are applied to,
// and calls that tell of them.
type made struct {
	tree *tree.Tree
	c    *Cluster
}

// apply applies an operation whose call takes no time, and returns the call.
func (m *made) apply(op tree.Op) *call {
	c := &call{member: "a", op: &op, id: idOf(op.Value), begin: m.c.Ledger.tick()}
	e, err := m.tree.Apply(&op, 1)
	m.tree.Publish()
	if err == nil {
		m.c.Ledger.saw("a", e)
		c.outcome, c.event, c.index = acked, e, e.Index()
	} else {
		c.outcome, c.code, c.index = refused, err.(*tree.Error).Code, m.tree.View().Index()
	}
	m.c.Ledger.add(c)
	return c
}

func (m *made) set(value string) *call {
	return m.apply(tree.Op{Action: tree.Set, Key: "/k", Value: value})
}

// TestCheck makes histories by hand, right ones and wrong ones.
func TestCheck(t *testing.T) {
	cas := func(prev, value string) tree.Op {
		return tree.Op{Action: tree.CompareAndSwap, Key: "/k", Value: value, PrevValue: prev}
	}
	tests := []struct {
		name string
		want string // part of what is wrong; nothing if all is right
		make func(m *made)
	}{
		{"all is right", "", func(m *made) {
			m.set("1")
			m.apply(cas("1", "2"))
			m.apply(cas("1", "3"))
			m.apply(tree.Op{Action: tree.Create, Key: "/k", Value: "4"})
			m.apply(tree.Op{Action: tree.Create, Key: "/q", Value: "5", InOrder: true})
			m.apply(tree.Op{Action: tree.Delete, Key: "/q", Recursive: true})
		}},
		{"lost", "LOST", func(m *made) {
			m.set("1")
			c := m.set("2")
			delete(m.c.Ledger.events, c.index)
			m.c.Ledger.last--
			m.tree = replayed("1")
		}},
		{"replaced", "LOST", func(m *made) {
			c := m.set("1")
			c.event, _ = replayed("").Apply(&tree.Op{Action: tree.Set, Key: "/k", Value: "2"}, 1)
		}},
		{"missing event", "nobody has seen", func(m *made) {
			m.set("1")
			c := m.set("2")
			m.set("3")
			delete(m.c.Ledger.events, c.index)
		}},
		{"twice", "TWICE", func(m *made) {
			m.set("1").outcome = unknown
			m.set("1").outcome = unknown
		}},
		{"acknowledged twice", "acknowledged twice", func(m *made) {
			m.c.Ledger.calls = append(m.c.Ledger.calls, m.set("1"))
		}},
		{"not proposed, and done", "was not to happen", func(m *made) { m.set("1").outcome = notProposed }},
		{"from nowhere", "nobody has asked", func(m *made) {
			m.set("1")
			m.c.Ledger.calls = nil
		}},
		{"delete from nowhere", "nobody has asked", func(m *made) {
			m.set("1")
			m.apply(tree.Op{Action: tree.Delete, Key: "/k"})
			m.c.Ledger.calls = m.c.Ledger.calls[:1]
		}},
		{"unknown delete", "", func(m *made) {
			m.set("1")
			m.apply(tree.Op{Action: tree.Delete, Key: "/k"}).outcome = unknown
		}},
		{"wrong winner", "acknowledged compareAndSwap", func(m *made) {
			m.set("1")
			m.apply(cas("1", "2")).op.PrevValue = "0"
		}},
		{"wrong loser", "refused compareAndSwap", func(m *made) {
			m.set("1")
			m.apply(cas("0", "2")).op.PrevValue = "1"
		}},
		{"order of writes", "ORDER", func(m *made) {
			a, b := m.set("1"), m.set("2")
			a.begin, a.end, b.begin, b.end = b.begin, b.end, a.begin, a.end
		}},
		{"writes at once", "", func(m *made) {
			a, b := m.set("1"), m.set("2")
			a.begin, b.begin, a.end, b.end = 1, 2, 4, 3
		}},
		{"stale read", "ORDER", func(m *made) {
			m.set("1")
			m.set("2")
			m.c.Ledger.add(&call{key: "/k", outcome: acked, index: 1, node: m.c.Ledger.events[1].Node, begin: m.c.Ledger.tick()})
		}},
		{"stale local read", "", func(m *made) {
			m.set("1")
			m.set("2")
			m.c.Ledger.add(&call{key: "/k", outcome: acked, local: true, index: 1, node: m.c.Ledger.events[1].Node, begin: m.c.Ledger.tick()})
		}},
		{"wrong read", "read /k", func(m *made) {
			m.set("1")
			m.c.Ledger.add(&call{key: "/k", outcome: acked, index: 1, begin: m.c.Ledger.tick()})
		}},
		{"another state", "does not follow", func(m *made) {
			m.set("1")
			m.tree = replayed("2")
		}},
		{"another event", "has seen", func(m *made) {
			m.set("1")
			e, _ := replayed("").Apply(&tree.Op{Action: tree.Set, Key: "/k", Value: "2"}, 1)
			m.c.Ledger.saw("b", e)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &made{tree: tree.New(), c: &Cluster{}}
			m.c.Ledger = newLedger(m.c)
			test.make(m)
			m.c.Ledger.check(m.tree.View())
			got := strings.Join(m.c.Failures(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

// replayed returns a tree with one value, or none.
func replayed(value string) *tree.Tree {
	t := tree.New()
	if value != "" {
		t.Apply(&tree.Op{Action: tree.Set, Key: "/k", Value: value}, 1)
		t.Publish()
	}
	return t
}

// TestWatch gives a watch events as a node might that loses or repeats some.
func TestWatch(t *testing.T) {
	for want, indexes := range map[string][]int{
		"":                   {1, 2, 3},
		"at index 3, not 2":  {1, 3},
		"at index 2, not 3":  {1, 2, 2},
		"at index 1, not 3":  {1, 2, 1},
		"at index 2, not 1":  {2},
		"others set /k {v1 ": {1, -1},
	} {
		c := &Cluster{}
		c.Ledger = newLedger(c)
		events := make(chan *tree.Event, len(indexes))
		for _, i := range indexes {
			n := &tree.Node{Value: fmt.Sprintf("v%d", i), Modified: uint64(max(i, -i))}
			events <- &tree.Event{Action: tree.Set, Key: "/k", Node: n}
		}
		close(events)
		w := &watch{l: c.Ledger, who: "a", next: 1}
		w.receive(&tree.Watcher{C: events}, &run{ended: make(chan struct{})}, nil)
		got := strings.Join(c.Failures(), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("events %d: found %q, want %q", indexes, got, want)
		}
	}
}
