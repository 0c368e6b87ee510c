// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/backends"
)

func isWatch(r string) bool { return strings.Contains(r, "wait=true") }
func isList(r string) bool  { return strings.Contains(r, "recursive=true") && !isWatch(r) }

// following opens a backend on the fakes that mirrors "/app" already.
func following(t *testing.T, cfg Config, fakes ...*fake) (*Backend, backends.Snapshot) {
	t.Helper()
	for _, f := range fakes {
		cfg.Nodes = append(cfg.Nodes, f.URL)
	}
	b := open(t, cfg)
	snap := snapshot(t, b, "/app")
	quiet(t, b, snap.Index, "/app")
	waitFor(t, 10*time.Second, "the mirror", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.mirrors["/app"].index != 0 && fakes[0].count(isWatch) == 1 && fakes[0].count(isList) == 2
	})
	return b, snap
}

// What may happen to a mirror; each ends with the store holding /app/end, and only that.
func TestFaults(t *testing.T) {
	end := func(f *fake) {
		f.with(func() { f.files = kv{"/app/end": "1"} })
	}
	tests := []struct {
		name  string
		fault func(f *fake)
	}{
		{"cut in the middle of an event", func(f *fake) {
			f.with(func() { f.half = true })
			f.del("/app")
			f.set("/app/end", "1")
		}},
		{"cut unseen", func(f *fake) {
			f.with(func() { f.deaf = true })
			f.del("/app")
			f.set("/app/end", "1")
			f.with(func() { f.deaf = false })
			f.CloseClientConnections()
		}},
		{"another cluster behind a live stream", func(f *fake) {
			end(f)
			f.with(func() { f.clusterID, f.index = "c2", f.index+100 })
		}},
		{"index lower behind a live stream", func(f *fake) {
			end(f)
			f.with(func() { f.index = 2 })
		}},
		{"unknown action", func(f *fake) {
			end(f)
			f.raw(`{"action":"rename","node":{"key":"/app/a","modifiedIndex":100}}`)
		}},
		{"garbage in the stream", func(f *fake) {
			end(f)
			f.raw("<html>")
		}},
		{"no event in the stream", func(f *fake) {
			end(f)
			f.raw("{}")
		}},
		{"500 for a while", func(f *fake) {
			end(f)
			tries := 0
			f.with(func() {
				f.answer = func(w http.ResponseWriter, _ *http.Request) {
					http.Error(w, `{"errorCode":300,"message":"Raft Internal Error","index":3}`, http.StatusInternalServerError)
					f.with(func() {
						if tries++; tries == 5 {
							f.answer = nil
						}
					})
				}
			})
			f.CloseClientConnections()
		}},
		{"listing older than the watch for a while", func(f *fake) {
			f.with(func() { f.lag = 3 })
			f.CloseClientConnections()
			waitFor(t, 10*time.Second, "more listings", func() bool { return f.count(isList) > 4 })
			end(f)
			f.with(func() { f.lag = 0 })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.set("/app/a", "1")
			b, snap := following(t, Config{CheckInterval: 30 * time.Millisecond}, f)
			tt.fault(f)
			snap = follow(t, b, snap, kv{"/app/end": "1"}, "/app")
			waitFor(t, 10*time.Second, "a stream", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return len(f.streams) == 1
			})
			f.set("/app/more", "1")
			follow(t, b, snap, kv{"/app/end": "1", "/app/more": "1"}, "/app")
		})
	}
}

// A server that is not of the v2 API, or hangs, gives an error in time, and never an
// empty snapshot.
func TestBadServers(t *testing.T) {
	tests := []struct {
		name, want string
		answer     http.HandlerFunc
	}{
		{"plain 404", "--enable-v2", http.NotFound},
		{"401 of a proxy", "401", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }},
		{"HTML", "not JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }},
		{"other JSON", "not an event", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"kind":"List"}`) }},
		{"empty", "EOF", func(w http.ResponseWriter, _ *http.Request) {}},
		{"503", "503", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"hangs", "timeout", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"hangs in the body", "timed out", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"action":"get","node":{"dir":true,"nodes":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{"breaks off", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"action":"get","node":{"dir":true,"nodes":[`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.answer = tt.answer
			b := open(t, Config{Nodes: []string{f.URL}, RequestTimeout: 100 * time.Millisecond})
			for i, name := range []string{"first", "by a mirror"} {
				began := time.Now()
				_, err := b.Snapshot(t.Context(), []string{"/app"})
				if err == nil || !strings.Contains(err.Error(), f.URL) || i == 0 && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v, want an error with %q and %q", name, err, f.URL, tt.want)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("%s: took %v", name, took)
				}
			}
			f.with(func() { f.answer = nil })
			f.set("/app/a", "1")
			follow(t, b, backends.Snapshot{Keys: backends.NewMap().Keys()}, kv{"/app/a": "1"}, "/app")
		})
	}
}

// A server that keeps its connections but does nothing is left for the next node.
func TestSilentServer(t *testing.T) {
	f, other := newFake(t), newFake(t)
	f.set("/app/a", "1")
	b, snap := following(t, Config{CheckInterval: 20 * time.Millisecond, RequestTimeout: 100 * time.Millisecond}, f, other)
	other.set("/app/a", "2")
	f.with(func() { f.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() } })
	snap = follow(t, b, snap, kv{"/app/a": "2"}, "/app")
	other.set("/app/a", "3")
	follow(t, b, snap, kv{"/app/a": "3"}, "/app")
}

// Etcd 0.4: no cluster id, a follower that redirects listings, a wrong index with quorum.
func TestGeneration04(t *testing.T) {
	leader, follower := newFake(t), newFake(t)
	for _, f := range []*fake{leader, follower} {
		f.clusterID = ""
		f.set("/app/a", "1")
	}
	follower.redirect = leader.URL
	b := open(t, Config{Nodes: []string{follower.URL}, CheckInterval: 20 * time.Millisecond})
	snap := snapshot(t, b, "/app")
	snap = follow(t, b, snap, kv{"/app/a": "1"}, "/app")
	snapshot(t, b, "/app")
	waitFor(t, 10*time.Second, "a mirror by a consistent read of the leader", func() bool {
		return follower.count(isWatch) == 1 && leader.count(func(r string) bool { return isList(r) && strings.Contains(r, "consistent=true") }) == 1
	})
	for _, f := range []*fake{leader, follower} {
		f.set("/app/a", "2")
	}
	follow(t, b, snap, kv{"/app/a": "2"}, "/app")
	waitFor(t, 10*time.Second, "some checks", func() bool {
		return leader.count(func(r string) bool { return strings.Contains(r, "_confd") }) > 3
	})
	if n := follower.count(isWatch); n != 1 {
		t.Errorf("%d watches, want 1", n)
	}
}

// One snapshot is one request; more of them are one watch, however many the prefixes.
func TestRequests(t *testing.T) {
	f := newFake(t)
	f.set("/services/s7/k", "1")
	b := open(t, Config{Nodes: []string{f.URL}})
	if got := collect(snapshot(t, b, "/services/s7").Keys); got["/services/s7/k"] != "1" {
		t.Errorf("got %v", got)
	}
	if len(f.requests) != 1 || !strings.Contains(f.requests[0], "quorum=true") {
		t.Errorf("one snapshot: requests %q, want one quorum read", f.requests)
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() { snapshot(t, b, fmt.Sprintf("/services/s%d", i)) })
	}
	wg.Wait()
	f.with(func() {
		for s := range f.streams {
			if s.root != "/services" {
				t.Logf("a stream of %q is not closed yet", s.root)
			}
		}
	})
	waitFor(t, 10*time.Second, "one stream", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.streams) == 1
	})
	if n := f.count(isWatch); n > 4 {
		t.Errorf("%d watches were opened, want a few", n)
	}
}

// A change wakes those whose prefixes it lies under, and nobody else.
func TestWakesOnlyMatching(t *testing.T) {
	f := newFake(t)
	b := open(t, Config{Nodes: []string{f.URL}})
	index := snapshot(t, b, "/services").Index
	index = snapshot(t, b, "/services").Index
	const n = 1000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	woken := make(chan int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if b.Wait(ctx, []string{fmt.Sprintf("/services/s%d", i)}, index) == nil {
				woken <- i
			}
		})
	}
	waitFor(t, 10*time.Second, "the waiters", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.news.waiters) == n
	})
	f.set("/services/s17/k", "1")
	if i := <-woken; i != 17 {
		t.Errorf("woken %d, want 17", i)
	}
	cancel()
	wg.Wait()
	if len(woken) != 0 {
		t.Errorf("%d more were woken", len(woken))
	}
	if b.news.waiters["/services/s3"] != nil {
		t.Error("a waiter is left")
	}
}

// Where the common parent may not be read, its parts are.
func TestDeniedParent(t *testing.T) {
	for _, first := range []string{"direct", "mirrored"} {
		t.Run(first, func(t *testing.T) {
			f := newFake(t)
			f.denied["/app"] = true
			f.set("/app/a/k", "1")
			f.set("/app/b/k", "1")
			b := open(t, Config{Nodes: []string{f.URL}})
			if first == "mirrored" {
				snapshot(t, b, "/app/a")
			}
			snap := follow(t, b, snapshot(t, b, "/app/a", "/app/b"), kv{"/app/a/k": "1", "/app/b/k": "1"}, "/app/a", "/app/b")
			snapshot(t, b, "/app/a", "/app/b")
			f.set("/app/b/k", "2")
			follow(t, b, snap, kv{"/app/a/k": "1", "/app/b/k": "2"}, "/app/a", "/app/b")
			if _, err := b.Snapshot(t.Context(), []string{"/app"}); err == nil || !strings.Contains(err.Error(), "110") {
				t.Errorf("snapshot of what may not be read: %v", err)
			}
		})
	}
}

// Hidden keys are seen below their own prefix, not below another one.
func TestHidden(t *testing.T) {
	f := newFake(t)
	f.set("/app/a", "1")
	f.set("/app/_s/x", "1")
	f.set("/app/_s/_t/y", "1")
	b := open(t, Config{Nodes: []string{f.URL}})
	snapshot(t, b, "/app")
	all := snapshot(t, b, "/app", "/app/_s")
	all = follow(t, b, all, kv{"/app/a": "1", "/app/_s/x": "1"}, "/app", "/app/_s")
	follow(t, b, snapshot(t, b, "/app"), kv{"/app/a": "1"}, "/app")
	follow(t, b, backends.Snapshot{Keys: all.Keys.Under([]string{"/app"})}, kv{"/app/a": "1"}, "/app")
	if v, ok := all.Keys.Under([]string{"/app"}).Get("/app/_s/x"); ok {
		t.Errorf("the hidden key is visible below /app: %q", v)
	}
	if v, ok := all.Keys.Under([]string{"/app/_s"}).Get("/app/_s/x"); !ok || v != "1" {
		t.Errorf("the hidden key is not visible below its prefix")
	}
	f.set("/app/_s/x", "2")
	all = follow(t, b, all, kv{"/app/a": "1", "/app/_s/x": "2"}, "/app", "/app/_s")
	f.del("/app")
	follow(t, b, all, kv{}, "/app", "/app/_s")
}

// Close ends whatever waits.
func TestClose(t *testing.T) {
	f := newFake(t)
	f.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	b := open(t, Config{Nodes: []string{f.URL}, RequestTimeout: time.Minute})
	b.used = true
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := b.Wait(t.Context(), []string{"/app"}, 1); !errors.Is(err, errClosed) {
				t.Errorf("Wait: %v, want %v", err, errClosed)
			}
		})
		wg.Go(func() {
			if _, err := b.Snapshot(t.Context(), []string{"/app"}); !errors.Is(err, errClosed) {
				t.Errorf("Snapshot: %v, want %v", err, errClosed)
			}
		})
	}
	waitFor(t, 10*time.Second, "a request", func() bool { return f.count(isWatch) > 0 })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		cfg        Config
	}{
		{"no node", "no endpoint", Config{}},
		{"bad node", `"http://h/p"`, Config{Nodes: []string{"http://h/p"}}},
		{"bad scheme", `"ftp"`, Config{Nodes: []string{"h:1"}, Scheme: "ftp"}},
		{"key without certificate", "one is missing", Config{Nodes: []string{"h:1"}, KeyFile: "k"}},
		{"no such certificate", `"nope"`, Config{Nodes: []string{"h:1"}, KeyFile: "k", CertFile: "nope"}},
		{"no such authority", "nope", Config{Nodes: []string{"h:1"}, CAFile: "nope"}},
		{"no certificate in it", "no certificate", Config{Nodes: []string{"h:1"}, CAFile: "fault_test.go"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Open(t.Context(), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
