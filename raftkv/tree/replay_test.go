// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestReplay: what was replayed is what was applied, and who has a view of before sees in it
// what was there.
func TestReplay(t *testing.T) {
	var ops []Op
	for i := range 5 * historyLen {
		op := Op{Action: Set, Key: fmt.Sprintf("/d%d/k%d", i%7, i%301), Value: fmt.Sprint(i), TTL: uint64(i % 50), HasTTL: i%3 == 0}
		switch {
		case i%97 == 0:
			op = Op{Action: Delete, Key: fmt.Sprintf("/d%d", i%7), Recursive: true}
		case i%11 == 0:
			op.Action, op.HasTTL, op.Refresh = Set, true, true
		case i%13 == 0:
			op.Action = Create
		}
		ops = append(ops, op)
	}
	apply := func(tr *Tree, first, last int) {
		for i := first; i < last; i++ {
			tr.Expire(t0 + int64(i)*second/100)
			tr.Apply(&ops[i], t0+int64(i)*second/100)
		}
	}
	want := New()
	apply(want, 0, len(ops))
	want.Publish()
	for _, before := range []int{0, 1, historyLen / 2, 2*historyLen + 10} {
		tr := New()
		apply(tr, 0, before)
		tr.Publish()
		old := tr.View()
		told := slices.Clone(old.events)
		indexes := indexesOf(told)
		w := watch(t, tr, "/", true, true, 0)
		tr.Replay(func() { apply(tr, before, len(ops)) })
		if tr.Hash() != want.Hash() || tr.Stats() != want.Stats() || tr.NextExpiry() != want.NextExpiry() || tr.history.bytes != want.history.bytes {
			t.Errorf("after %d that were applied, the replayed tree differs", before)
		}
		if !slices.Equal(old.events, told) || !slices.Equal(indexesOf(told), indexes) {
			t.Errorf("after %d, the history that was there has changed", before)
		}
		if _, open := <-w.C; open {
			t.Errorf("after %d, a watcher goes on", before)
		}
		checkTree(t, tr)
		must(t, tr, Op{Action: Set, Key: "/more"})
		if _, err := tr.View().Get("/more"); err != nil || tr.View().Index() != want.View().Index()+1 {
			t.Errorf("after %d, the tree does not go on", before)
		}
	}
}

// TestReplayLarge: an event is used again only once, also where none is dropped for the next one.
func TestReplayLarge(t *testing.T) {
	large := strings.Repeat("x", historyBytes/4)
	apply := func(tr *Tree) {
		for i := range 40 {
			value := "small"
			if i%5 == 0 {
				value = large
			}
			tr.Apply(&Op{Action: Set, Key: fmt.Sprint("/", i), Value: value}, t0)
		}
	}
	want, got := New(), New()
	apply(want)
	want.Publish()
	got.Replay(func() { apply(got) })
	if !slices.Equal(indexesOf(got.View().events), indexesOf(want.View().events)) {
		t.Errorf("the history has %v, want %v", indexesOf(got.View().events), indexesOf(want.View().events))
	}
}

func indexesOf(events []*Event) (all []uint64) {
	for _, e := range events {
		all = append(all, e.Index())
	}
	return all
}
