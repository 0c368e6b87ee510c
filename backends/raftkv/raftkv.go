// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package raftkv makes the store in this process a source of values: no connection,
// no copy. A snapshot is a view of the node's own tree.
//
// # Hidden keys
//
// As in a recursive listing of the v2 API, a key with a component that begins with "_"
// below the prefix asked for is left out; directories are no keys. A prefix that is
// itself hidden, or lies in a hidden directory, shows its content:
//
//	asked for    /app/port   /app/_old/port   /app/_old/_x
//	/app         yes         no               no
//	/app/_old    -           yes              no
//
// # Decisions
//
// Snapshot reads the node's own copy, not a linearizable one. A node that lags behind
// its leader is woken by Wait when it has caught up, so the files it renders converge
// all the same, and they go on being rendered while the cluster has no leader. But a node
// that was just started has what it had some time before it was stopped, perhaps nothing,
// and no file is rendered from that: Snapshot waits until the node is ready.
//
// Each Under counts the hidden components from its own prefixes: a group of files that
// shares one snapshot sees, file by file, what each would see by itself. So Under with
// a wider prefix than the snapshot's may hide what the snapshot shows; it never shows
// what lies outside the snapshot's prefixes.
package raftkv

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"confd/backends"
	"confd/raftkv/tree"
)

// A Node is a store in this process.
type Node interface {
	// Tree returns the node's copy of the key space. It is called once.
	Tree() *tree.Tree

	// Ready returns a channel that is closed when the copy has everything that was
	// acknowledged before the node was started.
	Ready() <-chan struct{}
}

// A Backend reads the tree of a node. It implements [backends.Backend] and may be used
// concurrently.
type Backend struct {
	tree  *tree.Tree
	node  Node
	ready <-chan struct{}
}

// New returns a backend for the node. It owns nothing of it.
func New(node Node) *Backend {
	return &Backend{tree: node.Tree(), node: node, ready: node.Ready()}
}

// Snapshot returns the files under the prefixes as the node has them now; the index is
// the tree's. It blocks while the node is not ready, after its start, and fails only if
// ctx ends meanwhile.
func (b *Backend) Snapshot(ctx context.Context, prefixes []string) (backends.Snapshot, error) {
	select {
	case <-b.ready:
	default:
		select {
		case <-b.ready:
		case <-ctx.Done():
			return backends.Snapshot{}, fmt.Errorf("waiting for the other members of the store: %w", ctx.Err())
		}
	}
	view := b.tree.View()
	return backends.Snapshot{Keys: visible(files{view}, prefixes), Index: view.Index()}, nil
}

// Wait blocks until something visible under the prefixes may have changed after index.
func (b *Backend) Wait(ctx context.Context, prefixes []string, index uint64) error {
	return b.tree.Wait(ctx, prefixes, index)
}

// Outage returns since when the node has not heard of a leader, if it can tell: the files
// go on being rendered from what it had until then.
func (b *Backend) Outage() (since time.Time, err error) {
	if n, ok := b.node.(interface{ Outage() (time.Time, error) }); ok {
		return n.Outage()
	}
	return time.Time{}, nil
}

// files is every file of a view, hidden ones too.
type files struct{ view *tree.View }

func (f files) Get(key string) (string, bool) {
	node, err := f.view.Get(key)
	if err != nil || node.Dir {
		return "", false
	}
	return node.Value, true
}

func (f files) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for k, node := range f.view.Files(key) {
			if !yield(k, node.Value) {
				return
			}
		}
	}
}

func (f files) Under(prefixes []string) backends.Keys { return backends.Restrict(f, prefixes) }

// keys is the visible part of the files under some prefixes.
type keys struct {
	within backends.Keys   // the files under the prefixes, hidden ones too
	sorted []string        // the prefixes, clean, in byte order
	asked  map[string]bool // the same as a set
}

// visible returns the part of all that is visible under the prefixes.
func visible(all backends.Keys, prefixes []string) *keys {
	k := &keys{
		within: backends.Restrict(all, prefixes),
		sorted: make([]string, len(prefixes)),
		asked:  make(map[string]bool, len(prefixes)),
	}
	for i, p := range prefixes {
		p = backends.Clean(p)
		k.sorted[i] = p
		k.asked[p] = true
	}
	slices.Sort(k.sorted)
	return k
}

func (k *keys) Get(key string) (string, bool) {
	if _, hidden := k.hidden(key); hidden {
		return "", false
	}
	return k.within.Get(key)
}

// From jumps over hidden directories, so the cost does not depend on what is in them.
func (k *keys) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for from := key; ; {
			jump := ""
			for key, value := range k.within.From(from) {
				dir, hidden := k.hidden(key)
				switch {
				case !hidden:
					if !yield(key, value) {
						return
					}
				case key != dir && !k.askedBelow(dir):
					jump = dir + "0" // the byte after "/"
				}
				if jump != "" {
					break
				}
			}
			if jump == "" {
				return
			}
			from = jump
		}
	}
}

func (k *keys) Under(prefixes []string) backends.Keys { return visible(k.within, prefixes) }

// hidden reports whether a key, which lies under one of the prefixes, is hidden from
// all of them: whether none reaches beyond its last component with a "_" in front. The
// path up to that component is dir.
func (k *keys) hidden(key string) (dir string, hidden bool) {
	if !strings.Contains(key, "/_") { // nearly always, and found out faster than where it is last
		return "", false
	}
	start := strings.LastIndex(key, "/_")
	end := len(key)
	if i := strings.IndexByte(key[start+1:], '/'); i >= 0 {
		end = start + 1 + i
	}
	for above := key; ; above = above[:strings.LastIndexByte(above, '/')] {
		if k.asked[above] {
			return "", false
		}
		if len(above) == end {
			return above, true
		}
	}
}

// askedBelow reports whether a prefix lies below dir.
func (k *keys) askedBelow(dir string) bool {
	i, _ := slices.BinarySearch(k.sorted, dir+"/")
	return i < len(k.sorted) && backends.Within(k.sorted[i], dir)
}
