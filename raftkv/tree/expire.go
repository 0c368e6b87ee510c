// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"cmp"
	"slices"
)

// Expire removes every node whose time is not after now, in order of (time, key), one
// index and one event each. It returns how many it removed. What lies below a
// directory goes with it and has no event of its own.
func (t *Tree) Expire(now int64) int {
	removed := 0
	for {
		next, ok := t.expiry.first(t.keys)
		if !ok || next.at > now {
			return removed
		}
		t.remove(Expire, next.key, t.keys.get(next.key), now)
		t.stats.ExpireCount++
		removed++
	}
}

// NextExpiry returns the earliest expiry time among the nodes (Unix ns), 0 if none has
// one. Writer's.
func (t *Tree) NextExpiry() int64 {
	next, _ := t.expiry.first(t.keys)
	return next.at
}

// An expiry says when a key ends.
type expiry struct {
	at  int64
	key string
}

func (e expiry) compare(f expiry) int {
	return cmp.Or(cmp.Compare(e.at, f.at), cmp.Compare(e.key, f.key))
}

// Expiries are a heap of when keys end, the earliest first. What a key's node no longer
// says stays until it is the first, or until such entries are most of the heap.
type expiries struct {
	heap []expiry
	live int // nodes that have a time
}

// changed is replaced with what is to be done after it.
func (x *expiries) changed(keys keymap, key string, old, n *Node) {
	x.replaced(key, old, n)
	x.trim(keys)
}

// replaced notes that n took the place of old, which may be nil, at key.
func (x *expiries) replaced(key string, old, n *Node) {
	var was int64
	if old != nil {
		was = old.Expires
		x.removed(old)
	}
	if n.Expires == 0 {
		return
	}
	x.live++
	if n.Expires == was {
		return // is in the heap
	}
	x.heap = append(x.heap, expiry{n.Expires, key})
	x.up(len(x.heap) - 1)
}

// removed notes that n is no longer there.
func (x *expiries) removed(n *Node) {
	if n.Expires != 0 {
		x.live--
	}
}

// first returns the earliest one, false if there is none.
func (x *expiries) first(keys keymap) (expiry, bool) {
	for len(x.heap) > 0 {
		if e := x.heap[0]; e.holds(keys) {
			return e, true
		}
		x.pop()
	}
	return expiry{}, false
}

// holds reports whether the node at the key still ends then.
func (e expiry) holds(keys keymap) bool {
	n := keys.get(e.key)
	return n != nil && n.Expires == e.at
}

// trim leaves one entry for each node that has a time if there are many others.
func (x *expiries) trim(keys keymap) {
	if len(x.heap) <= 2*x.live+64 {
		return
	}
	x.heap = slices.DeleteFunc(x.heap, func(e expiry) bool { return !e.holds(keys) })
	slices.SortFunc(x.heap, expiry.compare) // which makes it a heap
	x.heap = slices.Compact(x.heap)         // a key that came back with the same time
}

// pop removes the first entry.
func (x *expiries) pop() {
	last := len(x.heap) - 1
	x.heap[0] = x.heap[last]
	x.heap[last] = expiry{}
	x.heap = x.heap[:last]
	x.down(0)
}

func (x *expiries) up(i int) {
	for i > 0 {
		above := (i - 1) / 2
		if x.heap[above].compare(x.heap[i]) <= 0 {
			return
		}
		x.heap[above], x.heap[i] = x.heap[i], x.heap[above]
		i = above
	}
}

func (x *expiries) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(x.heap); c++ {
			if x.heap[c].compare(x.heap[least]) < 0 {
				least = c
			}
		}
		if least == i {
			return
		}
		x.heap[least], x.heap[i] = x.heap[i], x.heap[least]
		i = least
	}
}
