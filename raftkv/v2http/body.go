// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"io"
	"net/http"
	"time"
	"unsafe"
)

// readBody reads r's body into the request, if it has at most limit bytes.
func (x *exchange) readBody(w http.ResponseWriter, r *http.Request, limit int) {
	if r.ContentLength > int64(limit) {
		x.req.bodyTooLarge = true
		return
	}
	rc := http.NewResponseController(w)
	// A writer without deadlines, as httptest.ResponseRecorder, has no slow client.
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := x.readAll(r.Body, r.ContentLength, limit)
	x.req.bodyErr = err
	if err == nil && len(body) <= limit {
		// Else the deadline would end the connection while the answer is awaited. After an
		// error it has to stand: net/http reads what is left of a body before it answers.
		_ = rc.SetReadDeadline(time.Time{})
	}
	if len(body) > limit {
		x.req.bodyTooLarge = true
		return
	}
	x.req.body = body
}

// readAll reads a body to its end, or until it has more than limit bytes. length is what
// the client says that it has, negative if it does not. A short one is read into x.read and
// copied; a long one goes to where it stays, which grows as it comes.
func (x *exchange) readAll(r io.Reader, length int64, limit int) (string, error) {
	b := x.read[:0]
	defer func() { x.read = b }()
	for len(b) < maxKept && len(b) <= limit {
		if cap(b)-len(b) < 512 && cap(b) < maxKept {
			b = append(make([]byte, 0, min(max(1024, 2*cap(b)), maxKept)), b...)
		}
		n, err := r.Read(b[len(b):min(cap(b), maxKept)])
		b = b[:len(b)+n]
		if err != nil {
			return string(b), notEOF(err)
		}
	}
	if len(b) > limit {
		return string(b), nil
	}
	whole := append(x.roomFor(len(b), length), b...)
	for len(whole) <= limit {
		if len(whole) == cap(whole) {
			whole = append(make([]byte, 0, room(len(whole), length)), whole...)
		}
		n, err := r.Read(whole[len(whole):cap(whole)])
		whole = whole[:len(whole)+n]
		if err != nil {
			return unsafe.String(&whole[0], len(whole)), notEOF(err) // nobody else has it before reset
		}
	}
	return unsafe.String(&whole[0], len(whole)), nil
}

// roomFor returns what a body, of which have bytes are there, is read to: memory that is used
// again for the next, if it is long and all of it will fit.
func (x *exchange) roomFor(have int, length int64) []byte {
	n := room(have, length)
	if x.buffers == nil || n <= partSize || int64(n) <= length {
		return make([]byte, 0, n)
	}
	x.long = x.buffers.get(n)
	return x.long
}

// notEOF returns err, nil for the end.
func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// room returns how much room there is to be for a body of which have bytes are there: for
// all of it and one byte more, which a reader needs to tell the end, if length is known, but
// not for more than 32 times what has come, as a client can say anything. So 1 MiB and what
// is around it is there with the first part.
func room(have int, length int64) int {
	if length < int64(have) {
		return 2 * have
	}
	return int(min(length+1, 32*int64(have)))
}
