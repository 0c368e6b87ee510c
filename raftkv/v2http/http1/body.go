// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"io"
	"time"
)

// body is what a connection reads a long body into, when so much of it has come that this takes no more
// memory than four times as much.
type body [MaxBody]byte

// minBody is how much room must be asked for, of which a half is there, to get a body.
const minBody = MaxBody / 2

// readBody reads the body of the request whose head has n bytes. If it does not fit into
// the buffer it becomes one of its own, which grows as it comes, or takes one that is kept when
// there is something in it.
func (c *conn) readBody(n int) {
	r := &c.req
	have := c.buf[c.start+n : c.end]
	if len(have) >= r.Length {
		r.Body = have[:r.Length]
		c.start += n + r.Length
		return
	}
	r.Lent = true
	r.Body = append(c.roomFor(r.Length, max(1<<10, 2*len(have))), have...)
	c.start = c.end
	c.readUntil(time.Now().Add(c.loop.config.BodyTime))
	for len(r.Body) < r.Length && r.BodyErr == nil {
		if len(r.Body) == cap(r.Body) {
			r.Body = append(c.roomFor(r.Length, 2*cap(r.Body)), r.Body...)
		}
		var m int
		m, r.BodyErr = c.rwc.Read(r.Body[len(r.Body):min(cap(r.Body), r.Length)])
		r.Body = r.Body[:len(r.Body)+m]
	}
	switch {
	case len(r.Body) == r.Length:
		r.BodyErr = nil
	case r.BodyErr == io.EOF:
		r.BodyErr = io.ErrUnexpectedEOF // and there is no use in saying that we close
	default:
		r.Close = true
	}
}

// roomFor returns room for so many bytes of a body of that length, or for all of them.
func (c *conn) roomFor(length, bytes int) []byte {
	if bytes < minBody || length < minBody {
		return make([]byte, 0, min(length, bytes))
	}
	c.body = c.loop.bodies.Get().(*body)
	return c.body[:0]
}

// releaseBody gives the memory of a body back, if nobody has kept it.
func (c *conn) releaseBody() {
	c.req.Body = nil
	if c.body != nil && !c.req.Kept {
		c.loop.bodies.Put(c.body)
	}
	c.body = nil
}
