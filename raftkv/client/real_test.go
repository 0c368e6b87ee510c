// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"confd/raftkv/tree"
)

// The operations, against etcd 3.4.
func TestRealOperations(t *testing.T) {
	s := newServer(t)
	s.start()
	c := s.client()
	defer c.Close()
	ctx := t.Context()
	tests := []struct {
		name   string
		do     func() (*Response, error)
		action string
		code   tree.Code // 0: success
	}{
		{"get missing", func() (*Response, error) { return c.Get(ctx, "/a", GetOptions{Quorum: true}) }, "", 100},
		{"set", func() (*Response, error) { return c.Set(ctx, "/a", "1", SetOptions{}) }, "set", 0},
		{"create existing", func() (*Response, error) { return c.Create(ctx, "/a", "1", SetOptions{}) }, "", 105},
		{"create", func() (*Response, error) { return c.Create(ctx, "/b", "1", SetOptions{TTL: 100}) }, "create", 0},
		{"update missing", func() (*Response, error) { return c.Update(ctx, "/c", "1", SetOptions{}) }, "", 100},
		{"update", func() (*Response, error) { return c.Update(ctx, "/a", "2", SetOptions{}) }, "update", 0},
		{"refresh", func() (*Response, error) { return c.Update(ctx, "/b", "", SetOptions{TTL: 50, Refresh: true}) }, "update", 0},
		{"swap, wrong value", func() (*Response, error) {
			return c.CompareAndSwap(ctx, "/a", "3", Compare{Value: "1"}, SetOptions{})
		}, "", 101},
		{"swap", func() (*Response, error) {
			return c.CompareAndSwap(ctx, "/a", "3", Compare{Value: "2"}, SetOptions{})
		}, "compareAndSwap", 0},
		{"delete if, wrong index", func() (*Response, error) { return c.CompareAndDelete(ctx, "/a", Compare{Index: 1}) }, "", 101},
		{"delete if", func() (*Response, error) { return c.CompareAndDelete(ctx, "/a", Compare{Value: "3"}) }, "compareAndDelete", 0},
		{"directory", func() (*Response, error) { return c.Set(ctx, "/d/e", "", SetOptions{Dir: true}) }, "set", 0},
		{"in order", func() (*Response, error) { return c.CreateInOrder(ctx, "/d", "1", SetOptions{}) }, "create", 0},
		{"list", func() (*Response, error) { return c.Get(ctx, "/d", GetOptions{Recursive: true, Sorted: true}) }, "get", 0},
		{"delete directory", func() (*Response, error) { return c.Delete(ctx, "/d", DeleteOptions{}) }, "", 102},
		{"delete full directory", func() (*Response, error) { return c.Delete(ctx, "/d", DeleteOptions{Dir: true}) }, "", 108},
		{"delete all", func() (*Response, error) { return c.Delete(ctx, "/d", DeleteOptions{Recursive: true}) }, "delete", 0},
		{"odd key and value", func() (*Response, error) { return c.Set(ctx, "/ü ?#%&+;", "a&b=c;\n", SetOptions{}) }, "set", 0},
	}
	for _, tt := range tests {
		r, err := tt.do()
		var refused *Error
		switch {
		case tt.code != 0:
			if !errors.As(err, &refused) || refused.Code != tt.code || refused.Index == 0 || refused.ClusterID == "" || !IsCode(err, tt.code) {
				t.Errorf("%s: got %+v, %v, want code %d", tt.name, r, err, tt.code)
			}
		case err != nil || r.Event.Action != tt.action || r.Index == 0 || r.RaftIndex == 0 || r.RaftTerm == 0 || r.ClusterID == "":
			t.Errorf("%s: got %+v, %v, want action %q", tt.name, r, err, tt.action)
		}
		if err == nil && r.Created != (tt.name == "set" || r.Event.Action == "create" || tt.name == "directory" || tt.name == "odd key and value") {
			t.Errorf("%s: created %v", tt.name, r.Created)
		}
	}
	r, err := c.Get(ctx, "/ü ?#%&+;", GetOptions{})
	if err != nil || *r.Event.Node.Value != "a&b=c;\n" || r.Event.Node.Key != "/ü ?#%&+;" {
		t.Errorf("odd key: %+v, %v", r, err)
	}
	if r, err = c.Get(ctx, "/b", GetOptions{}); err != nil || *r.Event.Node.Value != "1" || r.Event.Node.TTL == 0 || r.Event.Node.TTL > 50 {
		t.Errorf("refreshed key: %+v, %v", r.Event.Node, err)
	}
	if _, err := c.CompareAndDelete(ctx, "/b", Compare{}); err == nil {
		t.Error("compare without a condition: no error")
	}

	if v, err := c.Version(ctx); err != nil || v.Server == "" || v.Cluster == "" {
		t.Errorf("Version: %+v, %v", v, err)
	}
	if m, err := c.Members(ctx); err != nil || len(m) != 1 || m[0].Name != "n1" || m[0].ClientURLs[0] != s.url {
		t.Errorf("Members: %+v, %v", m, err)
	}
	if h := c.Health(ctx); len(h) != 1 || h[0].Err != nil {
		t.Errorf("Health: %+v", h)
	}
}

// Watches of all kinds deliver each event once and in order.
func TestRealWatch(t *testing.T) {
	s := newServer(t)
	s.start()
	c := s.client()
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := c.Set(ctx, "/w/0", "0", SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	from := r.Index
	tests := []struct {
		name string
		opts WatchOptions
	}{
		{"polls from now", WatchOptions{Recursive: true}},
		{"stream from now", WatchOptions{Recursive: true, Stream: true}},
		{"polls from the past", WatchOptions{Recursive: true, After: from - 1}},
		{"stream from the past", WatchOptions{Recursive: true, Stream: true, After: from - 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := c.Watch(ctx, "/w", tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if w.ClusterID() == "" || w.Endpoint() != s.url || w.Start() == 0 {
				t.Errorf("watch %q %q %d", w.ClusterID(), w.Endpoint(), w.Start())
			}
			last := w.Start()
			if tt.opts.After != 0 {
				last = from - 1
			}
			r, err := c.Get(ctx, "/", GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				if r, err = c.Set(ctx, fmt.Sprintf("/w/%d", i), "x", SetOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for last < r.Index {
				e, err := w.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if e.Node.Modified != last+1 {
					t.Fatalf("event %d after %d", e.Node.Modified, last)
				}
				last = e.Node.Modified
			}
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			if e, err := w.Next(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("one more: %+v, %v", e, err)
			}
		})
	}
	for i := range 1001 {
		if _, err := c.Set(ctx, "/elsewhere", fmt.Sprint(i), SetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Watch(ctx, "/w", WatchOptions{Recursive: true, After: from - 1})
	if !IsCode(err, tree.CodeEventIndexCleared) {
		t.Errorf("history cleared: %v, %v", w, err)
	}
	if w, err = c.Watch(ctx, "/w", WatchOptions{Stream: true}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, w.Close)
	if _, err := w.Next(ctx); !errors.Is(err, ErrWatchEnded) {
		t.Errorf("closed: %v", err)
	}
	if w, err = c.Watch(ctx, "/w", WatchOptions{Stream: true}); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, err := w.Next(ctx); !errors.Is(err, ErrWatchEnded) {
		t.Errorf("server stopped: %v", err)
	}
}

// Long polls go on after an empty answer and a cut, from where they were.
func TestWatchAsksAgain(t *testing.T) {
	var polls atomic.Int64
	cluster := atomic.Value{}
	cluster.Store("c1")
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Etcd-Index", "6")
		w.Header().Set("X-Etcd-Cluster-Id", cluster.Load().(string))
		n := polls.Add(1)
		if got := r.FormValue("waitIndex"); n == 1 && got != "" || n > 1 && n < 4 && got != "7" || n > 3 && got != "10" {
			t.Errorf("poll %d asks for %q", n, got)
		}
		switch n {
		case 1: // empty
		case 2:
			fmt.Fprint(w, `{"action":"set"`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprint(w, `{"action":"set","node":{"key":"/k","value":"v","modifiedIndex":9}}`)
		}
	})
	c := newClient(t, Config{}, url)
	w, err := c.Watch(t.Context(), "/k", WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 {
		if e, err := w.Next(t.Context()); err != nil || e.Node.Modified != 9 {
			t.Fatalf("got %+v, %v", e, err)
		}
	}
	cluster.Store("c2")
	for range 2 {
		if _, err := w.Next(t.Context()); !errors.Is(err, ErrWatchEnded) {
			t.Errorf("another cluster: %v", err)
		}
	}
	if polls.Load() != 5 {
		t.Errorf("%d polls, want 5", polls.Load())
	}
}

func TestWatchRefusesOthers(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") })
	if _, err := newClient(t, Config{}, url).Watch(t.Context(), "/k", WatchOptions{}); err == nil {
		t.Error("watching something else: no error")
	}
}
