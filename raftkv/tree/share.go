// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// One stream can stand for many that see the same events, so that these are told once.

// Ahead reports whether w does not see all events from now on, as it waits for an index that
// is still to come.
func (w *Watcher) Ahead() bool { return w.since > w.Start+1 }

// Join ends the stream w and has to, a stream of the same events, stand for it too. Its C is
// closed behind what it has; all that comes after index is told to the other one. It reports
// false, and nothing has happened, if one of them has ended.
func (w *Watcher) Join(to *Watcher) (index uint64, ok bool) {
	h := &w.tree.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.spot == nil || to.spot != w.spot {
		return 0, false
	}
	to.count += w.count
	h.watchers += w.count
	h.end(w)
	return to.tree.view.Load().index, true
}

// Split returns a stream of the same events as w, one of those that it stands for: with what
// w has not delivered yet, and all that comes. That is w itself, which notifies nobody any
// more, if it stands for no other one, and nil if it does and has ended. Only who receives
// from C may call it.
func (w *Watcher) Split() *Watcher {
	h := &w.tree.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.count == 1 {
		w.notify = nil
		return w
	}
	if w.spot == nil {
		return nil
	}
	one := newWatcher(w.tree, w.Key, w.Recursive, true, len(w.c)+streamBuffer)
	one.Start = w.tree.view.Load().index
	for range len(w.c) { // nobody else sends or receives now
		e := <-w.c
		one.c <- e
		w.c <- e
	}
	w.count--
	h.watchers--
	h.add(one)
	return one
}
