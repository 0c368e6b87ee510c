// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"iter"
	"sync"
	"unsafe"
)

const (
	// maxKept is the largest buffer that an exchange keeps for its next request.
	maxKept = 64 << 10

	// partSize is the length of the parts of a long body. A body in one piece would be
	// copied as it grows, and what is kept for the next would have the size of the largest.
	partSize = 256 << 10

	// maxLarge is the largest buffer that is kept.
	maxLarge = 8 << 20
)

// buffers are kept for the bodies that do not fit into an exchange's buffer: to make new
// ones costs as much as to write what is in them. A sync.Pool lets go of what nobody asks
// for. They may be used concurrently; the zero value has none.
type buffers struct {
	parts sync.Pool // of *[partSize]byte
	large sync.Pool // of *[]byte, of other sizes
}

// get returns an empty buffer with room for n bytes.
func (p *buffers) get(n int) []byte {
	if n <= partSize {
		if part, ok := p.parts.Get().(*[partSize]byte); ok {
			return part[:0]
		}
		return make([]byte, 0, partSize)
	}
	if b, ok := p.large.Get().(*[]byte); ok && n <= cap(*b) && cap(*b) <= 4*n {
		return (*b)[:0]
	}
	return make([]byte, 0, n)
}

// put gives a buffer back that nobody uses any more. One that is too small or too large to
// be kept is let go of.
func (p *buffers) put(b []byte) {
	switch n := cap(b); {
	case p == nil || n < partSize || n > maxLarge:
	case n == partSize:
		p.parts.Put((*[partSize]byte)(b[:n]))
	default:
		p.large.Put(&b)
	}
}

// Grow returns a buffer with room for n more bytes behind b: b with another array while
// that is small, else another one, and b becomes a part of the body.
func (resp *response) Grow(b []byte, n int) []byte {
	if len(b)+n <= maxKept {
		// Not by slices.Grow, which may give more than is kept.
		return append(make([]byte, 0, min(max(len(b)+n, 2*cap(b), 1<<10), maxKept)), b...)
	}
	resp.parts = append(resp.parts, b)
	return resp.buffers.get(n)
}

// An insert is a text that the body has before its byte with number at, and that is not in
// the buffer: a long value, which the tree has.
type insert struct {
	at   int
	text string
}

func (resp *response) insert(at int, text string) {
	resp.inserts = append(resp.inserts, insert{at, text})
}

// size returns the length of the whole body.
func (resp *response) size() int {
	n := len(resp.body)
	for _, part := range resp.parts {
		n += len(part)
	}
	for _, in := range resp.inserts {
		n += len(in.text)
	}
	return n
}

// run returns the n-th part of the body as it lies in memory, and whether there is one. Nobody
// may change it.
func (resp *response) run(n int) ([]byte, bool) {
	if n < len(resp.parts) {
		return resp.parts[n], true
	}
	n -= len(resp.parts)
	k := n / 2 // inserts before that
	if n > 2*len(resp.inserts) {
		return nil, false
	}
	if n%2 == 1 {
		text := resp.inserts[k].text
		return unsafe.Slice(unsafe.StringData(text), len(text)), true
	}
	from, to := 0, len(resp.body)
	if k > 0 {
		from = resp.inserts[k-1].at
	}
	if k < len(resp.inserts) {
		to = resp.inserts[k].at
	}
	return resp.body[from:to], true
}

// pieces returns the body from the byte with number from on, which is in its first run,
// as it is sent: a client has to take each piece in time.
func (resp *response) pieces(from int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 0; ; i++ {
			run, ok := resp.run(i)
			if !ok {
				return
			}
			run = run[from:]
			from = 0
			for len(run) > 0 {
				n := min(len(run), maxKept)
				if !yield(run[:n]) {
					return
				}
				run = run[n:]
			}
		}
	}
}
