// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	table := &Table{Title: "a title", Notes: []string{"A note."}, Ours: "confd", Peer: "etcd"}
	table.Add(
		Row{What: "op/s", Goal: AtLeast(2.5), Ours: []float64{12345, 10000, 11000}, Peer: []float64{4000, 5000, 4400},
			OursLatency: &Latency{1500 * time.Microsecond, 20 * time.Millisecond}},
		Row{What: "CPU", Goal: AtMost(1./3, "≤ 1/3"), Ours: []float64{1, 2}, Peer: []float64{4, 5}},
		Row{What: "own", Goal: Own(5, "< 5 s"), Ours: []float64{4.999}},
		Row{What: "both", Goal: Own(1.5, "< 1.5 s").And(AtMost(1, "≤ 1×")), Ours: []float64{1.4}, Peer: []float64{1.3}},
		Row{What: "no goal", Peer: []float64{0.0123}},
	)
	const want = `## a title

A note.

| what | goal | confd | etcd | ratio |  | confd p50 / p99, ms |
|---|---|---|---|---|---|---|
| op/s | ≥ 2.5× | 11,000 (10,000–12,345) | 4,400 (4,000–5,000) | 2.50 (2.00–3.09) | reached | 1.50 / 20.0 |
| CPU | ≤ 1/3 | 1.50 (1.00–2.00) | 4.50 (4.00–5.00) | 0.33 (0.25–0.40) | reached |  |
| own | < 5 s | 5.00 |  |  | reached |  |
| both | < 1.5 s, ≤ 1× | 1.40 | 1.30 | 1.08 | missed |  |
| no goal |  |  | 0.012 |  |  |  |
`
	if got := table.Markdown(); got != want {
		t.Errorf("the page is\n%s", got)
	}
	text := table.Text()
	if !strings.Contains(text, "\nop/s     ≥ 2.5×         11,000 (10,000–12,345)  4,400 (4,000–5,000)  2.50 (2.00–3.09)  reached  1.50 / 20.0\n") {
		t.Errorf("the text is\n%s", text)
	}
	if missed := table.Missed(); len(missed) != 1 || !strings.Contains(missed[0], "both") || table.Reached() != 3 {
		t.Errorf("%q missed, %d reached", missed, table.Reached())
	}
}

func TestNotMeasured(t *testing.T) {
	row := Row{Goal: AtLeast(2), Ours: []float64{1}}
	if got := row.cells()[5]; got != "not measured" {
		t.Errorf("without a peer: %q", got)
	}
}
