// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"confd/raftkv/tree"
)

// serveTest starts a server for a fresh fake node.
func serveTest(t *testing.T) (string, *Handler, *fakeNode) {
	t.Helper()
	h, node := newTestHandler(Options{})
	url := startServer(t, h)
	return url, h, node
}

// watchURL begins a watch and returns when its headers have come.
func watchURL(t *testing.T, ctx context.Context, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("watching: %v", err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// put stores a value past HTTP.
func put(t testing.TB, node *fakeNode, key, value string) {
	t.Helper()
	if _, err := node.Do(t.Context(), &tree.Op{Action: tree.Set, Key: key, Value: value}); err != nil {
		t.Fatal(err)
	}
}

// await waits for a condition that another goroutine brings about.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 10 s", what)
		}
	}
}

func setEvent(key, value string, index int) string {
	return fmt.Sprintf(`{"action":"set","node":{"key":%q,"value":%q,"modifiedIndex":%d,"createdIndex":%d}}`+"\n", key, value, index, index)
}

func TestWatchSendsHeadersFirst(t *testing.T) {
	url, _, node := serveTest(t)
	put(t, node, "/other", "x")
	resp := watchURL(t, t.Context(), url+"/v2/keys/a/?wait=true")
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Etcd-Index": "1", "X-Raft-Index": "77", "X-Raft-Term": "3",
		"X-Etcd-Cluster-Id": "ee71785aaea52b0a", "Content-Length": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := node.tree.Stats().Watchers; got != 1 {
		t.Errorf("got %d watchers, want 1", got)
	}
	put(t, node, "/a", "v")
	put(t, node, "/a", "w")
	if got, want := bodyOf(t, resp), setEvent("/a", "v", 2); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	await(t, "end of the watcher", func() bool { return node.tree.Stats().Watchers == 0 })
}

func TestStream(t *testing.T) {
	url, _, node := serveTest(t)
	put(t, node, "/a/1", "past")
	ctx, cancel := context.WithCancel(t.Context())
	resp := watchURL(t, ctx, url+"/v2/keys/a?wait=true&stream=true&recursive=true&waitIndex=1")
	lines := bufio.NewReader(resp.Body)
	next := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); got != want {
			t.Fatalf("got %q (%v), want %q", got, err, want)
		}
	}
	next(setEvent("/a/1", "past", 1))
	put(t, node, "/a/2", "two")
	next(setEvent("/a/2", "two", 2))
	put(t, node, "/b", "elsewhere")
	put(t, node, "/a/_h", "hidden")
	put(t, node, "/a/3", "three")
	next(setEvent("/a/3", "three", 5))
	cancel() // the client goes
	await(t, "end of the watcher", func() bool { return node.tree.Stats().Watchers == 0 })
}

func TestWatchIndexOutdated(t *testing.T) {
	url, _, node := serveTest(t)
	for i := range 1005 {
		put(t, node, "/a", fmt.Sprint(i))
	}
	resp := watchURL(t, t.Context(), url+"/v2/keys/a?wait=true&waitIndex=2")
	want := `{"errorCode":401,"message":"The event in requested index is outdated and cleared","cause":"the requested history has been cleared [6/2]","index":1005}` + "\n"
	if got := bodyOf(t, resp); resp.StatusCode != 400 || got != want {
		t.Errorf("got %d %s, want 400 %s", resp.StatusCode, got, want)
	}
	if got := resp.Header.Get("X-Etcd-Index"); got != "1005" {
		t.Errorf("got X-Etcd-Index %s, want 1005", got)
	}
}

// TestSlowReader: a stream that nobody reads ends, and delays no writer.
func TestSlowReader(t *testing.T) {
	url, _, node := serveTest(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /v2/keys/a?wait=true&stream=true HTTP/1.1\r\nHost: x\r\n\r\n")
	await(t, "watcher", func() bool { return node.tree.Stats().Watchers == 1 })
	value := strings.Repeat("x", 16<<10)
	for range 1500 { // 46 MiB of events, more than all buffers on the way
		put(t, node, "/a", value)
	}
	await(t, "end of the watcher", func() bool { return node.tree.Stats().Watchers == 0 })
	conn.Close()
}

// TestShutdownEndsWatches: the client of a watch sees an empty body, without an error.
func TestShutdownEndsWatches(t *testing.T) {
	h, node := newTestHandler(Options{})
	srv := newServer(h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	one := watchURL(t, t.Context(), "http://"+l.Addr().String()+"/v2/keys/a?wait=true")
	stream := watchURL(t, t.Context(), "http://"+l.Addr().String()+"/v2/keys/a?wait=true&stream=true")
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatalf("shutting down: %v", err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("got %v, want %v", err, http.ErrServerClosed)
	}
	for _, resp := range []*http.Response{one, stream} {
		if got := bodyOf(t, resp); got != "" {
			t.Errorf("got body %q, want none", got)
		}
	}
	if got := node.tree.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers, want 0", got)
	}
}

// TestEndWatchesIsForGood: a watch that comes later ends at once, a write still works.
func TestEndWatchesIsForGood(t *testing.T) {
	url, h, node := serveTest(t)
	h.EndWatches()
	h.EndWatches()
	if got := bodyOf(t, watchURL(t, t.Context(), url+"/v2/keys/a?wait=true")); got != "" {
		t.Errorf("got %q, want an empty body", got)
	}
	if resp := do(t, h, "PUT", "/v2/keys/a", "value=x"); resp.StatusCode != 201 {
		t.Errorf("got status %d, want 201", resp.StatusCode)
	}
	if got := node.tree.Stats().Watchers; got != 0 {
		t.Errorf("got %d watchers, want 0", got)
	}
}

// TestKeepAliveAfterWatch: a deadline that was set for an event does not outlive it.
func TestKeepAliveAfterWatch(t *testing.T) {
	url, _, node := serveTest(t)
	resp := watchURL(t, t.Context(), url+"/v2/keys/a?wait=true")
	put(t, node, "/a", strings.Repeat("x", 200<<10))
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n < 200<<10 {
		t.Fatalf("got %d bytes, %v, want the whole event", n, err)
	}
	get, err := http.Get(url + "/v2/keys/a")
	if err != nil {
		t.Fatal(err)
	}
	if got := bodyOf(t, get); int64(len(got)) != get.ContentLength || len(got) < 200<<10 {
		t.Errorf("got %d bytes of %d", len(got), get.ContentLength)
	}
}

// openWatches returns how many connections of watches there are.
func (h *Handler) openWatches() int {
	h.watches.mu.Lock()
	defer h.watches.mu.Unlock()
	return len(h.watches.conns) + len(h.watches.polls)
}

// heapInUse returns the size of what lives in the heap.
func heapInUse() uint64 {
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return mem.HeapAlloc
}
