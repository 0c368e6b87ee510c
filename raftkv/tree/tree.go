// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import "sync/atomic"

// A Tree is the state machine's copy of the key space. Apply, Expire, NextExpiry,
// Publish, Snapshot, Restore, RestoreBeside, Replay and Skip are the writer's, one call at a time;
// everything else may be called concurrently with it.
type Tree struct {
	// Owned by the writer.
	keys    keymap
	index   uint64
	expiry  expiries
	history history
	stats   Stats    // without gets and watchers
	pending []change // since the last Publish
	dir     string   // a directory that is there, the last that a new key was in; "" if none is known
	replay  replay

	// Stored with hub.mu held, so that who holds it sees a history and a set of
	// watchers that belong together; loaded without.
	view atomic.Pointer[View]
	hub  hub

	getsSuccess, getsFail atomic.Uint64
}

// A change is an event that has not been published.
type change struct {
	event *Event
	below []string // the keys that went with a removed directory, in order
}

// New returns an empty tree with index 0.
func New() *Tree {
	t := &Tree{keys: newKeymap()}
	t.hub.init()
	t.view.Store(&View{keys: t.keys.freeze()})
	return t
}

// View returns the published state. It never blocks.
func (t *Tree) View() *View { return t.view.Load() }

// Apply carries out op at time now (Unix, nanoseconds) and returns its event, or an
// *Error. It is visible to readers and watchers only after Publish. A key counts as
// there until Expire has removed it.
//
// The strings of op are kept. The result depends on the tree, op and now only. A time
// to live that ends after 2262, where the nanoseconds do, ends there.
func (t *Tree) Apply(op *Op, now int64) (*Event, error) {
	key := CleanKey(op.Key)
	var e *Event
	var err *Error
	switch op.Action {
	case Set:
		e, err = t.set(op, key, now)
	case Create:
		e, err = t.create(op, key, now)
	case Update:
		e, err = t.update(op, key, now)
	case CompareAndSwap:
		e, err = t.compareAndSwap(op, key, now)
	case Delete:
		e, err = t.delete(op, key, now)
	case CompareAndDelete:
		e, err = t.compareAndDelete(op, key, now)
	default:
		return nil, t.refuse(CodeInvalidField, "action "+op.Action.String()+" changes nothing")
	}
	t.stats.count(op.Action, err == nil)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// refuse returns the error with the current index.
func (t *Tree) refuse(code Code, cause string) *Error {
	return &Error{Code: code, Cause: cause, Index: t.index}
}

// put makes n the node at key, where old was, or nothing if that is nil.
func (t *Tree) put(key string, old, n *Node) {
	t.keys.set(key, n)
	t.expiry.changed(t.keys, key, old, n)
}

// record adds the event, which has the next index, to the history.
func (t *Tree) record(e *Event, below []string) *Event {
	t.index = e.Index()
	dropped := t.history.add(e)
	if t.replay.running {
		t.replay.dropped(dropped)
		return e
	}
	t.pending = append(t.pending, change{e, below})
	return e
}

// Publish makes the changes since the last Publish visible, all at once, and wakes
// the watchers they concern.
func (t *Tree) Publish() {
	old := t.view.Load()
	if len(t.pending) == 0 && t.stats == old.stats {
		return
	}
	v := &View{
		keys:     old.keys,
		index:    t.index,
		events:   t.history.events,
		restored: old.restored,
		epoch:    old.epoch,
		stats:    t.stats,
	}
	if len(t.pending) > 0 {
		v.keys = t.keys.freeze()
	}

	// Who is woken must find the new view; who holds the new view and then asks the
	// hub must find its events told. So both happen under the hub's lock, view first.
	t.hub.mu.Lock()
	t.view.Store(v)
	for i := range t.pending {
		t.hub.notify(&t.pending[i])
	}
	t.hub.mu.Unlock()

	clear(t.pending)
	t.pending = t.pending[:0]
}
