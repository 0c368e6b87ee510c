// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"io"
	"maps"
)

// A Copy is the whole state at one point in time: a snapshot that is not raft's.
type Copy struct {
	s    snapshot
	keys int
}

// Copy returns the state as it is now. It may be called concurrently with raft's
// goroutine, which it stops for a moment. Chunks of operations that are not complete are
// left out: nobody has been told that these have happened.
func (f *FSM) Copy() (*Copy, error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.failed != nil {
		return nil, errStopped
	}
	return &Copy{
		s:    snapshot{head{clock: f.clock.Load(), seen: f.seen, meta: *f.meta.Load()}, f.tree.Snapshot()},
		keys: f.tree.View().Len(),
	}, nil
}

// Applied returns the index of the last log entry that is in the copy.
func (c *Copy) Applied() uint64 { return c.s.head.seen }

// Index returns the index of the tree in the copy.
func (c *Copy) Index() uint64 { return c.s.tree.Index() }

// Keys returns the number of keys in the copy, directories included.
func (c *Copy) Keys() int { return c.keys }

// Write writes the copy as a snapshot that Restore reads. It holds nothing in memory but
// the state itself.
func (c *Copy) Write(w io.Writer) error { return c.s.write(w) }

// Edit changes a state that no raft runs over: its metadata, which change may alter as it
// likes, and the index of the tree, which moves ahead by skip; see tree.Skip.
func (f *FSM) Edit(change func(meta map[string][]byte), skip uint64) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.failed != nil {
		return f.failed
	}
	meta := maps.Clone(*f.meta.Load())
	change(meta)
	f.meta.Store(&meta)
	f.chunks.restore(nil)
	if skip > 0 {
		f.tree.Skip(skip)
	}
	return nil
}
