// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"confd/raftkv"
)

// TestNodeFails: what the node could not do is error 300, or 413 for what it never will.
func TestNodeFails(t *testing.T) {
	notProposed := func(err error) error { return fmt.Errorf("%w (%w)", err, raftkv.ErrNotProposed) }
	tests := []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"timeout", raftkv.ErrTimeout, 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}`},
		{"deadline", context.DeadlineExceeded, 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}`},
		{"no leader", notProposed(raftkv.ErrNoLeader), 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: no leader","index":0}`},
		{"leader lost", raftkv.ErrNoLeader, 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: leader changed","index":0}`},
		{"busy", notProposed(raftkv.ErrBusy), 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: too many requests","index":0}`},
		{"closed", raftkv.ErrClosed, 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: server stopped","index":0}`},
		{"other", errors.New("disk on fire"), 500, `{"errorCode":300,"message":"Raft Internal Error","cause":"disk on fire","index":0}`},
		{"too large", notProposed(raftkv.ErrTooLarge), 413, `{"errorCode":210,"message":"Invalid POST form","cause":"too large (not written to the log)","index":0}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var logged bytes.Buffer
			h, node := newTestHandler(Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
			node.fail = test.err
			for _, r := range []struct{ method, target, body string }{
				{"PUT", "/v2/keys/a", "value=secret"},
				{"POST", "/v2/keys/a", "value=secret"},
				{"DELETE", "/v2/keys/a?prevValue=secret", ""},
				{"GET", "/v2/keys/a?quorum=true", ""},
			} {
				resp := do(t, h, r.method, r.target, r.body)
				if got := bodyOf(t, resp); resp.StatusCode != test.status || got != test.body+"\n" {
					t.Errorf("%s: got %d %s, want %d %s", r.method, resp.StatusCode, got, test.status, test.body)
				}
				if resp.Header["X-Raft-Index"] != nil || resp.Header.Get("X-Etcd-Index") != "0" {
					t.Errorf("%s: got headers %v", r.method, resp.Header)
				}
			}
			if strings.Contains(logged.String(), "secret") {
				t.Errorf("the log holds a value: %s", &logged)
			}
			if resp := do(t, h, "GET", "/v2/keys/a", ""); resp.StatusCode != 404 {
				t.Errorf("a plain get: got %d, want 404", resp.StatusCode)
			}
			if resp := do(t, h, "GET", "/health", ""); resp.StatusCode != 503 || !strings.HasPrefix(bodyOf(t, resp), `{"health":"false","reason":"`) {
				t.Errorf("/health: got %d, want 503", resp.StatusCode)
			}
			if resp := do(t, h, "GET", "/readyz", ""); resp.StatusCode != 503 {
				t.Errorf("/readyz: got %d, want 503", resp.StatusCode)
			}
			if resp := do(t, h, "GET", "/livez", ""); resp.StatusCode != 200 {
				t.Errorf("/livez: got %d, want 200: the process is alive", resp.StatusCode)
			}
		})
	}
}

// TestWithoutLeader: what a node answers that knows no leader.
func TestWithoutLeader(t *testing.T) {
	h, node := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/a", "value=x")
	node.state.LeaderID, node.state.LeaderName, node.state.State = "", "", "candidate"
	tests := []struct {
		target string
		status int
		body   string
	}{
		{"/v2/leader", 500, `{"errorCode":301,"message":"During Leader Election","index":1}` + "\n"},
		{"/v2/members/leader", 503, `{"message":"During election"}`},
		{"/v2/stats/leader", 403, `{"message":"not current leader"}`},
		{"/v2/keys/a", 200, setEvent("/a", "x", 1)},
	}
	for _, test := range tests {
		resp := do(t, h, "GET", test.target, "")
		if got := strings.Replace(bodyOf(t, resp), `"get"`, `"set"`, 1); resp.StatusCode != test.status || got != test.body {
			t.Errorf("%s: got %d %s, want %d %s", test.target, resp.StatusCode, got, test.status, test.body)
		}
	}
}

func TestVars(t *testing.T) {
	h, _ := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/a", "value=x")
	var got struct {
		MemStats struct{ HeapAlloc uint64 }
		Tree     struct{ Index, Keys int }
		Cmdline  []string
	}
	resp := do(t, h, "GET", "/debug/vars", "")
	if err := json.Unmarshal([]byte(bodyOf(t, resp)), &got); err != nil {
		t.Fatal(err)
	}
	if got.MemStats.HeapAlloc == 0 || got.Tree.Index != 1 || got.Tree.Keys != 1 || got.Cmdline != nil {
		t.Errorf("got %+v", got)
	}
}

// TestBodyTooLong: a body above the limit is refused whether its length is told or not,
// and nothing of it is stored.
func TestBodyTooLong(t *testing.T) {
	url, _, node := serveTest(t)
	long := defaultMaxValue*3 + 64<<10 + 1
	body := func() io.Reader {
		return io.MultiReader(strings.NewReader("value=x&pad="), io.LimitReader(zeros{}, int64(long)))
	}
	for name, length := range map[string]int64{"told": int64(long) + 12, "chunked": -1} {
		r, err := http.NewRequest("PUT", url+"/v2/keys/a", body())
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		r.Header.Set("Content-Type", formType)
		r.Header.Set("Expect", "100-continue")
		resp, err := (&http.Transport{ExpectContinueTimeout: 1 << 40}).RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := bodyOf(t, resp); resp.StatusCode != 413 || !strings.Contains(got, "larger than 16777216 bytes") {
			t.Errorf("%s: got %d %s, want 413", name, resp.StatusCode, got)
		}
	}
	if got := node.tree.View().Len(); got != 0 {
		t.Errorf("got %d keys, want 0", got)
	}
}

// zeros is an endless row of the digit 0.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// TestLargestValue: a value of 16 MiB goes in and comes out, percent-encoded or plain.
func TestLargestValue(t *testing.T) {
	url, _, _ := serveTest(t)
	for _, unit := range []string{"x", "%41"} {
		body := "value=" + strings.Repeat(unit, defaultMaxValue)
		r, err := http.NewRequest("PUT", url+"/v2/keys/a", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", formType)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, resp); resp.StatusCode/100 != 2 || len(got) < defaultMaxValue {
			t.Errorf("%s: got %d and %d bytes", unit, resp.StatusCode, len(got))
		}
	}
}

// TestBrokenBody: a body that ends too early stores nothing.
func TestBrokenBody(t *testing.T) {
	h, node := newTestHandler(Options{})
	r, err := http.NewRequest("PUT", "/v2/keys/a", io.MultiReader(strings.NewReader("value=half"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", formType)
	w := &recorder{header: make(http.Header)}
	h.ServeHTTP(w, r)
	if w.status != 400 || !strings.Contains(w.body.String(), `"cause":"unexpected EOF"`) {
		t.Errorf("got %d %s, want 400 with the cause", w.status, &w.body)
	}
	if got := node.tree.View().Len(); got != 0 {
		t.Errorf("got %d keys, want 0", got)
	}
}

// recorder is a ResponseWriter that can nothing else.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// TestBigHeader: a header above 1 MB is refused before it reaches a handler.
func TestBigHeader(t *testing.T) {
	url, _, _ := serveTest(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		fmt.Fprint(conn, "GET /v2/keys/a HTTP/1.1\r\nHost: x\r\nX-Long: ")
		_, _ = io.Copy(conn, io.LimitReader(zeros{}, 2<<20)) // cut off on the way
	}()
	b := make([]byte, 12)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HTTP/1.1 431" {
		t.Errorf("got %q, %v, want HTTP/1.1 431", b, err)
	}
}

func BenchmarkGet(b *testing.B) {
	h, _ := newTestHandler(Options{})
	do(b, h, "PUT", "/v2/keys/some/key", "value=x")
	r, err := http.NewRequest("GET", "/v2/keys/some/key", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	w := &recorder{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		w.body.Reset()
		h.ServeHTTP(w, r)
	}
}

func BenchmarkPut(b *testing.B) {
	h, _ := newTestHandler(Options{})
	w := &recorder{header: make(http.Header)}
	body := strings.NewReader("value=something")
	r, err := http.NewRequest("PUT", "/v2/keys/some/key", io.NopCloser(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", formType)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		w.body.Reset()
		body.Reset("value=something")
		h.ServeHTTP(w, r)
	}
}

// TestNotReady: a node that was just started does not show what it had before, but for
// those who ask a leader.
func TestNotReady(t *testing.T) {
	h, node := newTestHandler(Options{})
	node.unready = true
	for target, want := range map[string]int{
		"/v2/keys/a":                 500,
		"/v2/keys/a?wait=true":       500,
		"/v2/keys/a?quorum=true":     404,
		"/v2/keys/a?consistent=true": 404,
		"/livez":                     200,
	} {
		if resp := do(t, h, "GET", target, ""); resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", target, resp.StatusCode, want)
		}
	}
}

// TestRedirectWrites is the way of etcd 0.4.
func TestRedirectWrites(t *testing.T) {
	h, node := newTestHandler(Options{RedirectWrites: true})
	node.members = []raftkv.Member{
		{ID: node.state.ID, Name: "one", ClientURLs: []string{"http://127.0.0.1:4001"}},
		{ID: "abc", Name: "two", ClientURLs: []string{"http://two:4001"}},
	}
	tests := []struct {
		method, target, leader string
		status                 int
		location               string
	}{
		{"PUT", "/v2/keys/a%20b?ttl=5", "abc", 307, "http://two:4001/v2/keys/a%20b?ttl=5"},
		{"DELETE", "/v2/keys/a", "abc", 307, "http://two:4001/v2/keys/a"},
		{"GET", "/v2/keys/a?consistent=true", "abc", 307, "http://two:4001/v2/keys/a?consistent=true"},
		{"GET", "/v2/keys/a", "abc", 404, ""},
		{"GET", "/v2/keys/a?quorum=true", "abc", 404, ""},
		{"PUT", "/v2/keys/a", "", 500, ""},
		{"PUT", "/v2/keys/a", node.state.ID, 201, ""},
	}
	for _, tt := range tests {
		node.state.LeaderID = tt.leader
		resp := do(t, h, tt.method, tt.target, "")
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location {
			t.Errorf("%s %s: got %d %q, want %d %q", tt.method, tt.target, resp.StatusCode, resp.Header.Get("Location"), tt.status, tt.location)
		}
	}
}
