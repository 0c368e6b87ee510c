// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"confd/raftkv/tree"
)

// A replay is the key space as the events tell it, in a form so simple that it cannot
// share a fault with package tree: all versions of each key.
type replay struct {
	keys  map[string]*tree.Node // as they are now
	old   map[string][]version  // :: key → its versions, in order
	index uint64
	now   int64
}

// A version is what a key has been since an index; nil is nothing.
type version struct {
	since uint64
	node  *tree.Node
}

func newReplay() *replay {
	return &replay{keys: make(map[string]*tree.Node), old: make(map[string][]version)}
}

func (r *replay) put(key string, n *tree.Node) {
	r.old[key] = append(r.old[key], version{r.index, n})
	if n == nil {
		delete(r.keys, key)
		return
	}
	r.keys[key] = n
}

// at returns what a key was at an index.
func (r *replay) at(key string, index uint64) *tree.Node {
	versions := r.old[key]
	i, found := slices.BinarySearchFunc(versions, index, func(v version, index uint64) int {
		return int(int64(v.since) - int64(index))
	})
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	return versions[i].node
}

// apply carries out the next event. The error says why it cannot be what came next.
func (r *replay) apply(e *tree.Event) error {
	r.index++
	now, n := r.keys[e.Key], e.Node
	switch {
	case e.Index() != r.index:
		return fmt.Errorf("index %d is missing", r.index)
	case !sameNode(e.Prev, now):
		return fmt.Errorf("%s: the key was %s", showEvent(e), showNode(now))
	case e.Now < r.now:
		return fmt.Errorf("%s: the time has gone back from %d", showEvent(e), r.now)
	}
	r.now = e.Now
	ok := true
	switch e.Action {
	case tree.Set:
		ok = n.Created == r.index && (now == nil || !now.Dir)
	case tree.Create:
		ok = n.Created == r.index && now == nil
	case tree.Update, tree.CompareAndSwap:
		ok = now != nil && n.Created == now.Created
	case tree.Expire:
		ok = now != nil && now.Expires != 0 && now.Expires <= e.Now
	case tree.Delete, tree.CompareAndDelete:
		ok = now != nil && n.Created == now.Created
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("%s cannot follow on %s", showEvent(e), showNode(now))
	}
	switch e.Action {
	case tree.Expire, tree.Delete, tree.CompareAndDelete:
		r.remove(e.Key)
	default:
		r.makeParents(e.Key)
		r.put(e.Key, n)
	}
	return nil
}

func (r *replay) remove(key string) {
	for _, k := range slices.Collect(maps.Keys(r.keys)) {
		if k == key || strings.HasPrefix(k, key+"/") {
			r.put(k, nil)
		}
	}
}

func (r *replay) makeParents(key string) {
	for i := strings.LastIndexByte(key, '/'); i > 0; i = strings.LastIndexByte(key[:i], '/') {
		if r.keys[key[:i]] != nil {
			return
		}
		r.put(key[:i], &tree.Node{Dir: true, Created: r.index, Modified: r.index})
	}
}

// compare returns the first difference to a view.
func (r *replay) compare(v *tree.View) error {
	if v.Index() != r.index || v.Len() != len(r.keys) {
		return fmt.Errorf("index %d and %d keys, the events make index %d and %d keys", v.Index(), v.Len(), r.index, len(r.keys))
	}
	for _, key := range slices.Sorted(maps.Keys(r.keys)) {
		if n, err := v.Get(key); err != nil || !sameNode(n, r.keys[key]) {
			return fmt.Errorf("%s is %s, the events make it %s", key, showNode(n), showNode(r.keys[key]))
		}
	}
	return nil
}

// sameNode compares what a node shows. What it knows besides may differ after a restore.
func sameNode(a, b *tree.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Value == b.Value && a.Created == b.Created && a.Modified == b.Modified && a.Expires == b.Expires && a.Dir == b.Dir
}

func sameEvent(a, b *tree.Event) bool {
	return a.Action == b.Action && a.Key == b.Key && a.Now == b.Now && a.Refresh == b.Refresh &&
		sameNode(a.Node, b.Node) && sameNode(a.Prev, b.Prev)
}

func showNode(n *tree.Node) string {
	if n == nil {
		return "nothing"
	}
	value := idOf(n.Value)
	if n.Dir {
		value = "a directory"
	}
	return fmt.Sprintf("{%s created %d modified %d expires %d}", value, n.Created, n.Modified, n.Expires)
}

func showEvent(e *tree.Event) string {
	return fmt.Sprintf("%v %s %s before %s at %d", e.Action, e.Key, showNode(e.Node), showNode(e.Prev), e.Now)
}
