// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"confd/raftkv/tree"
)

// After the hello a connection of protoPeer carries frames, requests one way and answers
// the other, in any order:
//
//	length   4 bytes, little endian: of what follows
//	number   8 bytes, little endian: of the request
//	kind     1 byte
//	payload
const peerFrameHeader = 4 + 8 + 1

// The kinds of frames.
const (
	kindForward   = 1 // operations to carry out: an entry as package fsm writes it, its clock ignored
	kindReadIndex = 2 // answered with an index that the asking node is to have applied
	kindCall      = 3 // JSON of a call
	kindTerm      = 4 // answered with the current term as a uvarint
	kindPulse     = 5 // answered with a byte, 1 if the node leads, and its clock: 8 bytes, little endian, Unix nanoseconds
	kindAbsent    = 6 // id of a leader; answered with a byte, 1 if the node misses it, and term and index of its last entry as uvarints
	kindCommit    = 7 // a commitNote, for a node of noteProtocol, and either way; number 0, and not answered

	kindDone  = 64 // the answer
	kindError = 65 // the answer: a wireError
	kindPart  = 66 // part of an answer; more follow, with kindDone as the last

	// kindGoodbye is no answer: the node ends, and has taken the requests up to that number
	// and none after.
	kindGoodbye = 67
)

// partSize is about how long one part of an answer is.
const partSize = 1 << 20

// A frame is one request or one answer.
type frame struct {
	number  uint64
	kind    byte
	payload []byte
}

// writeFrame writes a frame. The caller flushes.
func writeFrame(w *bufio.Writer, f frame) error {
	var head [peerFrameHeader]byte
	binary.LittleEndian.PutUint32(head[:], uint32(peerFrameHeader-4+len(f.payload)))
	binary.LittleEndian.PutUint64(head[4:], f.number)
	head[12] = f.kind
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(f.payload)
	return err
}

// readFrame reads a frame whose payload has at most limit bytes.
func readFrame(r *bufio.Reader, limit int) (frame, error) {
	var head [peerFrameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:])) - (peerFrameHeader - 4)
	if n < 0 || n > int64(limit) {
		return frame{}, fmt.Errorf("frame of %d bytes; the limit is %d", n, limit)
	}
	f := frame{number: binary.LittleEndian.Uint64(head[4:]), kind: head[12]}
	var err error
	f.payload, err = readPayload(r, int(n))
	return f, err
}

// readPayload reads n bytes. It makes room as they come, since they may never.
func readPayload(r io.Reader, n int) ([]byte, error) {
	const first = 16 << 10
	b := make([]byte, min(n, first))
	have := 0
	for {
		if _, err := io.ReadFull(r, b[have:]); err != nil {
			return nil, err
		}
		if have = len(b); have == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-have, have))...)
	}
}

// wireErrors are the errors that keep their identity between nodes: append only.
var wireErrors = []error{
	1: ErrNoLeader, 2: ErrTimeout, 3: ErrBusy, 4: ErrTooLarge, 5: ErrClosed, 6: ErrFailed,
	7: ErrMemberNotFound, 8: ErrMemberRemoved, 9: ErrPeerURLExists, 10: ErrLastMember,
	11: ErrNameExists, 12: ErrQuorum, 13: ErrRemoved, 14: ErrOtherCluster, 15: ErrTooManyMembers, 16: ErrDataLost,
}

const wireNotProposed = 1 << iota

// appendError appends an error for another node: flags, identity as a uvarint (0: none),
// and its text.
func appendError(dst []byte, err error) []byte {
	var flags byte
	if errors.Is(err, ErrNotProposed) {
		flags |= wireNotProposed
	}
	dst = append(dst, flags)
	id := 0
	for i, e := range wireErrors {
		if e != nil && errors.Is(err, e) {
			id = i
			break
		}
	}
	dst = binary.AppendUvarint(dst, uint64(id))
	text := err.Error()
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// A wireError is an error that another node has told.
type wireError struct {
	text string
	is   []error
}

func (e *wireError) Error() string   { return e.text }
func (e *wireError) Unwrap() []error { return e.is }

// readError reads an error and returns the bytes after it. If there is none to be read
// the outcome is unknown too.
func readError(b []byte) (rest []byte, err error) {
	bad := errors.New("another node has answered with an error that cannot be read")
	if len(b) == 0 {
		return nil, bad
	}
	e := &wireError{}
	if b[0]&wireNotProposed != 0 {
		e.is = append(e.is, ErrNotProposed)
	}
	id, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return nil, bad
	}
	b = b[1+n:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, bad
	}
	e.text, b = string(b[n:n+int(size)]), b[n+int(size):]
	if id < uint64(len(wireErrors)) && wireErrors[id] != nil {
		e.is = append(e.is, wireErrors[id])
	}
	return b, e
}

// isRefusal reports whether err is an answer of the tree.
func isRefusal(err error) bool {
	var refusal *tree.Error
	return errors.As(err, &refusal)
}
