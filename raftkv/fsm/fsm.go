// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-raftchunking"
	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// A Result is the outcome of one operation of an entry.
type Result struct {
	Event *tree.Event // nil for an operation of the metadata, or if Err is not nil
	Err   error       // a *tree.Error or ErrMetaChanged: the operation was refused and changed nothing
}

// ErrMetaChanged means that the condition of a metadata operation does not hold.
var ErrMetaChanged = errors.New("metadata has changed")

// An FSM applies log entries to a tree. It implements raft.BatchingFSM: raft calls
// Apply, ApplyBatch, Snapshot and Restore from one goroutine. All other methods may
// be called concurrently with them.
type FSM struct {
	// Set on construction.
	tree     *tree.Tree
	fatal    func(error)
	chunking *raftchunking.ChunkingFSM
	chunks   storage

	// Held while raft's goroutine changes the state, so that Copy sees all of it at one
	// point in time.
	changing sync.Mutex

	// Owned by raft's goroutine.
	batch  Batch
	seen   uint64 // index of the last entry raft gave us, or of the snapshot
	failed error

	// Written by raft's goroutine, read by all.
	meta       atomic.Pointer[map[string][]byte] // the map never changes
	clock      atomic.Int64
	nextExpiry atomic.Int64
	expiry     chan struct{}
	applied    applied
	shown      applied // as applied, of what raft shows the machine
}

var _ raft.BatchingFSM = (*FSM)(nil)

// errStopped is what is returned for entries after one that could not be applied.
var errStopped = errors.New("state machine has stopped")

// storage keeps incomplete chunked operations.
type storage interface {
	raftchunking.ChunkStorage
	state() []*openOp      // all of them, in order; not changed by later calls
	restore(ops []*openOp) // replaces all
}

// New returns a state machine over t, which must be empty and have no other writer.
// It calls fatal at most once, with an entry's index and fault, if an entry cannot be
// applied. Nothing is applied after that, and the process should end.
func New(t *tree.Tree, fatal func(error)) *FSM {
	return newFSM(t, fatal, &chunkStorage{})
}

func newFSM(t *tree.Tree, fatal func(error), chunks storage) *FSM {
	f := &FSM{tree: t, fatal: fatal, chunks: chunks, expiry: make(chan struct{}, 1)}
	f.chunking = raftchunking.NewChunkingFSM(entryFSM{f}, chunks)
	f.meta.Store(&map[string][]byte{})
	return f
}

// Apply applies one entry; see ApplyBatch.
func (f *FSM) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies entries and then publishes the tree. The response to an entry is
// a []Result with one for each operation, to the last chunk of a large entry a
// raftchunking.ChunkingSuccess around that, to any other chunk and to a configuration
// nil, and an error if the machine has stopped at this entry or before.
func (f *FSM) ApplyBatch(logs []*raft.Log) []any {
	f.changing.Lock()
	defer f.changing.Unlock()
	responses := make([]any, len(logs))
	for i, l := range logs {
		responses[i] = f.apply(l)
	}
	f.tree.Publish()
	f.publishExpiry()
	f.applied.advance(f.seen)
	f.shown.advance(f.seen)
	return responses
}

// apply carries out one entry, which may be a chunk of one.
func (f *FSM) apply(l *raft.Log) any {
	if f.failed != nil {
		return errStopped
	}
	var response any
	switch {
	case l.Type != raft.LogCommand:
	case len(l.Extensions) > 0:
		response = f.chunking.Apply(l)
		if err, ok := response.(error); ok {
			f.stop(l, err)
		}
	default:
		response = f.entry(l)
	}
	if f.failed != nil {
		return f.failed
	}
	f.seen = l.Index
	return response
}

// entry carries out one whole entry.
func (f *FSM) entry(l *raft.Log) any {
	if err := f.batch.Decode(l.Data); err != nil {
		f.stop(l, err)
		return err
	}
	results := make([]Result, len(f.batch.Ops))
	f.carryOut(&f.batch, results)
	return results
}

// carryOut carries out the operations of an entry. results, one for each, may be nil.
func (f *FSM) carryOut(b *Batch, results []Result) {
	now := max(f.clock.Load(), b.Clock)
	f.clock.Store(now)
	f.tree.Expire(now)
	for i, op := range b.Ops {
		var r Result
		if op.Meta != nil {
			r.Err = f.setMeta(op.Meta)
		} else {
			r.Event, r.Err = f.tree.Apply(op.Tree, now)
		}
		if results != nil {
			results[i] = r
		}
	}
}

// stop ends the machine at entry l.
func (f *FSM) stop(l *raft.Log, err error) {
	if f.failed != nil {
		return
	}
	f.failed = fmt.Errorf("applying log entry %d of term %d: %w", l.Index, l.Term, err)
	f.fatal(f.failed)
}

// Halt ends the machine from without: what it is given from now on is not applied, and is
// answered with an error. It is for the goroutine that calls ApplyBatch.
func (f *FSM) Halt(err error) {
	if f.failed == nil {
		f.failed = err
	}
}

func (f *FSM) setMeta(m *Meta) error {
	old := *f.meta.Load()
	value, ok := old[m.Key]
	if m.IfAbsent && ok || m.IfIs && !(ok && bytes.Equal(value, m.Prev)) {
		return ErrMetaChanged
	}
	next := maps.Clone(old)
	if m.Remove {
		delete(next, m.Key)
	} else {
		next[m.Key] = m.Value
	}
	f.meta.Store(&next)
	return nil
}

// publishExpiry tells the others when the next key expires, and wakes who waits for it.
func (f *FSM) publishExpiry() {
	next := f.tree.NextExpiry()
	if f.nextExpiry.Swap(next) == next {
		return
	}
	select {
	case f.expiry <- struct{}{}:
	default: // a wake-up is on its way already
	}
}

// Meta returns the value of a metadata key and whether there is one. It must not be
// changed.
func (f *FSM) Meta(key string) ([]byte, bool) {
	v, ok := (*f.meta.Load())[key]
	return v, ok
}

// AllMeta returns the whole metadata as it is now. The map is the same one until
// something changes, and must not be changed.
func (f *FSM) AllMeta() *map[string][]byte { return f.meta.Load() }

// Clock returns the machine's clock: Unix time in nanoseconds, 0 before the first entry.
func (f *FSM) Clock() int64 { return f.clock.Load() }

// NextExpiry returns the earliest expiry time of all keys as of the last ApplyBatch
// (Unix time in nanoseconds), 0 if no key has one.
func (f *FSM) NextExpiry() int64 { return f.nextExpiry.Load() }

// ExpiryChanged returns a channel that receives after NextExpiry has changed; changes
// that nobody has received yet count as one.
func (f *FSM) ExpiryChanged() <-chan struct{} { return f.expiry }

// Snapshot returns the state as it is now. It costs a copy of the list of incomplete
// chunks; everything else is shared and immutable.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	if f.failed != nil {
		return nil, errStopped
	}
	return &snapshot{
		head: head{
			clock:  f.clock.Load(),
			seen:   f.seen,
			meta:   *f.meta.Load(),
			chunks: f.chunks.state(),
		},
		tree: f.tree.Snapshot(),
	}, nil
}

// Restore replaces the whole state by that of a snapshot. All watches of the tree
// end. On error nothing has changed.
func (f *FSM) Restore(r io.ReadCloser) error {
	defer r.Close()
	f.changing.Lock()
	defer f.changing.Unlock()
	h, rest, err := readHead(r)
	if err != nil {
		return fmt.Errorf("reading snapshot: %w", err)
	}
	if err := f.tree.RestoreBeside(rest, beside); err != nil {
		return fmt.Errorf("restoring tree from snapshot: %w", err)
	}
	f.clock.Store(h.clock)
	f.seen = h.seen
	f.meta.Store(&h.meta)
	f.chunks.restore(h.chunks)
	f.publishExpiry()
	f.applied.advance(h.seen)
	f.shown.advance(h.seen)
	return nil
}

// entryFSM is what the chunking wrapper hands complete entries to.
type entryFSM struct{ f *FSM }

func (e entryFSM) Apply(l *raft.Log) any               { return e.f.entry(l) }
func (e entryFSM) Snapshot() (raft.FSMSnapshot, error) { return e.f.Snapshot() }
func (e entryFSM) Restore(r io.ReadCloser) error       { return e.f.Restore(r) }
