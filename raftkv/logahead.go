// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

const (
	aheadEntries = 512
	aheadBytes   = 8 << 20
)

// An aheadLog lets a leader send entries to its followers while it writes them to its own
// disk, so that a write takes as long as the slower of two disks, not as long as both: the
// leader's write in parallel of Ongaro's thesis, 10.2.1. Raft's leader sends what StoreLogs
// has taken, so here it takes entries into memory, the tail, from where one goroutine writes
// them in order, those of several calls with one fsync.
//
// # Why it is safe
//
// Raft asks of its log that an entry which a node has promised to have is not lost. What a
// leader has in its log is no promise to anybody until it counts itself among those who have
// an entry. The thesis has it do that when its own write is done, and so it is here, though
// hashicorp/raft counts it before: what raft believes to be committed is used in three
// ways, and each waits for this node's disk.
//
//   - The state machine applies no entry before it is on the disk (nodeFSM.ApplyBatch). So
//     what is answered, read, watched, in a snapshot, or cut from the log, is there.
//   - Followers are not told of a commit beyond it, nor does a read wait for more
//     (transport.AppendEntries, confirm). Up to there each member that raft has counted has
//     the entries on its disk.
//   - Raft acts by itself on a configuration that is committed, and on the first entry of a
//     term, without which nothing older is (Figure 8 of the thesis). So both are written
//     before StoreLogs returns, with all that is before them, as is everything but commands.
//
// So up to the smaller of what raft believes committed and of what is on this disk, all is on
// the disks of a majority; and if raft has counted anything in this term, that reaches to the
// first entry of the term at least. That is what committed means.
//
// A leader may lose its tail in a crash. Nobody was told that it had it. The entries may be
// at followers, as those of any leader that has failed early, and nobody else can make others
// of the same index and term: it has voted for itself in that term, and leads again only in
// a later one.
//
// A node that no longer leads could promise something with a tail: a vote, or an answer to
// another leader. Both are of a later term, and a term is not saved before the tail is on the
// disk (stableStore). So a node in a later term than the one in which it led has no tail: it
// is raft with a log that waits for the disk. Until then it has nobody to promise anything
// to, since its own term has no other leader. What a pre-vote, a hello or a status say of the
// end of the log is no promise. On a follower, at the start, and with one voter, which has
// nobody to send to, unless the entries are large, StoreLogs returns when the entries are on
// the disk; and before entries are cut out, all are there.
//
// Large entries are written while those before are synced, with one voter too: see logPipe.
// They are in the tail, and not durable, until their own sync has returned.
//
// If a write fails the node has, as ever (logStore): the tail stays where it is, so nothing of
// it is applied or told, and the state machine applies nothing after it.
type aheadLog struct {
	*logStore
	ahead  func(size int) bool // whether StoreLogs need not wait for the disk with so many bytes; asked in raft's main goroutine
	failed <-chan struct{}     // closed when the node has failed

	durable atomic.Uint64 // the last entry written: those before it are on the disk
	wake    chan struct{} // capacity one; there is a tail
	closing chan struct{} // closed by close
	ended   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	tail    []*raft.Log   // not on the disk yet, consecutive
	begun   int           // how many of them are being written
	size    int           // bytes of it
	written chan struct{} // closed when some of it has been written, and replaced
}

// newAheadLog returns a log over s, which ends with entry last. The caller calls close.
func newAheadLog(s *logStore, last uint64, ahead func(size int) bool, failed <-chan struct{}) *aheadLog {
	l := &aheadLog{
		logStore: s, ahead: ahead, failed: failed,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}), written: make(chan struct{}),
	}
	l.durable.Store(last)
	go l.writeLoop()
	return l
}

// close writes what there is of a tail. Nothing may be stored any more. The channel that it
// returns is closed when that is done and the goroutine has ended, which a disk that hangs
// can delay.
func (l *aheadLog) close() (ended <-chan struct{}) {
	close(l.closing)
	return l.ended
}

// StoreLog stores an entry; see StoreLogs.
func (l *aheadLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs stores entries. They are on the disk when it returns without an error, or, if
// ahead allows it, follow soon. Raft calls it from one goroutine.
func (l *aheadLog) StoreLogs(es []*raft.Log) error {
	if onlyCommands(es) && l.ahead(sizeOf(es)) {
		return l.storeAhead(es)
	}
	if err := l.flush(); err != nil {
		return err
	}
	err := l.logStore.StoreLogs(es)
	if err == nil && len(es) > 0 {
		l.durable.Store(lastOf(es))
	}
	return err
}

// onlyCommands reports whether raft leaves all of the entries to the state machine.
func onlyCommands(es []*raft.Log) bool {
	return !slices.ContainsFunc(es, func(e *raft.Log) bool { return e.Type != raft.LogCommand })
}

func (l *aheadLog) storeAhead(es []*raft.Log) error {
	size := sizeOf(es)
	full := func() bool {
		return len(l.tail) > 0 && (len(l.tail)+len(es) > aheadEntries || l.size+size > aheadBytes)
	}
	if err := l.wait(full); err != nil {
		return err
	}
	l.mu.Lock()
	l.tail = append(l.tail, es...)
	l.size += size
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it will see these, too
	}
	return nil
}

// flush returns when all entries that were stored before are on the disk.
func (l *aheadLog) flush() error {
	last := l.end(lastOf)
	return l.wait(func() bool { return len(l.tail) > 0 && l.tail[0].Index <= last })
}

// waitDurable returns when an entry that was stored is on the disk.
func (l *aheadLog) waitDurable(index uint64) error {
	if l.durable.Load() >= index {
		return nil
	}
	return l.wait(func() bool { return l.durable.Load() < index })
}

// wait waits as long as a condition holds, which is asked under the lock and changes with
// what has been written. The error is ErrFailed if the node has failed meanwhile.
func (l *aheadLog) wait(holds func() bool) error {
	for {
		l.mu.Lock()
		on, written := holds(), l.written
		l.mu.Unlock()
		if !on {
			return nil
		}
		select {
		case <-written:
		case <-l.failed:
			return ErrFailed
		}
	}
}

// durably returns the smaller of an index and that of the last entry on the disk: of what
// raft says is committed, what is.
func (l *aheadLog) durably(index uint64) uint64 { return min(index, l.durable.Load()) }

// DeleteRange removes entries, when all are on the disk: one that is written after its place
// was cut out would leave a gap, or come back.
func (l *aheadLog) DeleteRange(lo, hi uint64) error {
	if err := l.flush(); err != nil {
		return err
	}
	return l.logStore.DeleteRange(lo, hi)
}

// GetLog reads an entry, whether it is on the disk or not.
func (l *aheadLog) GetLog(index uint64, e *raft.Log) error {
	l.mu.Lock()
	if n := len(l.tail); n > 0 && index >= l.tail[0].Index && index <= l.tail[n-1].Index {
		*e = *l.tail[index-l.tail[0].Index]
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	return l.logStore.GetLog(index, e)
}

// FirstIndex returns the index of the first entry, 0 if there is none.
func (l *aheadLog) FirstIndex() (uint64, error) {
	first := l.end(firstOf) // before it is asked what is stored: it moves there
	stored, err := l.logStore.FirstIndex()
	if err != nil || stored != 0 {
		return stored, err
	}
	return first, nil
}

// LastIndex returns the index of the last entry, 0 if there is none.
func (l *aheadLog) LastIndex() (uint64, error) {
	if last := l.end(lastOf); last != 0 {
		return last, nil
	}
	return l.logStore.LastIndex()
}

// end returns an end of the tail, 0 if there is none.
func (l *aheadLog) end(of func([]*raft.Log) uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tail) == 0 {
		return 0
	}
	return of(l.tail)
}

func firstOf(es []*raft.Log) uint64 { return es[0].Index }

func lastOf(es []*raft.Log) uint64 { return es[len(es)-1].Index }

func sizeOf(es []*raft.Log) int {
	size := 0
	for _, e := range es {
		size += len(e.Data) + len(e.Extensions)
	}
	return size
}

// runsAhead reports whether this node may send entries before it has them on its disk. Raft
// asks in its main goroutine, the only one that makes it lead or not. How many vote is no
// matter of safety: a lone voter has nobody to send to, and would only wake one more
// goroutine for each write, which pays if it has so many bytes to write.
func (n *Node) runsAhead(size int) bool {
	r := n.transport.raft.Load()
	return r != nil && r.State() == raft.Leader && (size >= pipedBytes || n.voters() > 1)
}

// committed returns the index of the last entry that this node knows to be committed.
func (n *Node) committed() uint64 { return n.ahead.durably(n.raft.CommitIndex()) }

// startAhead opens the log for raft.
func (n *Node) startAhead() error {
	last, err := n.logs.LastIndex()
	if err != nil {
		return err
	}
	n.ahead = newAheadLog(n.logs, last, n.runsAhead, n.failed)
	n.stable.before = n.ahead.flush
	n.transport.durably = n.ahead.durably
	return nil
}

// stopAhead ends what startAhead has begun, and waits for that unless wait is false, as when
// the disk is known to hang. It reports whether all has ended.
func (n *Node) stopAhead(wait bool) bool {
	if n.ahead == nil {
		return wait
	}
	ended := n.ahead.close()
	return wait && n.within(ended)
}
