// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import "github.com/hashicorp/raft"

// markEvery is how far the marks of a logStore lie apart, in bytes of the log.
const markEvery = 64 << 10

// entryOverhead is about what an entry takes in the log beside its data.
const entryOverhead = 48

// A mark says how many bytes had been measured before the entry with that index.
type mark struct {
	index uint64
	total int64
}

// measureAfter begins to measure after the entry with that index, the last snapshot's.
func (l *logStore) measureAfter(index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = index
}

// measureOld measures an entry that raft reads when it starts: all after the last
// snapshot, in order.
func (l *logStore) measureOld(e *raft.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Index == l.last+1 {
		l.measureLocked(e)
	}
}

func (l *logStore) measure(es ...*raft.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.total
	for _, e := range es {
		l.measureLocked(e)
	}
	l.written.Add(uint64(l.total - before))
	if l.last < l.wakeIndex && l.total < l.wakeTotal {
		return
	}
	select {
	case l.grown <- struct{}{}:
	default: // a wake-up is on its way already
	}
}

func (l *logStore) measureLocked(e *raft.Log) {
	if n := len(l.marks); n == 0 || l.total-l.marks[n-1].total >= markEvery {
		l.marks = append(l.marks, mark{e.Index, l.total})
	}
	l.last = e.Index
	l.total += int64(len(e.Data) + len(e.Extensions) + entryOverhead)
}

// cut forgets the marks of entries that have been removed.
func (l *logStore) cut(lo, hi uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hi >= l.last { // from the end: a follower drops what its leader does not have
		l.last = min(l.last, lo-1)
		for len(l.marks) > 0 && l.marks[len(l.marks)-1].index >= lo {
			l.marks = l.marks[:len(l.marks)-1]
		}
		return
	}
	// One mark stays at or before the first entry that is left: the others may lie far
	// apart, counted in entries, and wakeAfter and trailing need one to count from.
	for len(l.marks) > 1 && l.marks[1].index <= hi+1 {
		l.marks = l.marks[1:]
	}
}

// within returns the first of the entries at the end of the log that take at most limit
// bytes, by the marks, so at worst too late, and the last. It may be one that has been
// removed.
func (l *logStore) within(limit int64) (first, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.marks {
		if l.total-m.total <= limit {
			return m.index, l.last
		}
	}
	return l.last + 1, l.last
}

// wakeAfter makes grown receive when the log after the entry index has grown by that
// many entries or bytes.
func (l *logStore) wakeAfter(index, entries uint64, bytes int64) {
	l.mu.Lock()
	l.wakeIndex, l.wakeTotal = index+entries, l.totalAt(index)+bytes
	l.mu.Unlock()
	select {
	case <-l.grown: // by the old limits
	default:
	}
	l.measure() // it may be there already
}

// grownSince returns by how many bytes the log has grown after an entry, by the marks.
func (l *logStore) grownSince(index uint64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total - l.totalAt(index)
}

// totalAt returns how many bytes had been measured up to an entry, at most a mark too few.
func (l *logStore) totalAt(index uint64) int64 {
	base := l.total // if nothing has been measured after it yet, or all is gone
	if index >= l.last {
		return base
	}
	for i := len(l.marks) - 1; i >= 0; i-- {
		base = l.marks[i].total
		if l.marks[i].index <= index+1 {
			break
		}
	}
	return base
}
