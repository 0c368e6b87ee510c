// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// during puts an operation in time, in milliseconds.
func (o nemOp) during(call, ret int) *nemOp {
	o.key, o.call, o.ret = "/k", time.Duration(call)*ms, time.Duration(ret)*ms
	return &o
}

func nemReadOf(value string) nemOp {
	return nemOp{kind: nemRead, outcome: nemOK, known: true, seen: value}
}

// nemWrote is an acknowledged write that told the value before it.
func nemWrote(kind nemKind, before, value string) nemOp {
	o := nemOp{kind: kind, outcome: nemOK, known: true, seen: before, value: value}
	if kind == nemSwap || kind == nemCad {
		o.prev = before
	}
	return o
}

// TestNemesisModel shows that the model accepts what may happen to a key and finds what
// may not.
func TestNemesisModel(t *testing.T) {
	open := func(o nemOp) nemOp {
		o.outcome, o.known, o.seen = nemOpen, false, ""
		return o
	}
	refused := func(kind nemKind, prev, actual string) nemOp {
		return nemOp{kind: kind, prev: prev, value: "never", outcome: nemRefused, known: true, seen: actual, exists: actual != ""}
	}
	set := nemWrote(nemSet, "", "a").during(0, 10)
	for _, test := range []struct {
		name string
		want porcupine.CheckResult
		ops  []*nemOp
	}{
		{"a key's life", porcupine.Ok, []*nemOp{
			nemReadOf("").during(0, 1), nemWrote(nemCreate, "", "a").during(2, 3), refused(nemSwap, "x", "a").during(4, 5),
			nemWrote(nemSwap, "a", "b").during(6, 7), nemWrote(nemUpdate, "b", "c").during(8, 9), nemWrote(nemCad, "c", "").during(10, 11),
			refused(nemDelete, "", "").during(12, 13), nemWrote(nemSet, "", "d").during(14, 15), nemWrote(nemDelete, "d", "").during(16, 17), nemReadOf("").during(18, 19),
		}},
		{"a read beside a write sees either", porcupine.Ok, []*nemOp{set, nemReadOf("").during(1, 5), nemReadOf("a").during(6, 9)}},
		{"new, then old, beside a write", porcupine.Illegal, []*nemOp{set, nemReadOf("a").during(1, 5), nemReadOf("").during(6, 9)}},
		{"stale read", porcupine.Illegal, []*nemOp{set, nemWrote(nemSet, "a", "b").during(11, 20), nemReadOf("a").during(21, 30)}},
		{"stale read, but plain", porcupine.Ok, []*nemOp{set, nemWrote(nemSet, "a", "b").during(11, 20), nemOp{kind: nemPlain, outcome: nemOK, known: true, seen: "a"}.during(21, 30)}},
		{"lost write", porcupine.Illegal, []*nemOp{set, nemReadOf("").during(11, 20)}},
		{"lost write, seen by the next", porcupine.Illegal, []*nemOp{set, nemWrote(nemSet, "", "b").during(11, 20)}},
		{"a value from nowhere", porcupine.Illegal, []*nemOp{set, nemReadOf("z").during(11, 20)}},
		{"two swaps of one value", porcupine.Illegal, []*nemOp{set, nemWrote(nemSwap, "a", "b").during(11, 20), nemWrote(nemSwap, "a", "c").during(12, 21)}},
		{"two creations", porcupine.Illegal, []*nemOp{nemWrote(nemCreate, "", "a").during(0, 10), nemWrote(nemCreate, "", "b").during(0, 10)}},
		{"a refused swap that is right", porcupine.Illegal, []*nemOp{set, nemOp{kind: nemSwap, prev: "a", value: "b", outcome: nemRefused, exists: true}.during(11, 20)}},
		{"a refused swap that happened", porcupine.Illegal, []*nemOp{set, refused(nemSwap, "x", "a").during(11, 20), nemReadOf("never").during(21, 30)}},
		{"a deletion of nothing", porcupine.Illegal, []*nemOp{nemWrote(nemDelete, "a", "").during(0, 10)}},
		{"an open write that happened", porcupine.Ok, []*nemOp{set, open(nemWrote(nemSet, "", "b")).during(11, 20), nemReadOf("b").during(21, 30)}},
		{"an open write that happened late", porcupine.Ok, []*nemOp{set, open(nemWrote(nemSet, "", "b")).during(11, 20), nemReadOf("a").during(21, 30), nemReadOf("b").during(31, 40)}},
		{"an open write that never happened", porcupine.Ok, []*nemOp{set, open(nemWrote(nemSwap, "a", "b")).during(11, 20), nemReadOf("a").during(21, 30)}},
		{"an open write that happened twice", porcupine.Illegal, []*nemOp{
			set, open(nemWrote(nemSet, "", "b")).during(11, 20), nemReadOf("b").during(21, 30), nemWrote(nemSet, "b", "c").during(31, 40), nemReadOf("b").during(41, 50),
		}},
		{"a write that was not done, done", porcupine.Illegal, []*nemOp{set, nemOp{kind: nemSet, value: "b", outcome: nemNot}.during(11, 20), nemReadOf("b").during(21, 30)}},
	} {
		if got, _ := checkLinearizable(test.ops, time.Minute); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestNemesisManyReads has the checker come to an end with many reads at the same time: the
// deletion before them can have happened at any time, and did so after them.
func TestNemesisManyReads(t *testing.T) {
	ops := []*nemOp{
		nemOp{kind: nemDelete, outcome: nemOpen}.during(0, 1),
		nemWrote(nemSet, "", "a").during(2, 3),
	}
	const reads = 40
	for i := range reads {
		ops = append(ops, nemReadOf("a").during(4+i, 200-i))
	}
	ops = append(ops, nemReadOf("a").during(4, 200), nemReadOf("").during(201, 202))
	if got, _ := checkLinearizable(ops, time.Minute); got != porcupine.Ok {
		t.Errorf("got %v", got)
	}
	ops = append(ops, nemReadOf("a").during(203, 204))
	if got, _ := checkLinearizable(ops, time.Minute); got != porcupine.Illegal {
		t.Errorf("a read of what was deleted: %v", got)
	}
}

// TestNemesisOrder shows that indexes which disagree with the time are found.
func TestNemesisOrder(t *testing.T) {
	write := func(index uint64, call, ret int) *nemOp {
		return nemOp{kind: nemSet, outcome: nemOK, index: index, at: index}.during(call, ret)
	}
	read := func(kind nemKind, at uint64, call, ret int) *nemOp {
		return nemOp{kind: kind, outcome: nemOK, at: at}.during(call, ret)
	}
	for _, test := range []struct {
		name string
		want int
		ops  []*nemOp
	}{
		{"in order", 0, []*nemOp{write(5, 0, 10), write(6, 11, 20), read(nemRead, 6, 21, 30)}},
		{"side by side", 0, []*nemOp{write(6, 0, 10), write(5, 10, 20), read(nemRead, 4, 5, 30)}},
		{"a later write with a lower index", 1, []*nemOp{write(6, 0, 10), write(5, 11, 20)}},
		{"the same index twice", 1, []*nemOp{write(6, 0, 10), write(6, 11, 20)}},
		{"a read before what was acknowledged", 1, []*nemOp{write(6, 0, 10), read(nemRead, 5, 11, 20)}},
		{"a read before what was read", 1, []*nemOp{read(nemRead, 6, 0, 10), read(nemRead, 5, 11, 20)}},
		{"a plain read may be stale", 0, []*nemOp{write(6, 0, 10), read(nemPlain, 5, 11, 20)}},
	} {
		if got := checkOrder(test.ops); len(got) != test.want {
			t.Errorf("%s: got %q, want %d violations", test.name, got, test.want)
		}
	}
}

// nemStory is what a watcher is told of four writes.
var nemStory = []nemEvent{
	{index: 5, action: "set", key: "/a", value: "1"},
	{index: 6, action: "create", key: "/b", value: "2"},
	{index: 8, action: "compareAndSwap", key: "/a", value: "3", prev: "1", prevIndex: 5},
	{index: 9, action: "delete", key: "/b", prev: "2", prevIndex: 6},
}

// acked is an acknowledged write of that story.
func (o nemOp) acked(key string, index uint64) *nemOp {
	o.key, o.index = key, index
	return &o
}

// TestNemesisWatch shows that events which are lost, repeated, out of order or made up
// are found, and so are reads that disagree with them.
func TestNemesisWatch(t *testing.T) {
	events := nemStory
	ops := []*nemOp{
		nemWrote(nemSet, "", "1").acked("/a", 5), nemWrote(nemCreate, "", "2").acked("/b", 6), nemWrote(nemSwap, "1", "3").acked("/a", 8),
		{kind: nemDelete, key: "/b", outcome: nemOpen},
		{kind: nemPlain, key: "/a", outcome: nemOK, known: true, seen: "1", seenIndex: 5, at: 7},
		{kind: nemRead, key: "/b", outcome: nemOK, known: true, at: 9},
	}
	all := func(events []nemEvent, ops []*nemOp) []string {
		truth, violations := checkEvents(events)
		return slices.Concat(violations, checkWrites(events, ops), checkReads(truth, ops))
	}
	if got := all(events, ops); len(got) > 0 {
		t.Fatalf("violations where there are none: %q", got)
	}
	swapped := slices.Clone(events)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	changed := func(i int, f func(*nemOp)) []*nemOp {
		c := slices.Clone(ops)
		o := *c[i]
		f(&o)
		c[i] = &o
		return c
	}
	for _, test := range []struct {
		name   string
		events []nemEvent
		ops    []*nemOp
		want   string
	}{
		{"lost", slices.Delete(slices.Clone(events), 2, 3), ops, "no event tells of the acknowledged"},
		{"lost, of a key that goes on", slices.Delete(slices.Clone(events), 0, 1), ops, `the events tell "" of 0 as the value before event 8`},
		{"lost, with an open outcome", slices.Delete(slices.Clone(events), 3, 4), ops, `change 9 left "2" of 6 in`},
		{"repeated", slices.Insert(slices.Clone(events), 2, events[1]), ops, "after event 6"},
		{"out of order", swapped, ops, "after event 6"},
		{"made up", append(slices.Clone(events), nemEvent{index: 10, action: "set", key: "/a", value: "x", prev: "3", prevIndex: 8}), ops, "nobody can have done 10"},
		{"deleted by nobody", append(slices.Clone(events), nemEvent{index: 10, action: "delete", key: "/a", prev: "3", prevIndex: 8}), ops, "nobody can have done 10"},
		{"one write, two events", append(slices.Clone(events), nemEvent{index: 10, action: "compareAndSwap", key: "/a", value: "3", prev: "3", prevIndex: 8}), ops, "one write, two events"},
		{"another index than acknowledged", events, changed(0, func(o *nemOp) { o.index = 7 }), "no event tells of the acknowledged"},
		{"another value than acknowledged", events, changed(0, func(o *nemOp) { o.value = "9" }), "is not the acknowledged"},
		{"one index for two", events, append(slices.Clone(ops), nemWrote(nemSet, "", "1").acked("/a", 5)), "two acknowledged writes"},
		{"a refused write happened", events, changed(1, func(o *nemOp) { o.outcome = nemRefused }), "nobody can have done 6"},
		{"a write that was not done happened", events, changed(1, func(o *nemOp) { o.outcome = nemNot }), "nobody can have done 6"},
		{"a read of the future", events, changed(4, func(o *nemOp) { o.seen = "3" }), `change 7 left "1" of 5`},
		{"a read that lost a deletion", events, changed(5, func(o *nemOp) { o.seen = "2" }), `change 9 left "" of 9`},
	} {
		if got := strings.Join(all(test.events, test.ops), "\n"); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNemesisEnd shows that watchers which were told different things, and nodes which
// end up with other keys than they were, are found.
func TestNemesisEnd(t *testing.T) {
	a, b := &nemWatcher{name: "1", events: nemStory}, &nemWatcher{name: "2", events: nemStory[:3]}
	if got := sameEvents(a, a); got != "" {
		t.Errorf("the same watcher twice: %s", got)
	}
	if got := sameEvents(a, b); !strings.Contains(got, "only watcher 1 was told of 9 delete /b") {
		t.Errorf("a watcher that lost the last event: %q", got)
	}
	truth, _ := checkEvents(nemStory)
	final := map[string]nemValue{"/a": {"3", 8}}
	ledger := []*nemOp{nemWrote(nemSwap, "1", "3").acked("/a", 8)}
	if got := checkFinal(final, truth.final(9), ledger); len(got) > 0 {
		t.Errorf("violations where there are none: %q", got)
	}
	for name, got := range map[string]map[string]nemValue{
		"lost": {}, "another index": {"/a": {"3", 5}}, "more": {"/a": {"3", 8}, "/b": {"2", 6}},
	} {
		if v := checkFinal(got, truth.final(9), ledger); len(v) == 0 {
			t.Errorf("final state %q: no violation", name)
		}
	}
}
