// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/hashicorp/raft-wal/types"
)

// directBytes is how long a piece of an entry must be to be written from where it lies,
// without being copied to the frames around it.
const directBytes = 16 << 10

// A segmentWriter writes a file of the log, in raft-wal's format: see segmentHeader. It takes
// the place of raft-wal's own, which copies each entry twice, and commits all that it is
// given at once, so that a commit cannot wait for the next entries. One goroutine writes; entries
// may be read meanwhile.
type segmentWriter struct {
	info types.SegmentInfo
	file types.WritableFile
	pipe *logPipe // may be nil

	buf   []byte // frames that are not in the file yet
	at    int64  // where they begin
	fill  int64  // there are zeros up to here, behind what is written
	mean  int64  // of the bytes of batches, of late
	sum   uint32 // of the frames since the last commit
	index int64  // where the offsets of all entries are, 0 if the file is not full

	mu      sync.RWMutex
	offsets []uint32 // of the entries that can be read
	end     int64    // of them
}

// newSegmentWriter returns the writer of a file that is empty.
func newSegmentWriter(info types.SegmentInfo, file types.WritableFile, pipe *logPipe) *segmentWriter {
	w := &segmentWriter{info: info, file: syncsData(file), pipe: pipe}
	w.add(segmentHeaderOf(info))
	return w
}

// recoverSegmentWriter returns the writer of a file that was written to, without what follows
// the last whole batch. The error wraps types.ErrCorrupt if it is another file.
func recoverSegmentWriter(info types.SegmentInfo, file types.WritableFile, pipe *logPipe) (*segmentWriter, error) {
	s, offsets, err := scanOffsets(file)
	if err != nil {
		return nil, err
	}
	if s.end == 0 {
		return newSegmentWriter(info, file, pipe), nil
	}
	head := make([]byte, segmentHeader)
	if _, err := file.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if !bytes.Equal(head, segmentHeaderOf(info)) {
		return nil, fmt.Errorf("%w: the header is another file's", types.ErrCorrupt)
	}
	return &segmentWriter{info: info, file: syncsData(file), pipe: pipe, at: s.end, index: s.index, offsets: offsets, end: s.end}, nil
}

// segmentHeaderOf returns the header of a file.
func segmentHeaderOf(info types.SegmentInfo) []byte {
	const magic, version = 0x58eb6b0d, 0
	head := binary.LittleEndian.AppendUint32(make([]byte, 0, segmentHeader), magic)
	head = append(head, 0, 0, 0, version)
	head = binary.LittleEndian.AppendUint64(head, info.BaseIndex)
	head = binary.LittleEndian.AppendUint64(head, info.ID)
	return binary.LittleEndian.AppendUint64(head, info.Codec)
}

// Append writes entries; they are on the disk when it returns without an error, unless the
// pipe holds them. After an error the file is of no use.
func (w *segmentWriter) Append(entries []types.LogEntry) error {
	if w.index != 0 {
		return types.ErrSealed
	}
	offsets := w.offsets // only this goroutine changes them
	from := w.at + int64(len(w.buf))
	for _, e := range entries {
		if next := w.info.BaseIndex + uint64(len(offsets)); e.Index != next {
			return fmt.Errorf("entry %d of the log comes where %d is to be", e.Index, next)
		}
		offsets = append(offsets, uint32(w.at)+uint32(len(w.buf)))
		if err := w.entry(e.Data, w.pipe.dataOf(e.Index)); err != nil {
			return err
		}
	}
	full := w.at+int64(len(w.buf)+frameHeader+4*len(offsets)) > int64(w.info.SizeLimit)
	if full {
		w.seal(offsets)
	}
	err := w.store(full, from)
	if err == nil {
		w.show(offsets)
	}
	return err
}

// entry adds the frame of an entry as raft-wal has encoded it: index, term and type as
// uvarints, the length of the data as another, the data, and more. The data is what was left
// out there, if there is any.
func (w *segmentWriter) entry(encoded, data []byte) error {
	if len(data) == 0 {
		w.frame(frameEntry, uint32(len(encoded)))
		w.add(encoded)
		w.pad(len(encoded))
		return nil
	}
	n := 0
	for range 3 {
		_, size := binary.Uvarint(encoded[n:])
		n += size
	}
	head := binary.AppendUvarint(append(make([]byte, 0, 64), encoded[:n]...), uint64(len(data)))
	rest := encoded[n+1:] // without the length, 0
	size := len(head) + len(data) + len(rest)
	w.frame(frameEntry, uint32(size))
	w.add(head)
	if err := w.direct(data); err != nil {
		return err
	}
	w.add(rest)
	w.pad(size)
	return nil
}

// frame adds the beginning of a frame.
func (w *segmentWriter) frame(kind byte, value uint32) {
	w.add(binary.LittleEndian.AppendUint32([]byte{kind, 0, 0, 0}, value))
}

// pad adds what is missing behind a payload up to the next frame.
func (w *segmentWriter) pad(size int) {
	w.add(make([]byte, padded(uint32(size))-int64(size)))
}

func (w *segmentWriter) add(b []byte) {
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.buf = append(w.buf, b...)
}

// direct is add, but writes what there is.
func (w *segmentWriter) direct(b []byte) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.sum = crc32.Update(w.sum, castagnoli, b)
	return w.write(b)
}

func (w *segmentWriter) flush() error {
	err := w.write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *segmentWriter) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := w.file.WriteAt(b, w.at); err != nil && err != io.EOF {
		return err
	}
	w.at += int64(len(b))
	return nil
}

// seal adds the offsets of all entries, after which there are no others.
func (w *segmentWriter) seal(offsets []uint32) {
	w.frame(frameIndex, uint32(4*len(offsets)))
	w.index = w.at + int64(len(w.buf))
	b := make([]byte, 0, 4*len(offsets))
	for _, o := range offsets {
		b = binary.LittleEndian.AppendUint32(b, o)
	}
	w.add(b)
	w.pad(len(b))
}

// store writes what there is, from a byte of the file on, and makes it durable unless the pipe
// holds it. A file that is full is not held: the list of files is about to say that it is.
func (w *segmentWriter) store(full bool, from int64) error {
	if w.pipe.holding(w) {
		if err := w.flush(); err != nil || !full {
			return err
		}
		return w.pipe.settle()
	}
	w.buf = append(w.buf, w.commitFrame()...)
	if err := w.flushFilled(from); err != nil {
		return err
	}
	return w.file.Sync()
}

// commitFrame returns the frame that ends a batch.
func (w *segmentWriter) commitFrame() []byte {
	b := binary.LittleEndian.AppendUint32([]byte{frameCommit, 0, 0, 0}, w.sum)
	w.sum = 0
	return b
}

// commit ends the batch that is in the file.
func (w *segmentWriter) commit() *heldBatch {
	b := &heldBatch{file: w.file, at: w.at}
	w.at += int64(copy(b.commit[:], w.commitFrame()))
	return b
}

// show lets entries be read.
func (w *segmentWriter) show(offsets []uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offsets, w.end = offsets, w.at
}

// GetLog reads an entry, as it was encoded.
func (w *segmentWriter) GetLog(index uint64) (*types.PooledBuffer, error) {
	from, to := w.find(index)
	if to == 0 {
		return nil, types.ErrNotFound
	}
	b := make([]byte, to-from)
	if n, err := w.file.ReadAt(b, from); n < len(b) {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if b[0] != frameEntry || frameHeader+size > int64(len(b)) {
		return nil, fmt.Errorf("%w: there is no entry at byte %d", types.ErrCorrupt, from)
	}
	return &types.PooledBuffer{Bs: b[frameHeader : frameHeader+size]}, nil
}

// find returns between which bytes of the file an entry is, zeros if it is not there.
func (w *segmentWriter) find(index uint64) (from, to int64) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	count := uint64(len(w.offsets))
	if index < max(w.info.BaseIndex, w.info.MinIndex) || index >= w.info.BaseIndex+count {
		return 0, 0
	}
	i := index - w.info.BaseIndex
	if i+1 < count {
		return int64(w.offsets[i]), int64(w.offsets[i+1])
	}
	return int64(w.offsets[i]), w.end
}

// LastIndex returns the index of the last entry that was written, 0 if there is none.
func (w *segmentWriter) LastIndex() uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.offsets) == 0 {
		return 0
	}
	return w.info.BaseIndex + uint64(len(w.offsets)) - 1
}

// Sealed reports whether the file is full, and where the offsets of its entries are.
func (w *segmentWriter) Sealed() (bool, uint64, error) { return w.index != 0, uint64(w.index), nil }

// ForceSeal ends the file, and returns where the offsets of its entries are.
func (w *segmentWriter) ForceSeal() (uint64, error) {
	if w.index == 0 {
		w.seal(w.offsets)
		if err := w.store(true, w.at); err != nil {
			return 0, err
		}
	}
	return uint64(w.index), nil
}

// Close closes the file.
func (w *segmentWriter) Close() error { return w.file.Close() }
