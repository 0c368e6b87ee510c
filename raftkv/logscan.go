// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// A file of raft-wal's log (github.com/hashicorp/raft-wal/segment, version 0): a header of
// 32 bytes, then frames, each of 8 bytes and a payload, with zeros up to a multiple of 8:
//
//	type uint8 | 3 bytes | length of the payload, or checksum of a commit, uint32
//
// Entries that were written at once are followed by a commit, whose checksum is the CRC32C
// of all since the commit before, the first one's of the header too. What seals a file is
// an index before its last commit. Zeros follow, as the file is made at its full size.
const (
	segmentHeader = 32
	frameHeader   = 8

	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
)

// A segmentScan is what a file of the log holds for certain.
type segmentScan struct {
	entries uint64 // in batches whose checksum is right
	end     int64  // of the last of these batches
	index   int64  // where the last of them has the offsets of all entries; 0 if it does not seal the file
	garbage int64  // end of what follows, without the zeros at the file's end; it equals end if nothing does

	offsets *[]uint32 // if not nil, gets where entries begin, also those of a batch that is not all there
}

// scanSegment reads a whole file, and stops at the first batch that is not all there.
func scanSegment(f io.ReaderAt) (segmentScan, error) { return scanEntries(f, nil) }

// scanOffsets is scanSegment without what follows the last whole batch, and returns where each
// entry of the others begins.
func scanOffsets(f io.ReaderAt) (segmentScan, []uint32, error) {
	var offsets []uint32
	s := segmentScan{offsets: &offsets}
	err := s.read(f, nil)
	return s, offsets[:s.entries], err
}

// maxEntry is the longest entry that scanEntries shows, in bytes; what is longer is damage.
const maxEntry = 64 << 20

// scanEntries is scanSegment, and shows the entries on its way, which is before it knows
// whether their batch is all there. It stops when show returns false. What show is given is
// valid until then.
func scanEntries(f io.ReaderAt, show func(entry []byte) bool) (segmentScan, error) {
	var s segmentScan
	err := s.read(f, show)
	if err == nil {
		s.garbage, err = lastNonZero(f, s.end)
	}
	return s, err
}

// read reads up to the first batch that is not all there.
func (s *segmentScan) read(f io.ReaderAt, show func(entry []byte) bool) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, math.MaxInt64), 64<<10)
	sum := crc32.New(castagnoli)
	_, err := io.CopyN(sum, r, segmentHeader)
	if err == nil {
		err = s.batches(r, sum.Sum32(), show)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// batches reads frames up to the first that does not fit, or to an error.
func (s *segmentScan) batches(r io.Reader, sum uint32, show func([]byte) bool) error {
	entries, index, at := uint64(0), int64(0), int64(segmentHeader)
	var head [frameHeader]byte
	var entry []byte
	crc := &runningSum{sum}
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		value := binary.LittleEndian.Uint32(head[4:])
		at += frameHeader
		switch head[0] {
		case frameEntry:
			entries++
			if s.offsets != nil {
				*s.offsets = append(*s.offsets, uint32(at-frameHeader))
			}
		case frameIndex:
			index = at
		case frameCommit:
			if value != crc.sum {
				return nil
			}
			s.entries, s.index, s.end = entries, index, at
			crc.sum = 0
			continue
		default:
			return nil
		}
		crc.Write(head[:])
		size := padded(value)
		at += size
		if show == nil || head[0] != frameEntry {
			if _, err := io.CopyN(crc, r, size); err != nil {
				return err
			}
			continue
		}
		if size > maxEntry {
			return nil
		}
		entry = slices.Grow(entry[:0], int(size))[:size]
		if _, err := io.ReadFull(r, entry); err != nil {
			return err
		}
		crc.Write(entry)
		if !show(entry[:value]) {
			return nil
		}
	}
}

// padded returns how long the payload of a frame is in the file.
func padded(length uint32) int64 { return (int64(length) + frameHeader - 1) &^ (frameHeader - 1) }

// A runningSum is a CRC32C that can be set back.
type runningSum struct{ sum uint32 }

func (s *runningSum) Write(p []byte) (int, error) {
	s.sum = crc32.Update(s.sum, castagnoli, p)
	return len(p), nil
}

// lastNonZero returns the end of what is not zero in f at or behind from. Nearly all of a
// file of the log is zeros, most of which were never written: those are passed by. Of the
// rest whole blocks are compared, and bytes only in one that has something.
func lastNonZero(f io.ReaderAt, from int64) (int64, error) {
	const block = 64 << 10
	var buf, zeros []byte
	end := from
	noReadAhead(f)
	for at := from; ; {
		var err error
		if at, err = nextData(f, at); err == io.EOF {
			return end, nil
		}
		if buf == nil {
			buf, zeros = make([]byte, block), make([]byte, block)
		}
		// To a boundary: where a page is read in part, all of it counts as data afterwards.
		n, err := f.ReadAt(buf[:block-at%block], at)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			end = at + int64(len(bytes.TrimRight(buf[:n], "\x00")))
		}
		at += int64(n)
		if err == io.EOF {
			return end, nil
		}
		if err != nil {
			return end, err
		}
	}
}

// laterBatch looks for a batch that is whole and holds entries after index last+1 in what
// follows the good ones. Batches are written one after the other, each when the one before
// is on the disk. So if there is one, it is not the last write that was cut short, but
// something before has been damaged.
//
// The length of the frame that is damaged may be wrong, so every place where a frame can
// begin is tried.
func laterBatch(b []byte, last uint64) bool {
	budget := 64 * len(b) // against values made to look like frames
	for at := 0; at+frameHeader <= len(b) && budget > 0; at += frameHeader {
		if b[at] != frameEntry || b[at+1]|b[at+2]|b[at+3] != 0 {
			continue
		}
		if index, n := binary.Uvarint(b[at+frameHeader:]); n <= 0 || index <= last+1 {
			continue
		}
		ok, size := wholeBatch(b[at:])
		if ok {
			return true
		}
		budget -= size
	}
	return false
}

// wholeBatch reports whether b begins with the frames of a batch whose checksum is right,
// and how many bytes it has looked at.
func wholeBatch(b []byte) (ok bool, size int) {
	at := int64(0)
	for at+frameHeader <= int64(len(b)) {
		value := binary.LittleEndian.Uint32(b[at+4:])
		switch b[at] {
		case frameEntry, frameIndex:
			at += frameHeader + padded(value)
		case frameCommit:
			return crc32.Checksum(b[:at], castagnoli) == value, int(at)
		default:
			return false, int(at)
		}
	}
	return false, int(min(at, int64(len(b))))
}
