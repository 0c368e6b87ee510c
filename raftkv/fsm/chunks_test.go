// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-raftchunking"
	"github.com/hashicorp/go-raftchunking/types"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
)

// chunks cuts an entry as raftchunking.ChunkingApply does. Index and term are left out.
func chunks(entry []byte, op uint64, size int) []*raft.Log {
	var logs []*raft.Log
	parts := slices.Collect(slices.Chunk(entry, size))
	for i, part := range parts {
		ext, err := proto.Marshal(&types.ChunkInfo{OpNum: op, SequenceNum: uint32(i), NumChunks: uint32(len(parts))})
		if err != nil {
			panic(err)
		}
		logs = append(logs, &raft.Log{Data: part, Extensions: ext})
	}
	return logs
}

// stockStorage is go-raftchunking's own storage, with its state saved and restored as
// its documentation says.
type stockStorage struct {
	*raftchunking.InmemChunkStorage
}

func (s stockStorage) state() []*openOp {
	m, err := s.GetChunks()
	if err != nil {
		panic(err)
	}
	var ops []*openOp
	for _, num := range slices.Sorted(maps.Keys(m)) {
		op := &openOp{num: num, chunks: m[num]}
		for _, c := range op.chunks {
			if c != nil {
				op.term = c.Term
			}
		}
		ops = append(ops, op)
	}
	return ops
}

func (s stockStorage) restore(ops []*openOp) {
	m := raftchunking.ChunkMap{}
	for _, op := range ops {
		m[op.num] = op.chunks
	}
	if err := s.RestoreChunks(m); err != nil {
		panic(err)
	}
}

// TestChunksSurviveRestore restores one of two replicas between the chunks of an
// operation. With the stock storage that replica never carries the operation out.
func TestChunksSurviveRestore(t *testing.T) {
	for _, tt := range []struct {
		name  string
		make  func() storage
		agree bool
	}{
		{"ours", func() storage { return &chunkStorage{} }, true},
		{"stock", func() storage { return stockStorage{raftchunking.NewInmemChunkStorage()} }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newReplica(tt.make()), newReplica(tt.make())
			large := chunks(AppendBatch(nil, 1, []Op{set("/large", strings.Repeat("x", 100))}), 77, 40)
			for i, l := range large {
				l.Index, l.Term = uint64(i+1), 3
				a.Apply(l)
				b.Apply(l)
				if i == 0 {
					b = restored(t, b.bytes(t), tt.make())
				}
			}
			if a.tree.View().Len() != 1 {
				t.Fatal("the replica that was not restored did not carry the operation out")
			}
			if agree := bytes.Equal(a.bytes(t), b.bytes(t)); agree != tt.agree {
				t.Errorf("replicas agree: %v", agree)
			}
		})
	}
}

func TestChunksOfOldTermAreDropped(t *testing.T) {
	r := newReplica(&chunkStorage{})
	large := chunks(AppendBatch(nil, 1, []Op{set("/large", strings.Repeat("x", 100))}), 77, 40)
	for i, l := range large {
		l.Index, l.Term = uint64(i+1), 3
		if i == len(large)-1 {
			l.Term = 4
		}
		if got := r.Apply(l); got != nil {
			t.Errorf("chunk %d: %v", i, got)
		}
	}
	if n := r.tree.View().Len(); n != 0 || r.Applied() != uint64(len(large)) {
		t.Errorf("%d keys, applied %d", n, r.Applied())
	}
}

func TestChunkResponse(t *testing.T) {
	r := newReplica(&chunkStorage{})
	large := chunks(AppendBatch(nil, 1, []Op{set("/large", strings.Repeat("x", 100))}), 77, 40)
	plain := entry(2, 1, set("/small", "1"))
	last := len(large) - 1
	logs := append([]*raft.Log{large[0], plain}, large[1:]...) // another entry comes in between
	for i, l := range logs {
		l.Index, l.Term = uint64(i+1), 1
	}
	got := r.ApplyBatch(logs)
	success, ok := got[last+1].(raftchunking.ChunkingSuccess)
	if !ok || success.Response.([]Result)[0].Event.Node.Modified != 2 {
		t.Errorf("last chunk: %#v", got[last+1])
	}
	if got[0] != nil || got[1].([]Result)[0].Event.Node.Modified != 1 {
		t.Errorf("first chunk: %#v, plain entry: %#v", got[0], got[1])
	}
}

func TestOpenOpsAreBounded(t *testing.T) {
	s := &chunkStorage{}
	for op := range uint64(3 * maxOpenOps) {
		c := &raftchunking.ChunkInfo{OpNum: op, NumChunks: 2, Term: 1, Data: []byte("x")}
		if done, err := s.StoreChunk(c); done || err != nil {
			t.Fatal(done, err)
		}
	}
	if len(s.ops) != maxOpenOps || s.ops[0].num != 2*maxOpenOps {
		t.Errorf("%d operations are kept, the first is %d", len(s.ops), s.ops[0].num)
	}
	for _, bad := range []raftchunking.ChunkInfo{
		{OpNum: 1, NumChunks: 0, Data: []byte("x")},
		{OpNum: 1, NumChunks: 2, SequenceNum: 2, Data: []byte("x")},
		{OpNum: 1, NumChunks: maxChunks + 1, Data: []byte("x")},
		{OpNum: 1, NumChunks: 2},
		{OpNum: 3*maxOpenOps - 1, NumChunks: 3, Term: 1, Data: []byte("x")},
		{OpNum: 3*maxOpenOps - 1, NumChunks: 2, Term: 1, Data: []byte("x")},
	} {
		if _, err := s.StoreChunk(&bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
