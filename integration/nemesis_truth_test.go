// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// A nemTruth is a key space as the events tell it.
type nemTruth struct {
	keys map[string][]nemValue // :: key → its values in time; "" = deleted
}

// at returns a key's value after the change with that index.
func (t *nemTruth) at(key string, index uint64) nemValue {
	past := t.keys[key]
	i := sort.Search(len(past), func(i int) bool { return past[i].index > index })
	if i == 0 {
		return nemValue{}
	}
	return past[i-1]
}

// final returns the keys that there are after the change with that index.
func (t *nemTruth) final(index uint64) map[string]nemValue {
	m := make(map[string]nemValue)
	for key := range t.keys {
		if v := t.at(key, index); v.value != "" {
			m[key] = v
		}
	}
	return m
}

// checkEvents holds the events of one watcher against each other: every index once, in
// order, and each change on top of the one before it.
func checkEvents(events []nemEvent) (truth *nemTruth, violations []string) {
	truth = &nemTruth{keys: make(map[string][]nemValue)}
	for i, e := range events {
		if i > 0 && e.index <= events[i-1].index {
			violations = append(violations, fmt.Sprintf("after event %s came %s", events[i-1], e))
			continue
		}
		if before := truth.at(e.key, math.MaxUint64); before.value != e.prev || before.value != "" && before.index != e.prevIndex {
			violations = append(violations, fmt.Sprintf("the events tell %q of %d as the value before event %s", before.value, before.index, e))
		}
		truth.keys[e.key] = append(truth.keys[e.key], nemValue{e.value, e.index})
	}
	return truth, violations
}

// sameEvents compares what two watchers were told.
func sameEvents(a, b *nemWatcher) string {
	for i := range max(len(a.events), len(b.events)) {
		switch {
		case i >= len(a.events):
			return fmt.Sprintf("only watcher %s was told of %s", b.name, b.events[i])
		case i >= len(b.events):
			return fmt.Sprintf("only watcher %s was told of %s", a.name, a.events[i])
		case a.events[i] != b.events[i]:
			return fmt.Sprintf("watcher %s was told of %s, watcher %s of %s", a.name, a.events[i], b.name, b.events[i])
		}
	}
	return ""
}

// checkWrites holds the events against what the clients know: an acknowledged write is
// told with its index, a refused one never, one with an open outcome at most once.
func checkWrites(events []nemEvent, ops []*nemOp) (violations []string) {
	acked, violations := checkAcked(events, ops)
	return append(violations, checkAuthors(events, ops, acked)...)
}

// checkAcked looks for the event of each acknowledged write, and returns which they are.
func checkAcked(events []nemEvent, ops []*nemOp) (acked map[uint64]*nemOp, violations []string) {
	byIndex := make(map[uint64]nemEvent)
	for _, e := range events {
		byIndex[e.index] = e
	}
	acked = make(map[uint64]*nemOp)
	for _, o := range ops {
		if !o.writes() || o.outcome != nemOK {
			continue
		}
		e, ok := byIndex[o.index]
		switch {
		case !ok:
			violations = append(violations, fmt.Sprintf("no event tells of the acknowledged\n  %s", o))
		case e.key != o.key || e.value != o.value || e.action != string(o.kind) || o.known && e.prev != o.seen:
			violations = append(violations, fmt.Sprintf("event %s is not the acknowledged\n  %s", e, o))
		case acked[o.index] != nil:
			violations = append(violations, fmt.Sprintf("event %s is two acknowledged writes:\n  %s\n  %s", e, o, acked[o.index]))
		}
		acked[o.index] = o
	}
	return acked, violations
}

// checkAuthors looks for the operation behind each event.
func checkAuthors(events []nemEvent, ops []*nemOp, acked map[uint64]*nemOp) (violations []string) {
	writers := make(map[string]*nemOp) // :: value → the operation that may have written it
	removing := make(map[string]int)   // :: key → deletions with an open outcome
	for _, o := range ops {
		switch {
		case !o.writes() || o.outcome != nemOK && o.outcome != nemOpen:
		case o.value != "":
			writers[o.value] = o
		case o.outcome == nemOpen:
			removing[o.key]++
		}
	}
	told := make(map[string]nemEvent) // :: value → the event that brought it
	for _, e := range events {
		if e.value == "" {
			if acked[e.index] == nil {
				if removing[e.key]--; removing[e.key] < 0 {
					violations = append(violations, fmt.Sprintf("nobody can have done %s", e))
				}
			}
			continue
		}
		if o := writers[e.value]; o == nil || o.key != e.key || o.outcome == nemOpen && string(o.kind) != e.action {
			violations = append(violations, fmt.Sprintf("nobody can have done %s", e))
		}
		if first, ok := told[e.value]; ok {
			violations = append(violations, fmt.Sprintf("one write, two events: %s and %s", first, e))
		}
		told[e.value] = e
	}
	return violations
}

// checkReads holds what was read, plain reads too, against the events: an answer with
// X-Etcd-Index N shows the key as change N has left it.
func checkReads(truth *nemTruth, ops []*nemOp) (violations []string) {
	for _, o := range ops {
		if o.writes() || o.outcome != nemOK {
			continue
		}
		want := truth.at(o.key, o.at)
		if want.value != o.seen || want.value != "" && want.index != o.seenIndex {
			violations = append(violations, fmt.Sprintf("change %d left %q of %d in\n  %s", o.at, want.value, want.index, o))
		}
	}
	return violations
}

// checkFinal holds a node's keys at the end against the events and the ledger.
func checkFinal(got, want map[string]nemValue, ledger []*nemOp) (violations []string) {
	for _, o := range ledger {
		if v := got[o.key]; v != (nemValue{o.value, o.index}) {
			violations = append(violations, fmt.Sprintf("it has %q of %d after the acknowledged\n  %s", v.value, v.index, o))
		}
	}
	var keys []string
	for key := range want {
		keys = append(keys, key)
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if got[key] != want[key] {
			violations = append(violations, fmt.Sprintf("%s is %q of %d, and the events say %q of %d", key, got[key].value, got[key].index, want[key].value, want[key].index))
		}
	}
	return violations
}
