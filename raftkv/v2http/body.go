// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"io"
	"net/http"
	"strings"
	"time"
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
// the client says that it has, negative if it does not. A short one is read at once; of a
// long one, x.read is for the parts, and what they are put together in grows as they come.
func (x *exchange) readAll(r io.Reader, length int64, limit int) (string, error) {
	var whole strings.Builder
	b := x.read[:0]
	for {
		if whole.Len()+len(b) > limit {
			return whole.String() + string(b), nil
		}
		switch {
		case len(b) >= maxKept:
			reserve(&whole, len(b), length)
			whole.Write(b)
			b = b[:0]
		case cap(b)-len(b) < 512 && cap(b) < maxKept:
			b = append(make([]byte, 0, min(max(1024, 2*cap(b)), maxKept)), b...)
		}
		n, err := r.Read(b[len(b):min(cap(b), maxKept)])
		b = b[:len(b)+n]
		if err == nil {
			continue
		}
		x.read = b
		if err == io.EOF {
			err = nil
		}
		if whole.Len() == 0 {
			return string(b), err
		}
		reserve(&whole, len(b), length)
		whole.Write(b)
		return whole.String(), err
	}
}

// reserve makes room for n bytes in whole, and for what is to follow, if length is known:
// but not for more than 32 times what has come, as a client can say anything. So 1 MiB
// and what is around it is reserved with the first part.
func reserve(whole *strings.Builder, n int, length int64) {
	have := whole.Len() + n
	if have <= whole.Cap() {
		return
	}
	if want := int(min(length, 32*int64(have))); want > have {
		whole.Grow(max(n, want-whole.Len()-2*whole.Cap()))
	}
}
