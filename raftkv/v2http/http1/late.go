// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"net"
	"time"
)

// A Late is an answer that Serve has left open. Either Ended or Take is called for it, once,
// by any goroutine.
type Late interface {
	// Ended tells that the answer has come to its end, and whether the client has taken the
	// whole of it. If not, the client has gone or is given up.
	Ended(whole bool)

	// Take takes the connection, which has no deadlines, with the answer still open. early
	// is what the client has sent behind the request, nil if nothing: only of a connection
	// that can be read by its descriptor, and only as long as nothing comes, can the loop
	// wait for somebody else to end an answer.
	Take(conn net.Conn, early []byte)
}

// Leave leaves the answer open that Serve is about to give. Only Serve may call it, as the
// last thing that it does with the client but for End.
func (c *conn) Leave(late Late) {
	c.open = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late, c.last = late, c.req.Close
}

// End ends an answer that was left open, unless that has been done, with what rest returns:
// the rest of the answer, which may be written to once End has returned, and whether the
// connection is to end with it. It does not wait for the client.
func (c *conn) End(late Late, rest func() (b []byte, last bool)) {
	c.mu.Lock()
	if c.late != late {
		c.mu.Unlock()
		return
	}
	b, last := rest()
	c.last = c.last || last
	sent, err := c.tryWrite(b)
	if sent == len(b) || err != nil {
		c.settle(err)
		return
	}
	b = bytes.Clone(b[sent:])
	// The goroutine of the connection is there still, as mu is held, so Shutdown waits.
	c.loop.running.Go(func() { c.settle(c.writeOn(b)) })
}

// tryWrite writes what the socket takes at once, and returns how much that is. The caller
// holds mu, and there is an open answer.
func (c *conn) tryWrite(b []byte) (sent int, err error) {
	if c.raw == nil {
		return 0, nil
	}
	if !c.writeBy.IsZero() { // it may have come, and then nothing can be written
		c.writeBy = time.Time{}
		if err := c.rwc.SetWriteDeadline(c.writeBy); err != nil {
			return 0, err
		}
	}
	// Not by c.fd: the connection's goroutine may close it while this is under way.
	var failed error
	err = c.raw.Write(func(fd uintptr) bool {
		sent, failed = writeAtOnce(int(fd), b)
		return true
	})
	if err == nil {
		err = failed
	}
	return sent, err
}

// writeOn writes b, which the client takes in StallTime. The caller holds mu, and there is an
// open answer.
func (c *conn) writeOn(b []byte) error {
	c.writeBy = time.Now().Add(c.loop.config.StallTime)
	if err := c.rwc.SetWriteDeadline(c.writeBy); err != nil {
		return err
	}
	_, err := c.rwc.Write(b)
	return err
}

// settle makes the connection wait for its next request, or end, after its open answer has
// ended; err is that of sending the end. The caller holds mu, which is released.
func (c *conn) settle(err error) {
	late := c.late
	c.late, c.since = nil, time.Now()
	c.state.Store(idle)
	if (c.last || err != nil || c.loop.ending.Load()) && c.state.CompareAndSwap(idle, ended) {
		// This waits for the goroutine of the connection, which may wait for mu.
		c.loop.running.Go(func() { c.rwc.Close() })
	}
	c.mu.Unlock()
	late.Ended(err == nil)
}

// noticeEnd reports whether the answer that was left open has ended, and closes the matter if
// so. It waits for an end that is being sent.
func (c *conn) noticeEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = c.late != nil
	return !c.open
}

// withdraw closes the matter, and returns the answer if it is still open, else nil.
func (c *conn) withdraw() Late {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := c.late
	c.open, c.late = false, nil
	return late
}

// giveAway gives the connection to who is to end its answer, unless that has happened.
func (c *conn) giveAway() fate {
	late := c.withdraw()
	switch {
	case late == nil && c.state.CompareAndSwap(idle, active):
		return keep
	case late == nil:
		return hangUp
	case c.rwc.SetDeadline(time.Time{}) != nil:
		late.Ended(false)
		return hangUp
	}
	late.Take(c.rwc, bytes.Clone(c.buf[c.start:c.end]))
	return taken
}

// abandon tells of the end of an answer that is still open when the connection ends.
func (c *conn) abandon() {
	if !c.open {
		return
	}
	if late := c.withdraw(); late != nil {
		late.Ended(false)
	}
}
