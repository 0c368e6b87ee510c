// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"io"

	"github.com/hashicorp/raft-wal/types"
)

// pipedBytes is how large a batch must be to be synced by a goroutine of its own.
const pipedBytes = 128 << 10

// A logPipe lets a batch of entries be encoded and written to the log's file while the disk
// still syncs the batch before. raft-wal does one after the other, and with large values the
// processor has nearly as much to do with a batch as the disk.
//
// raft-wal writes a batch by one call, its commit frame last, and then syncs the file. While
// the pipe holds a batch, the file takes all of it but that frame, and the sync does
// nothing. The frame follows, and a sync, when the batch before is on the disk. So, as ever, a
// batch that is whole in the file says that all before it are on the disk, which laterBatch
// depends on, and what a crash leaves behind the last whole batch is what it may leave of one
// that was cut short.
//
// The last batch of a file is not held: the list of files is about to say that the file is
// complete. Nor is the first, which moves the mark.
//
// But for its turn a pipe is used by one goroutine at a time, which writes to the log.
type logPipe struct {
	holds bool       // a batch that is written now is held
	held  *heldBatch // nil if none is
	turn  turn       // taken while a batch is synced
}

func newLogPipe() *logPipe { return &logPipe{turn: newTurn()} }

// hold calls write, which writes a batch, and returns the batch if it is not on the disk.
func (p *logPipe) hold(write func() error) (*heldBatch, error) {
	p.holds = true
	err := write()
	held := p.held
	p.holds, p.held = false, nil
	return held, err
}

// settle makes a batch that is held durable, after the one before.
func (p *logPipe) settle() error {
	if p == nil || p.held == nil {
		return nil
	}
	p.turn <- struct{}{}
	defer p.turn.give()
	held := p.held
	p.held = nil
	return held.finish()
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

// A pipedFile is a file of the log.
type pipedFile struct {
	types.WritableFile
	pipe *logPipe
}

// WriteAt writes a batch, without its commit frame if the pipe holds it.
func (f pipedFile) WriteAt(p []byte, at int64) (int, error) {
	n := len(p) - frameHeader
	if !f.pipe.holds || n < 0 || p[n] != frameCommit {
		return f.WritableFile.WriteAt(p, at)
	}
	b := &heldBatch{file: f.WritableFile, at: at + int64(n)}
	copy(b.commit[:], p[n:])
	if n, err := f.WritableFile.WriteAt(p[:n], at); err != nil && err != io.EOF {
		return n, err
	}
	f.pipe.held = b
	return len(p), nil
}

// Sync makes what was written durable, unless it is held.
func (f pipedFile) Sync() error {
	if f.pipe.held != nil {
		return nil
	}
	return f.WritableFile.Sync()
}

// Seek is for nextData.
func (f pipedFile) Seek(offset int64, whence int) (int64, error) {
	if s, ok := f.WritableFile.(io.Seeker); ok {
		return s.Seek(offset, whence)
	}
	return 0, errors.ErrUnsupported
}
