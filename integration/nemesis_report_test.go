// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// A nemReport is what has happened to a cluster, for people.
type nemReport struct {
	t       *testing.T
	program string
	network string
	nodes   int

	mu         sync.Mutex
	took       time.Duration
	rounds     int
	outcomes   map[nemOutcome]int
	events     int
	moves      int                        // of watchers to another node
	faults     map[string]int             // :: kind → how often
	gaps       map[string][]time.Duration // :: kind of fault to the leader → gaps
	losses     []time.Duration            // those gaps, unless the leader was back before it was missed
	handovers  []time.Duration            // gaps when the leader was asked to stop
	recoveries []time.Duration            // from the end of a fault until every node is well
	answers    []time.Duration            // to writes without a quorum
	violations int
	evidence   string // folder
}

func newNemReport(t *testing.T, program string, nodes int) *nemReport {
	return &nemReport{
		t: t, program: program, nodes: nodes,
		outcomes: make(map[nemOutcome]int), faults: make(map[string]int), gaps: make(map[string][]time.Duration),
	}
}

// violation fails the test.
func (r *nemReport) violation(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations++
	r.t.Errorf("violation: "+format, args...)
}

// violationsOf is violation for all that a check has found. Five of them are printed.
func (r *nemReport) violationsOf(check string, found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations += len(found)
	for _, v := range found[:min(len(found), 5)] {
		r.t.Errorf("violation: %s: %s", check, v)
	}
	if len(found) > 5 {
		r.t.Errorf("violation: %s: %d more like these", check, len(found)-5)
	}
}

func (r *nemReport) broken() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.violations > 0
}

func (r *nemReport) struck(kinds []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range kinds {
		r.faults[k]++
	}
	if len(kinds) > 1 {
		r.faults["two at once"]++
	}
}

// gap notes one; lost says that the leader was taken for lost.
func (r *nemReport) gap(f nemFault, gap time.Duration, lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps[f.kind] = append(r.gaps[f.kind], gap)
	switch {
	case f.graceful:
		r.handovers = append(r.handovers, gap)
	case lost:
		r.losses = append(r.losses, gap)
	}
	r.timeline("         gap %v", gap.Round(ms))
}

// timeline prints what happens to the cluster, with the time as in the nodes' logs.
func (r *nemReport) timeline(format string, args ...any) {
	r.t.Logf("%s "+format, append([]any{time.Now().UTC().Format("15:04:05.000")}, args...)...)
}

func (r *nemReport) recovered(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recoveries = append(r.recoveries, d)
	r.timeline("         healthy after %v", d.Round(ms))
}

func (r *nemReport) answered(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, d)
}

func (r *nemReport) round(ops []*nemOp, events, moves int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range ops {
		r.outcomes[o.outcome]++
	}
	r.rounds++
	r.events += events
	r.moves += moves
}

// keep writes a file that explains a violation, and returns its path. The folder stays.
func (r *nemReport) keep(name string, data []byte) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if r.evidence == "" {
		if r.evidence, err = os.MkdirTemp("", "confd-nemesis-"); err != nil {
			return err.Error()
		}
	}
	path := filepath.Join(r.evidence, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err.Error()
	}
	return path
}

// nemGapGoal is what a leader loss should cost at most at default timeouts. A machine that
// has other things to do may miss it now and then, and not as a rule.
const nemGapGoal = 1500 * ms

func (r *nemReport) checkGaps(goal time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p50 := median(r.losses); goal > 0 && p50 > goal {
		r.t.Errorf("half of the leader losses cost %v and more, the goal is %v: %v", p50, goal, r.losses)
	}
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

// spread describes durations.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: p50 %v, max %v", len(d), median(d).Round(ms), slices.Max(d).Round(ms))
}

// lines are the report, as label and value.
func (r *nemReport) lines() (lines [][2]string) {
	add := func(label, format string, args ...any) {
		lines = append(lines, [2]string{label, fmt.Sprintf(format, args...)})
	}
	total, faults := 0, 0
	for _, n := range r.outcomes {
		total += n
	}
	for _, n := range r.faults {
		faults += n
	}
	add("cluster", "%s, %d nodes, %s", r.program, r.nodes, r.network)
	add("time", "%v, %d rounds", r.took.Round(sc), r.rounds)
	add("operations", "%d", total)
	for _, o := range []nemOutcome{nemOK, nemRefused, nemNot, nemOpen} {
		add("  "+string(o), "%d", r.outcomes[o])
	}
	add("events to each watcher", "%d; %d times moved on", r.events, r.moves)
	add("faults", "%d", faults-r.faults["two at once"])
	for _, k := range slices.Sorted(maps.Keys(r.faults)) {
		add("  "+k, "%d", r.faults[k])
	}
	add("VIOLATIONS", "%d", r.violations)
	add("gap per leader loss", "%s", spread(r.losses))
	add("  goal", "%v; missed %d times", nemGapGoal, len(slices.DeleteFunc(slices.Clone(r.losses), func(d time.Duration) bool { return d < nemGapGoal })))
	add("gap per handover", "%s", spread(r.handovers))
	for _, f := range slices.Concat(nemProcessFaults, nemNetworkFaults) {
		if f.leader {
			add("  gap, "+f.kind, "%s", spread(r.gaps[f.kind]))
		}
	}
	add("healthy again after", "%s", spread(r.recoveries))
	add("answer without a quorum", "%s", spread(r.answers))
	return lines
}

// printReports prints reports side by side.
func printReports(t *testing.T, reports []*nemReport) {
	t.Helper()
	var rows [][]string
	at := make(map[string]int)
	for i, r := range reports {
		for _, l := range r.lines() {
			if _, ok := at[l[0]]; !ok {
				at[l[0]] = len(rows)
				rows = append(rows, append([]string{l[0]}, make([]string, len(reports))...))
			}
			rows[at[l[0]]][i+1] = l[1]
		}
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	t.Logf("nemesis\n%s", &b)
}
