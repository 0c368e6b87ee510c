// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// check looks for violations in what a round has left.
func (n *nemRun) check(h *nemHistory, watchers []*nemWatcher, finals []map[string]nemValue, end uint64) {
	moves := 0
	for _, w := range watchers {
		moves += w.moves
	}
	n.report.round(h.ops, len(watchers[0].events), moves)
	for key, ops := range h.byKey() {
		n.checkKey(key, ops)
	}
	n.report.violationsOf("order", checkOrder(h.ops))

	truth, violations := checkEvents(watchers[0].events)
	n.report.violationsOf("watcher 1", violations)
	for _, w := range watchers[1:] {
		_, violations := checkEvents(w.events)
		n.report.violationsOf("watcher "+w.name, violations)
		if d := sameEvents(watchers[0], w); d != "" {
			n.report.violation("watchers: %s", d)
		}
	}
	n.report.violationsOf("events", checkWrites(watchers[0].events, h.ops))
	n.report.violationsOf("reads", checkReads(truth, h.ops))
	var ledger []*nemOp
	for _, o := range h.ops {
		if o.outcome == nemOK && strings.Contains(o.key, "/ledger/") {
			ledger = append(ledger, o)
		}
	}
	for i, keys := range finals {
		n.report.violationsOf("node "+n.cluster.nodes[i].name+" at the end", checkFinal(keys, truth.final(end), ledger))
	}
	if n.report.broken() {
		n.keepAll(h, watchers)
	}
}

// checkKey checks one key with porcupine and draws what is wrong.
func (n *nemRun) checkKey(key string, ops []*nemOp) {
	result, info := checkLinearizable(ops, time.Minute)
	if result == porcupine.Ok {
		return
	}
	var text strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&text, o)
	}
	name := strings.ReplaceAll(strings.Trim(key, "/"), "/", "-")
	n.report.keep(name+".txt", []byte(text.String()))
	if result == porcupine.Unknown {
		n.report.violation("key %s: the checker has not come to an end with\n%s", key, text.String())
		return
	}
	var drawing bytes.Buffer
	if err := porcupine.Visualize(nemModel, info, &drawing); err != nil {
		fmt.Fprintf(&drawing, "%v", err)
	}
	n.report.violation("key %s is not linearizable; drawn in %s:\n%s", key, n.report.keep(name+".html", drawing.Bytes()), text.String())
}

// keepAll keeps what the clients and the watchers of a round saw.
func (n *nemRun) keepAll(h *nemHistory, watchers []*nemWatcher) {
	var b bytes.Buffer
	for _, o := range h.ops {
		fmt.Fprintln(&b, o)
	}
	n.t.Logf("all operations: %s", n.report.keep("operations.txt", b.Bytes()))
	for _, w := range watchers {
		b.Reset()
		for _, e := range w.events {
			fmt.Fprintln(&b, e)
		}
		n.t.Logf("events of watcher %s: %s", w.name, n.report.keep("watcher-"+w.name+".txt", b.Bytes()))
	}
}
