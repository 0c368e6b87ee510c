// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import "context"

// A waiter is a call of Wait that blocks.
type waiter struct {
	woken chan struct{} // closed by the first event that concerns it
	fired bool          // woken is closed; guarded by hub.mu
	waits []wait
}

// A wait is a waiter's place at a spot.
type wait struct {
	waiter *waiter
	spot   *spot
	pos    int // in the spot's list
}

// Wait blocks until something under one of the prefixes (the key itself, or below it
// component-wise; hidden keys below a prefix do not count, nor do refreshes) may have
// changed after index. It returns nil at once if that is so already, or if it cannot
// be told: index lies before the history or the last Restore, or after the tree's own
// index. Only then it looks at ctx; so a ctx that has ended makes it a test. The error
// is ctx's.
//
// No change is lost between a View and Wait with that view's index, as long as no Restore
// takes the index back, which in a node none does. The test costs a
// look at the events after index and takes no lock; to block costs a registration for
// each prefix.
func (t *Tree) Wait(ctx context.Context, prefixes []string, index uint64) error {
	prefixes = cleanKeys(prefixes)
	v := t.view.Load()
	if v.changed(prefixes, index) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}

	w := &waiter{woken: make(chan struct{})}
	h := &t.hub
	h.mu.Lock()
	// What was published since v was not looked at, and is not told to those who
	// register now.
	now := t.view.Load()
	if now.epoch != v.epoch || now.changed(prefixes, v.index) {
		h.mu.Unlock()
		return nil
	}
	restored := h.restored
	h.enter(w, prefixes)
	h.mu.Unlock()

	var err error
	select {
	case <-w.woken:
	case <-restored:
	case <-ctx.Done():
		err = ctx.Err()
	}

	h.mu.Lock()
	h.leave(w)
	fired := w.fired
	h.mu.Unlock()
	if fired {
		return nil
	}
	return err
}

// cleanKeys returns the keys, clean, without changing the slice it was given.
func cleanKeys(keys []string) []string {
	for i, key := range keys {
		if isClean(key) {
			continue
		}
		clean := append([]string(nil), keys...)
		for ; i < len(clean); i++ {
			clean[i] = CleanKey(clean[i])
		}
		return clean
	}
	return keys
}

// changed reports whether something under the prefixes may have changed after index.
func (v *View) changed(prefixes []string, index uint64) bool {
	if index > v.index || index < v.restored || index+1 < v.oldest() {
		return true
	}
	events := v.from(index + 1)
	if len(events)*len(prefixes) > 1<<12 {
		return anyMatches(events, prefixes)
	}
	for _, e := range events {
		for _, p := range prefixes {
			if e.matches(p, true) {
				return true
			}
		}
	}
	return false
}

// anyMatches reports whether one of the events matches one of the prefixes, for many of
// them: it asks for each ancestor of each event's key whether that is a prefix.
func anyMatches(events []*Event, prefixes []string) bool {
	set := make(map[string]struct{}, len(prefixes))
	for _, p := range prefixes {
		set[p] = struct{}{}
	}
	for _, e := range events {
		if e.Refresh {
			continue
		}
		for key := e.Key; ; key = parent(key) {
			if _, ok := set[key]; ok {
				return true
			}
			if key == "/" || Hidden(key) {
				break
			}
		}
		if !e.removesDir() {
			continue
		}
		for _, p := range prefixes {
			if under(p, e.Key) {
				return true
			}
		}
	}
	return false
}

// enter registers w for each prefix. The caller holds mu.
func (h *hub) enter(w *waiter, prefixes []string) {
	w.waits = make([]wait, len(prefixes))
	for i, p := range prefixes {
		s := h.at(p)
		w.waits[i] = wait{waiter: w, spot: s, pos: len(s.waits)}
		s.waits = append(s.waits, &w.waits[i])
	}
}

// leave undoes enter. The caller holds mu.
func (h *hub) leave(w *waiter) {
	for i := range w.waits {
		at, s := &w.waits[i], w.waits[i].spot
		last := len(s.waits) - 1
		s.waits[at.pos] = s.waits[last]
		s.waits[at.pos].pos = at.pos
		s.waits[last] = nil
		s.waits = s.waits[:last]
		h.drop(s)
	}
}

// wake ends the waits at the spot. Their goroutines take them off the lists, so that
// the writer need not. The caller holds mu.
func (s *spot) wake() {
	for _, at := range s.waits {
		if !at.waiter.fired {
			at.waiter.fired = true
			close(at.waiter.woken)
		}
	}
}
