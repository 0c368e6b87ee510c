// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"confd/raftkv/tree"
)

// metricsOf returns the samples of a node as lines.
func metricsOf(n *Node) string {
	var page MetricsPage
	n.WriteMetrics(&page)
	return "\n" + string(page.Bytes())
}

func wantSamples(t *testing.T, n *Node, samples ...string) {
	t.Helper()
	page := metricsOf(n)
	for _, s := range samples {
		if !strings.Contains(page, "\n"+s+"\n") {
			name, _, _ := strings.Cut(s, " ")
			i := strings.Index(page, "\n"+name+" ")
			t.Errorf("want %s, got %.80q", s, page[max(i, 0):])
		}
	}
}

// TestMetricsOfTwoNodes: nodes of one process do not count for each other.
func TestMetricsOfTwoNodes(t *testing.T) {
	one, two := open(t, testConfig(t)), open(t, testConfig(t))
	before := two.counts.entries.Load()
	for range 3 {
		if _, err := one.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "v"}); err != nil {
			t.Fatal(err)
		}
	}
	wantSamples(t, one, "confd_tree_index 3", "confd_tree_keys 1", `confd_raft_servers{vote="yes"} 1`,
		`confd_tree_operations_total{action="set",result="done"} 3`, "confd_raft_candidacies_total 1")
	wantSamples(t, two, "confd_tree_index 0", "confd_raft_candidacies_total 1",
		`confd_tree_operations_total{action="set",result="done"} 0`)
	if got := two.counts.entries.Load(); got != before {
		t.Errorf("the second node wrote %d entries", got-before)
	}
}

func TestMetricsOfSnapshots(t *testing.T) {
	cfg := testConfig(t)
	cfg.SnapshotCount = 10
	n := open(t, cfg)
	wantSamples(t, n, "confd_snapshot_duration_seconds_count 0", "confd_snapshot_size_bytes 0")
	for i := range 12 {
		if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: fmt.Sprintf("/%d", i), Value: "v"}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the size of a snapshot shows", func() bool {
		return n.counts.snapshot.Count() > 0 && n.counts.snapshotBytes.Load() > 0
	})
	index := n.counts.snapshotIndex.Load()
	if index == 0 {
		t.Error("the index of the snapshot does not show")
	}
	closeNode(t, n)

	// After a restart it is known still, and read.
	n = open(t, cfg)
	if got := n.counts.snapshotIndex.Load(); got < index {
		t.Errorf("after a restart the index is %d, want %d", got, index)
	}
	wantSamples(t, n, "confd_raft_restore_duration_seconds_count 1")
}

func TestMetricsOfFailures(t *testing.T) {
	n, f := openFaulty(t, func(*Config) {})
	f.fail.Store(true)
	for range 2 { // the first is of unknown outcome, the second is refused
		if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a"}); err == nil {
			t.Fatal("a write has succeeded")
		}
		<-n.Failed()
	}
	wantSamples(t, n, `confd_proposals_failed_total{outcome="unknown"} 1`,
		`confd_proposals_failed_total{outcome="not_proposed"} 1`, "etcd_server_proposals_failed_total 2",
		"confd_proposals_pending 0")
	closeNode(t, n)
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 25 * time.Microsecond, 26 * time.Microsecond, time.Second, time.Minute} {
		h.Observe(d)
	}
	var p MetricsPage
	p.Begin("histogram", "x_seconds", "X.")
	p.Histogram(`a="b"`, &h)
	got := string(p.Bytes())
	for _, want := range []string{
		"# HELP x_seconds X.\n# TYPE x_seconds histogram\n",
		`x_seconds_bucket{a="b",le="0.000025"} 2` + "\n" + `x_seconds_bucket{a="b",le="0.00005"} 3` + "\n",
		`x_seconds_bucket{a="b",le="0.5"} 3` + "\n" + `x_seconds_bucket{a="b",le="1"} 4` + "\n",
		`x_seconds_bucket{a="b",le="10"} 4` + "\n" + `x_seconds_bucket{a="b",le="+Inf"} 5` + "\n",
		`x_seconds_sum{a="b"} 61.000051` + "\n" + `x_seconds_count{a="b"} 5` + "\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if got := testing.AllocsPerRun(100, func() { h.Observe(time.Millisecond) }); got != 0 {
		t.Errorf("Observe allocates %v times", got)
	}
}
