// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"slices"

	"github.com/hashicorp/go-raftchunking"
)

const (
	// maxOpenOps is how many incomplete chunked operations are kept. The node sends
	// one or two at a time; more is what senders have given up within one term.
	maxOpenOps = 16

	// maxChunks is the most chunks of one operation: 4096 of 512 KiB are 2 GiB.
	maxChunks = 4096
)

// chunkStorage keeps the chunks of operations that are not complete yet. It takes the
// place of go-raftchunking's own storage, which loses them after a restore: the
// wrapper around it does not know the term of the restored chunks, takes the next
// chunk for the first of a new term, and clears the storage. Then the restored
// replica alone never carries out the operation.
//
// So the wrapper's call to clear is ignored here, and a chunk drops by itself all
// those of another term. That depends on the log only, and is the same everywhere.
type chunkStorage struct {
	ops []*openOp // in the order of their first chunk
}

// An openOp is an operation some of whose chunks are there.
type openOp struct {
	num    uint64
	term   uint64
	chunks []*raftchunking.ChunkInfo // :: sequence number → chunk, nil if it has not come; a chunk never changes
	have   int
}

// StoreChunk keeps the chunk and reports whether its operation is complete. An error
// means that the entry is damaged.
func (s *chunkStorage) StoreChunk(c *raftchunking.ChunkInfo) (bool, error) {
	if c.NumChunks == 0 || c.NumChunks > maxChunks || c.SequenceNum >= c.NumChunks || len(c.Data) == 0 {
		return false, fmt.Errorf("%w chunk: %d of %d, %d bytes", ErrFormat, c.SequenceNum, c.NumChunks, len(c.Data))
	}
	s.ops = slices.DeleteFunc(s.ops, func(op *openOp) bool { return op.term != c.Term })
	op := s.find(c.OpNum)
	if op == nil {
		if len(s.ops) == maxOpenOps {
			s.ops = slices.Delete(s.ops, 0, 1)
		}
		op = &openOp{num: c.OpNum, term: c.Term, chunks: make([]*raftchunking.ChunkInfo, c.NumChunks)}
		s.ops = append(s.ops, op)
	}
	if int(c.NumChunks) != len(op.chunks) || op.chunks[c.SequenceNum] != nil {
		return false, fmt.Errorf("%w chunk: %d of %d does not fit to those before", ErrFormat, c.SequenceNum, c.NumChunks)
	}
	op.chunks[c.SequenceNum] = c
	op.have++
	return op.have == len(op.chunks), nil
}

// FinalizeOp removes the operation and returns its chunks.
func (s *chunkStorage) FinalizeOp(num uint64) ([]*raftchunking.ChunkInfo, error) {
	op := s.find(num)
	if op == nil {
		return nil, nil
	}
	s.ops = slices.DeleteFunc(s.ops, func(o *openOp) bool { return o == op })
	return op.chunks, nil
}

// GetChunks returns all that is kept.
func (s *chunkStorage) GetChunks() (raftchunking.ChunkMap, error) {
	m := make(raftchunking.ChunkMap, len(s.ops))
	for _, op := range s.ops {
		m[op.num] = slices.Clone(op.chunks)
	}
	return m, nil
}

// RestoreChunks does nothing; see the type's comment.
func (s *chunkStorage) RestoreChunks(raftchunking.ChunkMap) error { return nil }

func (s *chunkStorage) find(num uint64) *openOp {
	for _, op := range s.ops {
		if op.num == num {
			return op
		}
	}
	return nil
}

// state returns the incomplete operations as they are now. The chunks are shared.
func (s *chunkStorage) state() []*openOp {
	ops := make([]*openOp, len(s.ops))
	for i, op := range s.ops {
		o := *op
		o.chunks = slices.Clone(op.chunks)
		ops[i] = &o
	}
	return ops
}

// restore replaces all incomplete operations.
func (s *chunkStorage) restore(ops []*openOp) { s.ops = ops }
