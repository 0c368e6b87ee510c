// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
)

// A Snapshot is the whole state of a tree at one point in time: nodes, index, history,
// counters.
type Snapshot struct {
	view                  *View
	getsSuccess, getsFail uint64
}

// Snapshot returns the state as it is published, at the cost of a pointer; writing it
// may run beside Apply.
func (t *Tree) Snapshot() *Snapshot {
	return &Snapshot{t.view.Load(), t.getsSuccess.Load(), t.getsFail.Load()}
}

// Index returns the index of the tree in the snapshot.
func (s *Snapshot) Index() uint64 { return s.view.index }

// WriteTo writes the snapshot in a versioned binary form that ends in a checksum. Equal
// states have equal bytes. The error is w's.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	frames := &frameWriter{w: w}
	if err := s.writeTo(frames); err != nil {
		return frames.n, fmt.Errorf("writing tree snapshot: %w", err)
	}
	return frames.n, nil
}

func (s *Snapshot) writeTo(frames *frameWriter) error {
	if err := frames.open(); err != nil {
		return err
	}
	enc := encoder{w: bufio.NewWriterSize(frames, maxFrame)}
	s.view.encode(&enc)
	enc.uint(s.getsSuccess)
	enc.uint(s.getsFail)
	if err := enc.w.Flush(); err != nil {
		return err
	}
	return frames.end()
}

// Hash returns a checksum of what all replicas agree on: nodes, index, history and the
// counters of writes, as published. It reads all of it. It may be called concurrently.
func (t *Tree) Hash() uint64 {
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	enc := encoder{w: bufio.NewWriterSize(sum, maxFrame)}
	t.view.Load().encode(&enc)
	enc.w.Flush()
	return sum.Sum64()
}

// An encoder writes the parts of a snapshot. The writer keeps the first error.
type encoder struct{ w *bufio.Writer }

func (enc *encoder) uint(x uint64) {
	enc.w.Write(binary.AppendUvarint(enc.w.AvailableBuffer(), x))
}

func (enc *encoder) int(x int64) {
	enc.w.Write(binary.AppendVarint(enc.w.AvailableBuffer(), x))
}

func (enc *encoder) byte(b byte) { enc.w.WriteByte(b) }

func (enc *encoder) string(s string) {
	enc.uint(uint64(len(s)))
	enc.w.WriteString(s)
}

// What the first byte of a node says.
const (
	nodeDir     = 1 << iota // no value follows
	nodeExpires             // a time follows
	nodeKnown               // in the history: a node that the reader has already
)

// What the second byte of an event says.
const (
	eventRefresh = 1 << iota
	eventPrev    // there is a previous node
)

// encode writes the view:
//
//	index
//	number of counters, counters
//	number of nodes, nodes in order of key: length of what the key shares with the
//	    one before, rest of the key, node
//	number of events, events, the oldest first: action, flags, key, time, node,
//	    previous node
func (v *View) encode(enc *encoder) {
	enc.uint(v.index)
	stats := v.stats
	counters := stats.replicated()
	enc.uint(uint64(len(counters)))
	for _, c := range counters {
		enc.uint(*c)
	}

	enc.uint(uint64(v.keys.len()))
	before := ""
	v.keys.ascend("", func(key string, n *Node) bool {
		shared := commonPrefix(before, key)
		enc.uint(uint64(shared))
		enc.string(key[shared:])
		enc.node(n)
		before = key
		return true
	})

	enc.uint(uint64(len(v.events)))
	for _, e := range v.events {
		enc.event(v, e)
	}
}

// commonPrefix returns how many bytes the keys begin with in common.
func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (enc *encoder) node(n *Node) {
	var flags byte
	if n.Dir {
		flags |= nodeDir
	}
	if n.Expires != 0 {
		flags |= nodeExpires
	}
	enc.byte(flags)
	enc.uint(n.Modified)
	enc.uint(n.Created)
	if n.Expires != 0 {
		enc.int(n.Expires)
	}
	if !n.Dir {
		enc.string(n.Value)
	}
}

// event writes e. Its nodes are most often in the keymap still, or were the node of an
// event before, and are not written twice.
func (enc *encoder) event(v *View, e *Event) {
	enc.byte(byte(e.Action))
	var flags byte
	if e.Refresh {
		flags |= eventRefresh
	}
	if e.Prev != nil {
		flags |= eventPrev
	}
	enc.byte(flags)
	enc.string(e.Key)
	enc.int(e.Now)
	if v.keys.get(e.Key) == e.Node {
		enc.byte(nodeKnown)
	} else {
		enc.node(e.Node)
	}
	if e.Prev == nil {
		return
	}
	if at := e.Prev.Modified; at >= v.oldest() && v.from(at)[0].Node == e.Prev {
		enc.byte(nodeKnown)
		enc.uint(e.Index() - at)
	} else {
		enc.node(e.Prev)
	}
}
