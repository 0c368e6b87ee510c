// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import "path"

// maxChanges is how many changed keys are remembered. Who asks for changes further
// back is told that there are some.
const maxChanges = 4096

// news knows which keys of the copy have changed when, and who waits for which.
// Guarded by Backend.mu.
type news struct {
	version uint64   // of the copy; begins at 1, +1 for each batch of changes
	floor   uint64   // changes up to this version are forgotten
	changes []change // the later ones, oldest first
	waiters map[string]map[*waiter]struct{}
	// ^ :: prefix → those who wait for it
}

type change struct {
	version uint64
	key     string
}

// A waiter waits for a change under its prefixes.
type waiter struct {
	prefixes []string
	ch       chan struct{} // closed when there is one
	woken    bool
}

func newNews() news {
	return news{version: 1, floor: 1, waiters: map[string]map[*waiter]struct{}{}}
}

// publish makes a new version of the copy in which these keys are changed, and wakes
// those who wait for one of them.
func (n *news) publish(keys []string) {
	if len(keys) == 0 {
		return
	}
	n.version++
	if len(keys) > maxChanges {
		n.changes, n.floor = nil, n.version
		for _, set := range n.waiters {
			wake(set)
		}
		return
	}
	for _, key := range keys {
		n.changes = append(n.changes, change{n.version, key})
		n.wakeFor(key)
	}
	if over := len(n.changes) - maxChanges; over > 0 {
		n.floor = n.changes[over-1].version
		n.changes = n.changes[over:]
	}
}

// wakeFor wakes those who wait for a prefix that covers key: a look-up per component.
func (n *news) wakeFor(key string) {
	for p := key; ; p = path.Dir(p) {
		if set := n.waiters[p]; set != nil && covers(p, key) {
			wake(set)
		}
		if p == "/" {
			return
		}
	}
}

func wake(set map[*waiter]struct{}) {
	for w := range set {
		if !w.woken {
			w.woken = true
			close(w.ch)
		}
	}
}

// since reports whether a key under the prefixes may have changed after the version.
func (n *news) since(prefixes []string, version uint64) bool {
	if version < n.floor || version > n.version {
		return true
	}
	if version == n.version {
		return false
	}
	m := newMatcher(prefixes)
	for i := len(n.changes) - 1; i >= 0 && n.changes[i].version > version; i-- {
		if m.match(n.changes[i].key) {
			return true
		}
	}
	return false
}

// add registers a waiter; remove must follow.
func (n *news) add(prefixes []string) *waiter {
	w := &waiter{prefixes: prefixes, ch: make(chan struct{})}
	for _, p := range prefixes {
		if n.waiters[p] == nil {
			n.waiters[p] = map[*waiter]struct{}{}
		}
		n.waiters[p][w] = struct{}{}
	}
	return w
}

func (n *news) remove(w *waiter) {
	for _, p := range w.prefixes {
		delete(n.waiters[p], w)
		if len(n.waiters[p]) == 0 {
			delete(n.waiters, p)
		}
	}
}

// A matcher tells whether one of some prefixes covers a key.
type matcher struct {
	list []string
	set  map[string]bool // instead, if there are many
}

func newMatcher(prefixes []string) matcher {
	if len(prefixes) <= 8 {
		return matcher{list: prefixes}
	}
	set := make(map[string]bool, len(prefixes))
	for _, p := range prefixes {
		set[p] = true
	}
	return matcher{set: set}
}

func (m matcher) match(key string) bool {
	if m.set != nil {
		_, ok := coverer(m.set, key)
		return ok
	}
	for _, p := range m.list {
		if covers(p, key) {
			return true
		}
	}
	return false
}
