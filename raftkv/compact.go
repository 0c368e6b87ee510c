// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/go-raftchunking"
	"github.com/hashicorp/raft"
)

const (
	keepSnapshots = 2

	// maxTrailing is the most entries kept before a snapshot, for followers that are a
	// little behind.
	maxTrailing = 10240

	// keepFor is how long the log is kept for a follower that is not heard from.
	keepFor = 5 * time.Minute

	// maxSegment is the size of one file of the log. Files are made at their full size.
	maxSegment = 16 << 20
	minSegment = 1 << 20

	// snapshotRetry is how soon a snapshot that could not be taken is tried again.
	snapshotRetry = 10 * time.Second
)

// minTrailing returns how many entries must stay in the log after a snapshot: more
// than can be uncommitted at once, or a follower with such entries of an old leader
// can be sent the same snapshot for ever (hashicorp/raft#697). A leader has a few entries
// in flight, each of which may be a value in chunks.
func (c *Config) minTrailing() uint64 {
	chunks := (2*c.MaxValue + maxKey) / raftchunking.ChunkSize // value and previous value
	return uint64(4*inFlight*(chunks+1) + 64)
}

// segmentSize returns the size of the log's files: small if the log is kept short.
func (c *Config) segmentSize() int {
	return int(min(max(c.SnapshotBytes/4, minSegment), maxSegment))
}

// snapshotAfter returns by how many bytes the log grows until the next snapshot, when the last
// one has so many. What snapshots write is half of the log at most, and a quarter as long as the
// log stays short, at four times SnapshotBytes: few values that are large are in the snapshot
// with 32 MiB of events, again and again.
func (c *Config) snapshotAfter(last int64) int64 {
	return max(c.SnapshotBytes, 2*last, min(4*last, 4*c.SnapshotBytes))
}

// endAfter returns by how many bytes the log has to have grown for a snapshot when the node ends.
func (c *Config) endAfter() int64 { return min(256<<10, c.SnapshotBytes/4) }

// compactLoop takes a snapshot when the log has grown by enough entries or bytes, and
// has raft cut the log behind it. Raft's own rule knows entries only, and one entry
// may be 20 bytes or half a mebibyte.
func (n *Node) compactLoop() {
	n.nextSnapshot()
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	var applied chan struct{} // nil, or closed when the log that was there at the start is applied
	start := n.ready
	for {
		select {
		case <-n.logs.grown:
		case <-retry.C:
		case <-applied:
		case <-n.closing:
			n.snapshotAtEnd()
			return
		}
		applied = nil
		switch err := n.snapshot(); {
		case err == nil:
			n.nextSnapshot()
			continue
		case errors.Is(err, raft.ErrRaftShutdown):
			return
		case !errors.Is(err, raft.ErrNothingNewToSnapshot):
			n.counts.snapshotFails.Add(1)
			n.log.Error("taking a snapshot; the log grows until it succeeds", "err", err)
			retry.Reset(snapshotRetry)
		case start != nil: // the log is long enough, and waits for a leader
			applied, start = start, nil
		default:
			retry.Reset(snapshotRetry)
		}
		n.logs.wakeAfter(0, math.MaxInt64, math.MaxInt64/2)
	}
}

// snapshot takes a snapshot and cuts the log. The error is
// raft.ErrNothingNewToSnapshot if nothing was applied since the last one: raft would
// write the same again, for as long as a node that was started has no leader.
func (n *Node) snapshot() error {
	last, err := n.lastSnapshot()
	if err != nil {
		return fmt.Errorf("listing snapshots: %w", err)
	}
	if n.fsm.Applied() <= last.Index {
		return raft.ErrNothingNewToSnapshot
	}
	n.logs.keepFrom(n.firstKept(last.Size))
	start := time.Now()
	if err := n.raft.Snapshot().Error(); err != nil {
		return err
	}
	n.log.Debug("took a snapshot", "took", time.Since(start))
	return nil
}

// snapshotAtEnd takes a snapshot if the next start would have much to read of the log: to apply
// 50,000 writes takes twice as long as to read their keys. The log is then as long as the last
// snapshot at least, so what the ends of a node write is no more than its writes do; and the
// end of one with a large store is not held up.
func (n *Node) snapshotAtEnd() {
	last, err := n.lastSnapshot()
	grown := n.logs.grownSince(last.Index)
	if err != nil || grown < max(n.cfg.endAfter(), last.Size) || grown+last.Size > n.cfg.SnapshotBytes {
		return
	}
	if n.Err() != nil || n.cfg.Hooks.killed() {
		return
	}
	defer n.limitEnd()()
	if err := n.snapshot(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		n.counts.snapshotFails.Add(1)
		n.log.Warn("no snapshot at the end; the next start reads the log", "err", err)
	}
}

// limitEnd has the last snapshot given up after half of StallTimeout, unless the function that it
// returns is called. If that does not help, the node has failed in the end: nothing else is
// written any more that would find out that the disk hangs.
func (n *Node) limitEnd() (stop func()) {
	giveUp := time.AfterFunc(n.cfg.StallTimeout/2, func() { n.snapshots.late.Store(true) })
	hangs := time.AfterFunc(n.cfg.StallTimeout, func() {
		n.fail(fmt.Errorf("a last snapshot has taken more than %v: the disk has stalled", n.cfg.StallTimeout))
	})
	return func() {
		giveUp.Stop()
		hangs.Stop()
	}
}

// firstKept returns the first entry that stays in the log when a snapshot is taken. Raft
// counts what is to stay from the end that the log has when the snapshot is written,
// which may take long; what is kept here does not depend on that.
//
// A follower that takes a snapshot from this node, or has been away for a moment, needs
// what comes after it, or it would have to take the next one and might never be done
// (hashicorp/raft#212). Its part of the log is kept for it, up to a limit.
func (n *Node) firstKept(snapshotSize int64) uint64 {
	first, last := n.logs.within(n.cfg.SnapshotBytes)
	first = max(first, before(last, maxTrailing))
	first = min(first, before(last, n.cfg.minTrailing()))
	if needed := n.firstNeeded(); needed != 0 && needed < first {
		limit, _ := n.logs.within(4 * max(n.cfg.SnapshotBytes, snapshotSize))
		first = min(first, max(needed, limit))
	}
	return first
}

// before returns the first of count entries that end with the last.
func before(last, count uint64) uint64 { return last + 1 - min(last, count) }

// firstNeeded returns the first entry that a follower will need, 0 if none is known to.
func (n *Node) firstNeeded() uint64 {
	servers, err := n.servers()
	if err != nil || n.raft.State() != raft.Leader {
		return 0
	}
	needed := uint64(0)
	for _, s := range servers {
		if string(s.ID) == n.dir.id {
			continue
		}
		if i := n.transport.progressOf(s.ID).needs(time.Now()); i != 0 && (needed == 0 || i < needed) {
			needed = i
		}
	}
	return needed
}

// nextSnapshot sets when the next snapshot is due, counted from the last one.
func (n *Node) nextSnapshot() {
	last, err := n.lastSnapshot()
	if err != nil {
		n.log.Error("listing snapshots", "err", err)
	}
	n.noteSnapshot(last)
	n.logs.wakeAfter(last.Index, n.cfg.SnapshotCount, n.cfg.snapshotAfter(last.Size))
}

// noteSnapshot keeps what WriteMetrics tells of the last snapshot.
func (n *Node) noteSnapshot(s raft.SnapshotMeta) {
	n.counts.snapshotBytes.Store(s.Size)
	n.counts.snapshotIndex.Store(s.Index)
}

// lastSnapshot returns what is known of the last snapshot, nothing if there is none.
func (n *Node) lastSnapshot() (raft.SnapshotMeta, error) {
	metas, err := n.snapshots.List()
	if err != nil || len(metas) == 0 {
		return raft.SnapshotMeta{}, err
	}
	return *metas[0], nil
}
