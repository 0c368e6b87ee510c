// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-raftchunking"
	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// snapshotVersion is the format that Persist writes.
//
// A snapshot, version 1; text is a uvarint length and the bytes:
//
//	magic     8 bytes, "confdkv\n"
//	version   1 byte
//	clock     8 bytes, little endian: Unix time in nanoseconds
//	seen      uvarint: index of the last entry raft gave to the machine
//	metadata  uvarint count, then key text and value text, in order of the keys
//	chunked   uvarint count of incomplete operations, in order of their first chunk:
//	          number uvarint, term uvarint, chunks uvarint, and for each chunk a
//	          text, empty if it has not come
//	checksum  4 bytes, little endian: CRC32C of all before it
//	tree      to the end, in the tree's own format, with its own version and checksum
const (
	snapshotVersion = 1
	snapshotMagic   = "confdkv\n"
)

// head is the part of the state beside the tree.
type head struct {
	clock  int64
	seen   uint64
	meta   map[string][]byte
	chunks []*openOp
}

type snapshot struct {
	head head
	tree *tree.Snapshot
}

// Persist writes the snapshot to sink and closes it.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	w := bufio.NewWriterSize(&pacer{w: sink, began: time.Now()}, 256<<10)
	err := s.write(w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

// maxPause is the longest pause between two parts of a snapshot.
const maxPause = 20 * time.Millisecond

// A pacer leaves half of the time to others, as clients wait for their writes, and nobody
// for a snapshot: after each write it pauses as long as it took to have it ready and to
// write it.
type pacer struct {
	w     io.Writer
	began time.Time // when the work for the next write began
}

func (p *pacer) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	time.Sleep(min(time.Since(p.began), maxPause))
	p.began = time.Now()
	return n, err
}

// Release does nothing: there is nothing to give back.
func (s *snapshot) Release() {}

func (s *snapshot) write(w io.Writer) error {
	if err := s.head.write(w); err != nil {
		return err
	}
	_, err := s.tree.WriteTo(w)
	return err
}

func (h *head) write(w io.Writer) error {
	sum := crc32.New(castagnoli)
	w = io.MultiWriter(w, sum)
	b := append([]byte(snapshotMagic), snapshotVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.clock))
	b = binary.AppendUvarint(b, h.seen)
	b = binary.AppendUvarint(b, uint64(len(h.meta)))
	for _, key := range slices.Sorted(maps.Keys(h.meta)) {
		b = appendText(b, key)
		b = appendText(b, h.meta[key])
	}
	b = binary.AppendUvarint(b, uint64(len(h.chunks)))
	for _, op := range h.chunks {
		b = binary.AppendUvarint(b, op.num)
		b = binary.AppendUvarint(b, op.term)
		b = binary.AppendUvarint(b, uint64(len(op.chunks)))
		for _, c := range op.chunks {
			var data []byte
			if c != nil {
				data = c.Data
			}
			b = appendText(b, data)
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// CheckVersion reads as much of a snapshot as it takes to tell whether this program knows
// its versions. The error is ErrVersion if not.
func CheckVersion(r io.Reader) error {
	_, rest, err := readHead(r)
	if err != nil {
		return err
	}
	if err := tree.CheckHeader(rest); err != nil {
		return fmt.Errorf("%w of the tree: %w", ErrVersion, err)
	}
	return nil
}

// readHead reads the first part of a snapshot and returns the rest of the stream.
func readHead(r io.Reader) (*head, io.Reader, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	d := &headReader{r: br, sum: crc32.New(castagnoli)}
	if magic := d.bytes(uint64(len(snapshotMagic))); d.err == nil && string(magic) != snapshotMagic {
		return nil, nil, fmt.Errorf("%w: not a snapshot of this store", ErrFormat)
	}
	if v := d.bytes(1); d.err == nil && v[0] != snapshotVersion {
		return nil, nil, fmt.Errorf("%w %d; this program knows %d and older: it may have been written by a newer one",
			ErrVersion, v[0], snapshotVersion)
	}
	h := &head{meta: make(map[string][]byte)}
	if b := d.bytes(8); d.err == nil {
		h.clock = int64(binary.LittleEndian.Uint64(b))
	}
	h.seen = d.uvarint()
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		key := string(d.text())
		h.meta[key] = d.text()
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		h.chunks = append(h.chunks, d.openOp())
	}
	want := d.sum.Sum32()
	got := d.bytes(4)
	if d.err != nil {
		return nil, nil, d.err
	}
	if binary.LittleEndian.Uint32(got) != want {
		return nil, nil, ErrChecksum
	}
	return h, br, nil
}

// A headReader reads numbers and texts. After the first error everything is zero.
type headReader struct {
	r   *bufio.Reader
	sum hash.Hash32
	err error
}

func (d *headReader) openOp() *openOp {
	op := &openOp{num: d.uvarint(), term: d.uvarint()}
	n := d.uvarint()
	if n > maxChunks && d.err == nil {
		d.err = fmt.Errorf("%w: operation of %d chunks", ErrFormat, n)
	}
	for i := uint64(0); i < n && d.err == nil; i++ {
		var c *raftchunking.ChunkInfo
		if data := d.text(); len(data) > 0 {
			c = &raftchunking.ChunkInfo{
				OpNum: op.num, SequenceNum: uint32(i), NumChunks: uint32(n), Term: op.term, Data: data,
			}
			op.have++
		}
		op.chunks = append(op.chunks, c)
	}
	return op
}

// bytes reads n bytes. It makes room as they come, since n may be damaged.
func (d *headReader) bytes(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, d.r, int64(min(n, 1<<40)))
	if err != nil {
		d.err = fmt.Errorf("%w: ends early", ErrFormat)
		return nil
	}
	d.sum.Write(b.Bytes())
	return b.Bytes()
}

func (d *headReader) text() []byte { return d.bytes(d.uvarint()) }

func (d *headReader) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.bytes(1)
		if d.err != nil {
			return 0
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return v
		}
	}
	d.err = fmt.Errorf("%w: bad number", ErrFormat)
	return 0
}
