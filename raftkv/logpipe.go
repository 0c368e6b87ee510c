// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"io"
	"slices"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/types"
)

// pipedBytes is how large entries must be together to be synced by a goroutine of its own.
const pipedBytes = 128 << 10

// A logPipe lets entries be written to the log's file while the disk still syncs those before.
// raft-wal does one after the other, and with large values the processor has nearly as much to
// do with them as the disk.
//
// While the pipe holds what is written, the file takes the entries without the commit frame that
// makes a batch of them. The frame follows, and a sync, when the batch before is on the disk, and then
// is that of all that have been written meanwhile: a sync takes as long for few as for many. So, as
// ever, a batch that is whole in the file says that all before it are on the disk, which
// laterBatch depends on, and what a crash leaves behind the last whole batch is what it may
// leave of one that was cut short.
//
// The end of a file is not held: the list of files is about to say that the file is
// complete. Nor is the first batch, which moves the mark.
//
// But for its turn a pipe is used by one goroutine at a time, which writes to the log.
type logPipe struct {
	holds bool           // what is written now is held
	open  *segmentWriter // has entries that are held; nil if there are none
	left  []*raft.Log    // entries that are being written; their large data is taken from here
	turn  turn           // taken while a batch is synced
	err   error          // of a batch that could not be; guarded by turn
}

func newLogPipe() *logPipe { return &logPipe{turn: newTurn()} }

// hold calls write, which writes entries that are not on the disk before the next commit is.
func (p *logPipe) hold(write func() error) error {
	p.holds = true
	err := write()
	p.holds = false
	return err
}

// holding reports whether what w writes is held.
func (p *logPipe) holding(w *segmentWriter) bool {
	if p == nil || !p.holds {
		return false
	}
	p.open = w
	return true
}

// commit ends the batch of what is held. The caller has the turn, and finishes it.
func (p *logPipe) commit() *heldBatch {
	w := p.open
	if w == nil {
		return nil
	}
	p.open = nil
	return w.commit()
}

// settle makes what is held durable, after the batch before.
func (p *logPipe) settle() error {
	if p == nil || p.open == nil {
		return nil
	}
	p.turn <- struct{}{}
	defer p.turn.give()
	return p.finish(p.commit())
}

// finish makes a batch durable, unless one before could not be: what is behind that must not
// be whole. The caller has the turn.
func (p *logPipe) finish(b *heldBatch) error {
	if p.err == nil {
		p.err = b.finish()
	}
	return p.err
}

// leaveOut has store store entries without their large data, so that raft-wal does not copy
// it: dataOf has it for the file.
func (p *logPipe) leaveOut(es []*raft.Log, store func([]*raft.Log) error) error {
	var short []*raft.Log
	for i, e := range es {
		if len(e.Data) < directBytes {
			continue
		}
		if short == nil {
			short = slices.Clone(es)
		}
		c := *e
		c.Data, short[i] = nil, &c
	}
	if short == nil {
		return store(es)
	}
	p.left = es
	defer func() { p.left = nil }()
	return store(short)
}

// dataOf returns the data of an entry that was left out, nil if none was.
func (p *logPipe) dataOf(index uint64) []byte {
	if p == nil || len(p.left) == 0 {
		return nil
	}
	if data := p.left[index-p.left[0].Index].Data; len(data) >= directBytes {
		return data
	}
	return nil
}

// A heldBatch is in its file but for its commit frame. A nil one is on the disk.
type heldBatch struct {
	file   types.WritableFile
	commit [frameHeader]byte
	at     int64 // where that is to be
}

// finish makes the batch durable. The one before must be.
func (b *heldBatch) finish() error {
	if b == nil {
		return nil
	}
	if _, err := b.file.WriteAt(b.commit[:], b.at); err != nil && err != io.EOF {
		return err
	}
	return b.file.Sync()
}
