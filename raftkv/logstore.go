// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// A logStore stands between raft and its log. A write that fails, or takes longer than
// stall, ends the node: on Linux a failed fsync cannot be tried again, since the pages
// may have been dropped, and raft alone would step down and be elected again for ever.
// After a failure nothing is written any more.
//
// It also measures the log, for the compactor.
type logStore struct {
	raft.LogStore
	stall time.Duration
	fail  func(error)
	grown chan struct{} // capacity one; receives when the log has reached a limit

	pipe    *logPipe  // of the files
	since   time.Time // when begin was called first after commit
	cutting turn      // taken while the log is cut, and while its mark is moved

	writes  Histogram     // StoreLogs that have succeeded
	written atomic.Uint64 // bytes of their entries

	mu        sync.Mutex
	failed    error
	keep      uint64 // entries from this index on are not cut off from the front
	last      uint64 // index of the last entry measured
	total     int64  // bytes of all entries measured so far
	marks     []mark // in order; the first stands at the first entry measured
	wakeIndex uint64 // limits for grown
	wakeTotal int64
}

// newLogStore returns a store over s. fail is told of a failure; it may be called more
// than once and from any goroutine.
func newLogStore(s raft.LogStore, stall time.Duration, fail func(error)) *logStore {
	return &logStore{LogStore: s, stall: stall, fail: fail, grown: make(chan struct{}, 1), pipe: newLogPipe(), cutting: newTurn()}
}

// IsMonotonic reports whether the store takes consecutive indexes only. Raft must be
// told, or a restored snapshot leaves a gap that the store refuses.
func (l *logStore) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// StoreLog stores an entry; see StoreLogs.
func (l *logStore) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries; they are on the disk when it returns without an error.
// Raft calls it from one goroutine.
func (l *logStore) StoreLogs(es []*raft.Log) error {
	return l.write("writing to the log", func() error {
		start := time.Now()
		err := l.LogStore.StoreLogs(es)
		if err == nil {
			l.writes.Observe(time.Since(start))
			l.measure(es...)
		}
		return err
	})
}

// begin writes entries that commit makes durable.
func (l *logStore) begin(es []*raft.Log) error {
	if l.since.IsZero() {
		l.since = time.Now()
	}
	err := l.write("writing to the log", func() error {
		return l.pipe.hold(func() error { return l.LogStore.StoreLogs(es) })
	})
	if err == nil {
		l.measure(es...)
	}
	return err
}

// commit returns what makes the entries durable that begin has written since the last
// call. It may be called in another goroutine. The caller has the pipe's turn until then.
func (l *logStore) commit() (sync func() error) {
	start, held := l.since, l.pipe.commit()
	l.since = time.Time{}
	return func() error {
		return l.write("writing to the log", func() error {
			err := l.pipe.finish(held)
			if err == nil {
				l.writes.Observe(time.Since(start))
			}
			return err
		})
	}
}

// DeleteRange removes entries, but for those that are to be kept, unless all are to go. A
// store that cannot do that is as broken as one that cannot write: an entry that was to go
// would come back.
func (l *logStore) DeleteRange(lo, hi uint64) error {
	_ = l.cutting.take(context.Background())
	defer l.cutting.give()
	if hi = l.spare(hi); hi < lo {
		return nil
	}
	return l.write("cutting the log", func() error {
		err := l.LogStore.DeleteRange(lo, hi)
		if err == nil {
			l.cut(lo, hi)
		}
		return err
	})
}

func (l *logStore) write(what string, f func() error) error {
	l.mu.Lock()
	err := l.failed
	l.mu.Unlock()
	if err != nil {
		return err
	}
	// In two steps, so that a process that was stopped for a while (a frozen container)
	// gets the second half of the time to finish a write after it goes on.
	var done atomic.Bool
	watch := time.AfterFunc(l.stall/2, func() {
		time.AfterFunc(l.stall/2, func() {
			if !done.Load() {
				l.fail(fmt.Errorf("%s has taken more than %v: the disk has stalled", what, l.stall))
			}
		})
	})
	err = f()
	done.Store(true)
	watch.Stop()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	l.mu.Lock()
	l.failed = err
	l.mu.Unlock()
	l.fail(err)
	return err
}

// GetLog reads an entry. Raft panics when it needs one that cannot be read, so the
// node is told before.
func (l *logStore) GetLog(index uint64, e *raft.Log) error {
	err := l.read(index, e)
	switch {
	case err == nil:
		l.measureOld(e)
	case errors.Is(err, raft.ErrLogNotFound), errors.Is(err, wal.ErrClosed):
	default:
		l.fail(fmt.Errorf("reading entry %d of the log: %w", index, err))
	}
	return err
}

// read reads an entry. An index or a length that was damaged after the log was opened leads
// to another entry, or makes raft-wal panic.
func (l *logStore) read(index uint64, e *raft.Log) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	if err := l.LogStore.GetLog(index, e); err != nil {
		return err
	}
	if e.Index != index {
		return fmt.Errorf("%w: it is entry %d", ErrDamaged, e.Index)
	}
	return nil
}

// entries returns how many entries the log has, 0 if it is closed.
func (l *logStore) entries() uint64 {
	first, err := l.FirstIndex()
	if err != nil || first == 0 {
		return 0
	}
	last, err := l.LastIndex()
	if err != nil || last < first {
		return 0
	}
	return last - first + 1
}

// keepFrom sets the first entry that is not cut off from the front.
func (l *logStore) keepFrom(index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep = index
}

// spare returns the last entry to be removed of those up to hi.
func (l *logStore) spare(hi uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hi >= l.last || l.keep == 0 {
		return hi
	}
	return min(hi, l.keep-1)
}
