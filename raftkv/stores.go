// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// markDelay is how long after a write the mark follows: what is written in this time
// before a crash is known by the files alone.
const markDelay = time.Second

// openLog checks the log and opens it.
func (n *Node) openLog(log hclog.Logger) (err error) {
	var files types.VFS = fs.New()
	if n.cfg.Hooks.LogFS != nil {
		files = n.cfg.Hooks.LogFS
	}
	remover := &fileRemover{VFS: files, log: n.log}
	n.removing = &remover.removing
	n.pipe = newLogPipe()
	files = logFiles{remover, n.fail}
	if n.logMeta, err = n.dir.openLogMeta(files, n.fail); err != nil {
		return err
	}
	check := logCheck{n.dir.wal(), files, n.logMeta, n.log}
	last, err := check.run()
	if err != nil {
		return err
	}
	n.wal, err = wal.Open(n.dir.wal(), wal.WithLogger(log), wal.WithSegmentSize(n.cfg.segmentSize()),
		wal.WithMetaStore(n.logMeta), wal.WithSegmentFiler(newSegmentFiles(n.dir.wal(), files, n.pipe)))
	if err != nil {
		return err
	}
	if n.cfg.Hooks.LogFS == nil { // a simulated disk has each step in its order
		remover.isOpen()
	}
	if opened, err := n.wal.LastIndex(); err != nil || opened != last {
		return errors.Join(err, damaged(n.dir.wal(), fmt.Errorf("the log ends at entry %d, and was opened up to %d", last, opened)))
	}
	return nil
}

// checkStores checks that term and vote, snapshots and log belong together: that nothing
// has been lost between them. It finishes what a crash may have cut short.
func (n *Node) checkStores() error {
	first, err := n.wal.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.wal.LastIndex()
	if err != nil {
		return err
	}
	snapshot, err := n.snapshots.check(first, last, n.log)
	if err != nil {
		return err
	}
	if last == 0 && snapshot == 0 {
		return nil // new, or nothing is left: bootstrap tells
	}
	if !n.stable.found {
		return damaged(n.dir.vote(), errors.New("without it the node could vote twice in one term"))
	}
	if last > 0 && last < snapshot {
		// A crash came between a snapshot of the leader's and the end of the log that it
		// replaces. Raft goes on behind the snapshot, and raft-wal takes no gap.
		n.log.Info("removing entries that a snapshot has replaced", "first", first, "last", last, "snapshot", snapshot)
		if err := n.logs.DeleteRange(first, last); err != nil {
			return err
		}
	}
	return nil
}

// markLoop moves the mark of the log, a little behind the writes: to do it for each would
// double what a write costs.
func (n *Node) markLoop() {
	tick := time.NewTicker(markDelay)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = n.markDurable(n.ctx) // the node has been told
		case <-n.closing:
			return
		}
	}
}

// markDurable moves the mark of the log to its last entry.
func (n *Node) markDurable(ctx context.Context) error {
	if n.Err() != nil || n.logs == nil {
		return nil
	}
	if err := n.logs.cutting.take(ctx); err != nil {
		return err
	}
	defer n.logs.cutting.give()
	last, err := n.wal.LastIndex()
	if err != nil {
		return err
	}
	if n.ahead != nil {
		last = n.ahead.durably(last)
	}
	return n.logs.write("marking the end of the log", func() error { return n.logMeta.raise(last) })
}

// markAtEnd moves the mark when nothing is written any more. It does not wait for a disk
// that hangs.
func (n *Node) markAtEnd() (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = n.markDurable(context.Background())
	}()
	if !n.within(done) {
		return fmt.Errorf("closing node: %w", n.Err())
	}
	return err
}

// A markedLog is the log with its mark. The first write to a file moves the mark at once:
// a file that is missing must not be taken for one that was never written to.
type markedLog struct {
	*wal.WAL
	meta *logMeta
	pipe *logPipe
}

// StoreLogs stores entries; they are on the disk when it returns without an error.
func (l markedLog) StoreLogs(es []*raft.Log) error {
	if err := l.pipe.leaveOut(es, l.WAL.StoreLogs); err != nil || len(es) == 0 || l.meta.marked() {
		return err
	}
	if err := l.pipe.settle(); err != nil {
		return err
	}
	return l.meta.raise(es[len(es)-1].Index)
}
