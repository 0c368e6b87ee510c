// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// applied is the index of the last applied entry, with those who wait for one. Raft's
// own AppliedIndex is of no use for that: it is set when entries are queued.
type applied struct {
	index   atomic.Uint64
	waiting atomic.Int64 // len(waiters), readable without the lock

	mu      sync.Mutex
	waiters []*waiter
}

type waiter struct {
	index uint64
	done  chan struct{}
}

// advance sets the index and wakes who has waited for it. It never goes back.
func (a *applied) advance(index uint64) {
	for {
		old := a.index.Load()
		if index <= old {
			return
		}
		if a.index.CompareAndSwap(old, index) {
			break
		}
	}
	// Whoever counts itself as waiting after this line sees the new index.
	if a.waiting.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiters = slices.DeleteFunc(a.waiters, func(w *waiter) bool {
		if w.index > index {
			return false
		}
		close(w.done)
		return true
	})
	a.waiting.Store(int64(len(a.waiters)))
}

func (a *applied) wait(ctx context.Context, index uint64) error {
	if a.index.Load() >= index {
		return nil
	}
	w := &waiter{index: index, done: make(chan struct{})}
	a.mu.Lock()
	a.waiters = append(a.waiters, w)
	a.waiting.Store(int64(len(a.waiters)))
	a.mu.Unlock()
	if a.index.Load() >= index {
		a.forget(w)
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		a.forget(w)
		return ctx.Err()
	}
}

func (a *applied) forget(w *waiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiters = slices.DeleteFunc(a.waiters, func(o *waiter) bool { return o == w })
	a.waiting.Store(int64(len(a.waiters)))
}

// Applied returns the index of the last entry that has been applied and published.
func (f *FSM) Applied() uint64 { return f.applied.index.Load() }

// Advance tells the machine that everything up to index has been applied. Raft does
// not show it all entries: no-ops and barriers have an index too, which would never
// be reached otherwise. Call it with the index of a barrier that has returned.
func (f *FSM) Advance(index uint64) { f.applied.advance(index) }

// WaitApplied blocks until Applied is at least index. The error is ctx's.
func (f *FSM) WaitApplied(ctx context.Context, index uint64) error {
	return f.applied.wait(ctx, index)
}

// Shown returns the index of the last entry applied that raft has shown the machine, on
// every node the same ones. It is what one node may tell another to wait for.
func (f *FSM) Shown() uint64 { return f.shown.index.Load() }

// WaitShown blocks until Shown is at least index. The error is ctx's.
func (f *FSM) WaitShown(ctx context.Context, index uint64) error {
	return f.shown.wait(ctx, index)
}
