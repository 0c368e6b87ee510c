// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// Replay calls f, which calls Apply and Expire for what has been done before, and publishes
// what comes of it, with the same effect on watchers as Restore. As nobody sees what is in
// between, it takes less time and memory than to publish each batch. An event that Apply
// returns to f holds until the next call of either.
func (t *Tree) Replay(f func()) {
	t.replay = replay{running: true, began: t.index}
	f()
	t.replay = replay{}
	t.replaced()
}

// A replay is what a tree has to know of a Replay that runs. The zero value is that of none.
type replay struct {
	running bool
	began   uint64 // the index that it began with
	spare   *Event // one that nobody has any more, nil if there is none
}

// dropped takes an event, which may be nil, that the history has dropped. Those of before
// the Replay are in views that others may have.
func (r *replay) dropped(e *Event) {
	if e != nil && e.Index() > r.began {
		r.spare = e
	}
}

// event returns an event to be filled in.
func (r *replay) event() *Event {
	e := r.spare
	if e == nil {
		return new(Event)
	}
	r.spare = nil
	e.Refresh = false
	return e
}
