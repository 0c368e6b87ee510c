// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"confd/backends/backendtest"
	"confd/backends/raftkv"
	"confd/raftkv/tree"
)

// A node is a tree and its one writer.
type node struct {
	mu   sync.Mutex
	tree *tree.Tree
}

func (n *node) Tree() *tree.Tree { return n.tree }

// Ready is at once: the tree is all there is.
func (n *node) Ready() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (n *node) do(op tree.Op) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, err := n.tree.Apply(&op, 1)
	n.tree.Publish()
	return err
}

func (n *node) set(key, value string) error {
	return n.do(tree.Op{Action: tree.Set, Key: key, Value: value})
}

func (n *node) delete(key string) error {
	err := n.do(tree.Op{Action: tree.Delete, Key: key, Dir: true, Recursive: true})
	if refused, ok := errors.AsType[*tree.Error](err); ok && refused.Code == tree.CodeKeyNotFound {
		return nil
	}
	return err
}

// wipe restores what a node can be given by its leader: everything is gone meanwhile. The
// index goes on, as it does for as long as a node runs.
func (n *node) wipe() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	other := tree.New()
	other.Skip(n.tree.View().Index() + 1)
	var empty bytes.Buffer
	if _, err := other.Snapshot().WriteTo(&empty); err != nil {
		return err
	}
	return n.tree.Restore(&empty)
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		n := &node{tree: tree.New()}
		return backendtest.Harness{
			Backend: raftkv.New(n),
			Set:     n.set,
			Delete:  n.delete,
			Wipe:    n.wipe,
			Precise: true,
		}
	})
}

func TestHidden(t *testing.T) {
	n := &node{tree: tree.New()}
	for _, key := range []string{
		"/app/port", "/app/_old/port", "/app/_old/_x", "/app/_old/_y/a", "/app/_old/_y/b", "/app/_old-1", "/app/a_b",
		"/app/_old/deep/c", "/app/_old/deep-c", "/app/_old/deep.c", "/app/z", "/_root/k", "/_file", "/b",
	} {
		if err := n.set(key, "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.do(tree.Op{Action: tree.Set, Key: "/app/dir", Dir: true}); err != nil {
		t.Fatal(err)
	}
	b := raftkv.New(n)
	for _, tt := range []struct {
		name     string
		prefixes []string
		want     []string
	}{
		{"root", []string{"/"}, []string{"/app/port", "/app/a_b", "/app/z", "/b"}},
		{"below a prefix", []string{"/app"}, []string{"/app/port", "/app/a_b", "/app/z"}},
		{"hidden prefix", []string{"/app/_old"}, []string{"/app/_old/port", "/app/_old/deep/c", "/app/_old/deep-c", "/app/_old/deep.c"}},
		{"hidden file", []string{"/app/_old/_x"}, []string{"/app/_old/_x"}},
		{"in a hidden directory", []string{"/app/_old/deep"}, []string{"/app/_old/deep/c"}},
		{"hidden twice", []string{"/app/_old/_y"}, []string{"/app/_old/_y/a", "/app/_old/_y/b"}},
		{"both", []string{"/app", "/app/_old/deep"}, []string{"/app/port", "/app/a_b", "/app/z", "/app/_old/deep/c"}},
		{"both, the wider is given last", []string{"/app/_old/_y/b", "/"}, []string{"/app/_old/_y/b", "/app/port", "/app/a_b", "/app/z", "/b"}},
		{"sibling of a hidden directory", []string{"/app/_old-1"}, []string{"/app/_old-1"}},
		{"hidden file at the root", []string{"/_file"}, []string{"/_file"}},
		{"nothing", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := make(map[string]string)
			for _, key := range tt.want {
				want[key] = "v"
			}
			snap, _ := b.Snapshot(t.Context(), tt.prefixes)
			if got := maps.Collect(snap.Keys.From("")); !maps.Equal(got, want) {
				t.Errorf("snapshot of %q: got %v, want %v", tt.prefixes, got, want)
			}
			all, _ := b.Snapshot(t.Context(), []string{"/"})
			if got := maps.Collect(all.Keys.Under(tt.prefixes).From("")); !maps.Equal(got, want) {
				t.Errorf("the root's snapshot under %q: got %v, want %v", tt.prefixes, got, want)
			}
			for key := range maps.All(map[string]bool{"/app/_old/_x": true, "/app/_old/port": true, "/app/port": true, "/_root/k": true, "/app/dir": true, "/app": true}) {
				value, ok := snap.Keys.Get(key)
				if _, in := want[key]; ok != in || value != want[key] {
					t.Errorf("get %q under %q: got %q, %v; want %q, %v", key, tt.prefixes, value, ok, want[key], in)
				}
			}
			for from := range want {
				for key := range snap.Keys.From(from) {
					if key != from {
						t.Errorf("first from %q: got %q", from, key)
					}
					break
				}
			}
		})
	}
	t.Run("narrowing narrows", func(t *testing.T) {
		snap, _ := b.Snapshot(t.Context(), []string{"/app/_old/deep"})
		if got := maps.Collect(snap.Keys.Under([]string{"/app/_old"}).From("")); !maps.Equal(got, map[string]string{"/app/_old/deep/c": "v"}) {
			t.Errorf("a narrower snapshot under a wider prefix: got %v, want what both hold", got)
		}
	})
}

func TestWaitIgnoresHidden(t *testing.T) {
	n := &node{tree: tree.New()}
	b := raftkv.New(n)
	if err := n.set("/app/port", "80"); err != nil {
		t.Fatal(err)
	}
	snap, _ := b.Snapshot(t.Context(), []string{"/app"})
	if err := n.set("/app/_old/port", "80"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Wait(ctx, []string{"/app"}, snap.Index); err == nil {
		t.Error("a hidden key is news")
	}
	if err := b.Wait(ctx, []string{"/app", "/app/_old"}, snap.Index); err != nil {
		t.Errorf("a hidden key that was asked for is no news: %v", err)
	}
}

// TestNotReady: nothing is rendered from what a node had before it was stopped.
func TestNotReady(t *testing.T) {
	n := starting{ready: make(chan struct{})}
	b := raftkv.New(n)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Snapshot(ctx, []string{"/"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before the node is ready: %v", err)
	}
	close(n.ready)
	if _, err := b.Snapshot(t.Context(), []string{"/"}); err != nil {
		t.Error(err)
	}
}

// starting is a node that is not ready.
type starting struct{ ready chan struct{} }

func (s starting) Tree() *tree.Tree       { return tree.New() }
func (s starting) Ready() <-chan struct{} { return s.ready }
