// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A nemKind is what an operation does to a key. Every value is written once only, so a
// value tells which operation has written it.
type nemKind string

const (
	nemRead   nemKind = "read"   // linearizable: quorum=true
	nemPlain  nemKind = "plain"  // a read that may be stale
	nemSet    nemKind = "set"    //
	nemCreate nemKind = "create" // prevExist=false
	nemUpdate nemKind = "update" // prevExist=true
	nemSwap   nemKind = "compareAndSwap"
	nemDelete nemKind = "delete"
	nemCad    nemKind = "compareAndDelete"
)

// A nemOutcome is what a client knows after an operation.
type nemOutcome string

const (
	nemOK      nemOutcome = "ok"
	nemRefused nemOutcome = "refused" // by the state of the key
	nemNot     nemOutcome = "not done"
	nemOpen    nemOutcome = "open" // it may have happened, or may yet
)

// A nemOp is one operation of a client and what came of it.
type nemOp struct {
	client, node int
	kind         nemKind
	key          string
	value        string        // to be written
	prev         string        // of compareAndSwap and compareAndDelete
	prevIndex    uint64        // the index that stands for prev in the request, 0 = prev itself
	call, ret    time.Duration // since the round began

	outcome   nemOutcome
	seen      string // the value before a write, or that was read; "" = no such key
	seenIndex uint64 // its modifiedIndex, 0 = unknown or no such key
	known     bool   // seen is known
	exists    bool   // of an operation that was refused: there is such a key
	index     uint64 // of the write: its modifiedIndex
	at        uint64 // X-Etcd-Index of the answer
	text      string // an error's
}

func (o *nemOp) writes() bool { return o.kind != nemRead && o.kind != nemPlain }

func (o *nemOp) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%9.3fs %9.3fs  client %d node %d  %s %s", o.call.Seconds(), o.ret.Seconds(), o.client, o.node, o.kind, o.key)
	switch {
	case o.prevIndex != 0:
		fmt.Fprintf(&b, " %s@%d→%s", o.prev, o.prevIndex, o.value)
	case o.prev != "":
		fmt.Fprintf(&b, " %s→%s", o.prev, o.value)
	case o.value != "":
		fmt.Fprintf(&b, " %s", o.value)
	}
	fmt.Fprintf(&b, ": %s", o.outcome)
	if o.index != 0 {
		fmt.Fprintf(&b, ", modifiedIndex %d", o.index)
	}
	if o.known {
		fmt.Fprintf(&b, ", saw %q", o.seen)
	}
	if o.at != 0 {
		fmt.Fprintf(&b, " at %d", o.at)
	}
	if o.text != "" {
		fmt.Fprintf(&b, " (%.120s)", o.text)
	}
	return b.String()
}

// A nemHistory is what the clients of a round have done.
type nemHistory struct {
	start time.Time
	mu    sync.Mutex
	ops   []*nemOp
}

func (h *nemHistory) now() time.Duration { return time.Since(h.start) }

func (h *nemHistory) add(o *nemOp) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// byKey returns the operations on each key, by the time they were called.
func (h *nemHistory) byKey() map[string][]*nemOp {
	keys := make(map[string][]*nemOp)
	for _, o := range h.ops {
		keys[o.key] = append(keys[o.key], o)
	}
	for _, ops := range keys {
		slices.SortFunc(ops, func(a, b *nemOp) int { return cmp.Compare(a.call, b.call) })
	}
	return keys
}

// nemStep is the sequential truth about one key, whose state is its value, "" if there is
// no such key. It tells whether the operation can have had that outcome in that state.
func nemStep(state string, o *nemOp) (ok bool, next string) {
	if o.outcome == nemRefused {
		return (!o.known || o.seen == state) && o.exists == (state != "") && !nemApplies(state, o), state
	}
	applies := nemApplies(state, o)
	if o.outcome == nemOK && (!applies || o.known && o.seen != state) {
		return false, state
	}
	if !applies || !o.writes() {
		return true, state
	}
	return true, o.value // "" of a deletion
}

// nemApplies tells whether the key's state lets the operation happen.
func nemApplies(state string, o *nemOp) bool {
	switch o.kind {
	case nemCreate:
		return state == ""
	case nemUpdate, nemDelete:
		return state != ""
	case nemSwap, nemCad:
		return state != "" && state == o.prev
	}
	return true
}

// nemModel is nemStep for porcupine. An operation that did not happen is not in its
// history; one with an open outcome never returns.
var nemModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		return nemStep(state.(string), input.(*nemOp))
	},
	DescribeOperation: func(input, _ any) string { return input.(*nemOp).String() },
	DescribeState:     func(state any) string { return fmt.Sprintf("%q", state) },
}

// checkLinearizable looks for an order of the operations on one key that agrees with
// their outcomes and with time. The information is for a drawing of why there is none.
func checkLinearizable(ops []*nemOp, limit time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	var history []porcupine.Operation
	lanes := 0 // an open operation has one of its own, as its client has gone on
	for _, o := range ops {
		lanes = max(lanes, o.client+1)
	}
	for _, o := range ops {
		if o.outcome == nemNot || o.kind == nemPlain || o.outcome == nemOpen && !o.writes() || impliedRead(o, ops) {
			continue
		}
		p := porcupine.Operation{ClientId: o.client, Input: o, Call: int64(o.call), Return: int64(o.ret)}
		if o.outcome == nemOpen {
			p.ClientId, p.Return = lanes, math.MaxInt64
			lanes++
		}
		history = append(history, p)
	}
	return porcupine.CheckOperationsVerbose(nemModel, history, limit)
}

// impliedRead tells whether o is a read during all of another one that has seen the same:
// it can stand beside that one in any order, so it need not be looked at. After a node was
// stopped its answers come all at once, and an order of dozens of reads is not found
// by trying.
func impliedRead(o *nemOp, ops []*nemOp) bool {
	if o.kind != nemRead || o.outcome != nemOK {
		return false
	}
	return slices.ContainsFunc(ops, func(other *nemOp) bool {
		if other == o || other.kind != nemRead || other.outcome != nemOK || other.seen != o.seen {
			return false
		}
		within := o.call <= other.call && other.ret <= o.ret
		same := o.call == other.call && other.ret == o.ret
		return within && (!same || slices.Index(ops, other) < slices.Index(ops, o))
	})
}

// checkOrder holds the indexes against the time: what is called after another has been
// acknowledged must have a higher index, on whatever keys; a linearizable read may have
// the same.
func checkOrder(ops []*nemOp) (violations []string) {
	var acked []*nemOp // answers that bind what is called later
	var calls []*nemOp // what is bound
	for _, o := range ops {
		if o.outcome != nemOK || o.kind == nemPlain {
			continue
		}
		acked = append(acked, o)
		calls = append(calls, o)
	}
	slices.SortFunc(acked, func(a, b *nemOp) int { return cmp.Compare(a.ret, b.ret) })
	slices.SortFunc(calls, func(a, b *nemOp) int { return cmp.Compare(a.call, b.call) })
	var newest *nemOp
	for _, o := range calls {
		for len(acked) > 0 && acked[0].ret < o.call {
			if newest == nil || acked[0].point() > newest.point() {
				newest = acked[0]
			}
			acked = acked[1:]
		}
		if newest == nil {
			continue
		}
		if o.point() < newest.point() || o.writes() && o.point() == newest.point() {
			violations = append(violations, fmt.Sprintf("the index went back in time:\n  %s\nand later\n  %s", newest, o))
		}
	}
	return violations
}

// point is the index at which the operation has happened.
func (o *nemOp) point() uint64 {
	if o.writes() {
		return o.index
	}
	return o.at
}
