// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
)

// scrape returns the page /metrics and its samples.
func scrape(t testing.TB, h http.Handler) (string, map[string]float64) {
	t.Helper()
	resp := do(t, h, "GET", "/metrics", "")
	page := bodyOf(t, resp)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != typeMetrics {
		t.Fatalf("got %d %s", resp.StatusCode, got)
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "} ")
		if ok {
			name += "}"
		} else {
			name, value, ok = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		}
		v, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			t.Fatalf("not a sample: %q", line)
		}
		if _, twice := samples[name]; twice {
			t.Fatalf("sample %s is there twice", name)
		}
		samples[name] = v
	}
	return page, samples
}

// TestMetricsMove: what a client does shows in the metrics of a real node.
func TestMetricsMove(t *testing.T) {
	h := New(raftkvtest.Open(t), Options{})
	_, before := scrape(t, h)
	do(t, h, "PUT", "/v2/keys/a", "value=12345")
	do(t, h, "PUT", "/v2/keys/d/b?prevExist=false", "value=1")
	do(t, h, "PUT", "/v2/keys/a?prevValue=other", "value=1") // refused
	do(t, h, "GET", "/v2/keys/a", "")
	do(t, h, "GET", "/v2/keys/a?quorum=true", "")
	do(t, h, "GET", "/v2/keys/missing", "")
	do(t, h, "GET", "/v2/keys/a?wait=true&waitIndex=1", "") // from the history
	do(t, h, "BREW", "/nowhere", "")
	_, after := scrape(t, h)

	for name, want := range map[string]float64{
		"confd_proposals_total":                                                              3,
		`confd_proposals_failed_total{outcome="unknown"}`:                                    0,
		"confd_tree_index":                                                                   2,
		"confd_tree_keys":                                                                    3,
		"confd_tree_bytes":                                                                   float64(len("/a12345/d/d/b1")),
		"confd_log_write_duration_seconds_count":                                             3,
		`confd_log_write_duration_seconds_bucket{le="+Inf"}`:                                 3,
		"confd_proposal_entries_total":                                                       3,
		"confd_proposal_commit_duration_seconds_count":                                       3,
		"confd_raft_applied_entries_total":                                                   3,
		"confd_read_confirm_duration_seconds_count":                                          1,
		`confd_tree_operations_total{action="set",result="done"}`:                            1,
		`confd_tree_operations_total{action="compareAndSwap",result="refused"}`:              1,
		`confd_tree_reads_total{result="found"}`:                                             2,
		`confd_tree_reads_total{result="refused"}`:                                           1,
		`confd_http_request_duration_seconds_count{method="PUT",route="keys",code="201"}`:    2,
		`confd_http_request_duration_seconds_count{method="PUT",route="keys",code="412"}`:    1,
		`confd_http_request_duration_seconds_count{method="GET",route="keys",code="200"}`:    2,
		`confd_http_request_duration_seconds_count{method="GET",route="keys",code="404"}`:    1,
		`confd_http_request_duration_seconds_count{method="GET",route="watch",code="200"}`:   1,
		`confd_http_request_duration_seconds_count{method="GET",route="metrics",code="200"}`: 1,
		`confd_http_request_duration_seconds_count{method="other",route="other",code="404"}`: 1,
		"confd_http_watch_events_total":                                                      1,
		"etcd_disk_wal_fsync_duration_seconds_count":                                         3,
		`etcd_debugging_store_writes_total{action="create"}`:                                 1,
		"etcd_server_proposals_applied_total":                                                3,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s has grown by %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{
		"confd_raft_has_leader": 1, "confd_raft_is_leader": 1, "etcd_server_has_leader": 1,
		`confd_raft_servers{vote="yes"}`: 1, "confd_raft_leader_changes_total": 1,
		"confd_raft_candidacies_total": 1, "confd_proposals_pending": 0, "confd_watchers": 0,
	} {
		if got, ok := after[name]; got != want || !ok {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{
		"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "go_goroutines",
		"confd_log_entries", "confd_raft_term", "confd_log_written_bytes_total", "confd_raft_commit_index",
	} {
		if after[name] <= 0 {
			t.Errorf("%s is %v", name, after[name])
		}
	}
}

// TestMetricsAreDocumented compares docs/metrics.md with what is written, both ways.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	row := regexp.MustCompile("^\\| `([a-z0-9_]+)` \\| (counter|gauge|histogram) \\| (.*) \\|$")
	for line := range strings.SplitSeq(string(doc), "\n") {
		if m := row.FindStringSubmatch(line); m != nil {
			documented[m[1]] = m[2] + " | " + m[3]
		}
	}
	page, _ := scrape(t, New(raftkvtest.Open(t), Options{}))
	written := make(map[string]string)
	var help string
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			_, help, _ = strings.Cut(rest, " ")
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			written[name] = kind + " | " + help
			if documented[name] != written[name] {
				t.Errorf("docs/metrics.md should have the row\n| `%s` | %s |", name, written[name])
			}
		}
	}
	for name := range documented {
		if _, ok := written[name]; !ok {
			t.Errorf("%s is documented and not written", name)
		}
	}
}

// TestMeteringIsCheap: counting a request allocates nothing, and may be done by many.
func TestMeteringIsCheap(t *testing.T) {
	var m meters
	r, resp := &request{method: "GET", path: "/v2/keys/some/key"}, &response{status: 200}
	m.observe(r, resp, 1)
	if got := testing.AllocsPerRun(100, func() { m.observe(r, resp, 1) }); got != 0 {
		t.Errorf("allocates %v times", got)
	}
	var wg sync.WaitGroup
	other := &request{method: "GET", path: "/v2/members"}
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.observe(other, resp, 1)
				var page raftkv.MetricsPage
				m.write(&page)
			}
		})
	}
	wg.Wait()
	if got := m.requests[methodOf("GET")][routeOf("/v2/members")][statusIndex(200)].Load().Count(); got != 800 {
		t.Errorf("counted %d, want 800", got)
	}
}

func TestRouteOf(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/keys": "keys", "/v2/keys/a/b": "keys", "/v2/keysx": "other", "/v2/stats/self": "stats",
		"/v2/members/leader": "members", "/members": "members", "/v2/auth/users": "auth",
		"/v2/admin/config": "admin", "/v2/machines": "machines", "/v2/leader": "machines",
		"/discovery/new": "discovery", "/health": "health", "/version": "version", "/metrics": "metrics",
		"/debug/vars": "debug", "/": "other", "": "other", "/v2": "other",
	} {
		if got := meteredRoutes[routeOf(path)]; got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
}

func TestPprof(t *testing.T) {
	off, _ := newTestHandler(Options{})
	on, _ := newTestHandler(Options{Pprof: true})
	for target, want := range map[string]int{
		"/debug/pprof": 301, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200,
		"/debug/pprof/symbol": 200, "/debug/pprof/cmdline": 404,
	} {
		if got := do(t, on, "GET", target, "").StatusCode; got != want {
			t.Errorf("%s: got %d, want %d", target, got, want)
		}
		if got := do(t, off, "GET", target, "").StatusCode; got != 404 {
			t.Errorf("%s without the option: got %d, want 404", target, got)
		}
	}

	enableAuth(t, on)
	if got := do(t, on, "GET", "/debug/pprof/heap", "").StatusCode; got != 401 {
		t.Errorf("a guest, with authentication on: got %d, want 401", got)
	}
}

// TestPanic: a mistake in a handler is logged, and costs its own request alone.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	h, node := newTestHandler(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	tree := node.tree
	node.tree = nil
	defer func() {
		node.tree = tree
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("got the panic %v, want %v", p, http.ErrAbortHandler)
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "adapter.go") {
			t.Errorf("no stack in the log: %s", &log)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/keys/a", nil))
}
