// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"runtime"
	"syscall"

	"confd/raftkv/tree"
)

// A round is what a sender sends to one stream after the other. It makes the bytes of the
// events once.
type round struct {
	x      *exchange
	events []*tree.Event
	made   bool // the exchange's body has them
	shared bool // the body is somebody else's too, to be read
	served int

	// Of one write.
	attempt func(fd uintptr) bool // write, bound once
	rest    []byte
	err     error

	// Of a long poll.
	ending func() (b []byte, last bool) // endOf, bound once
	poll   *poll                        // that is being ended
	whole  *tree.Event                  // the body has it and the end of an answer, if made
}

// close gives back what others may use.
func (r *round) close(h *Handler) {
	if r.shared {
		r.x.resp.body = nil
	}
	r.x.reset()
	h.exchanges.Put(r.x)
}

// pause lets others run after some streams.
func (r *round) pause() {
	if r.served++; r.served%turnLength == 0 {
		runtime.Gosched()
	}
}

// collect takes events. It reports whether there may be more, and whether there is an end
// behind them.
func (r *round) collect(from <-chan *tree.Event) (more, ended bool) {
	r.events, r.made = r.events[:0], false
	for size := 0; len(r.events) < maxRound && size < burst; {
		select {
		case e, ok := <-from:
			if !ok {
				return false, true
			}
			r.events = append(r.events, e)
			size += len(e.Node.Value)
			if e.Prev != nil {
				size += len(e.Prev.Value)
			}
		default:
			return false, false
		}
	}
	return true, false
}

// all takes the events of a channel that is closed behind them.
func (r *round) all(from <-chan *tree.Event) {
	r.events, r.made = r.events[:0], false
	for e := range from {
		r.events = append(r.events, e)
	}
}

// skip returns how many of the feed's events the stream has already.
func (r *round) skip(c *watchConn) int {
	if c.from == 0 {
		return 0
	}
	for i, e := range r.events {
		if e.Index() > c.from {
			c.from = 0
			return i
		}
	}
	return len(r.events)
}

// send writes the events to the stream, but for the first ones to be skipped, and returns what
// it could not take.
func (r *round) send(c *watchConn, skip int) (rest []byte, err error) {
	if skip == len(r.events) {
		return nil, nil
	}
	r.rest, r.err = r.bytes(skip), nil
	if err := c.raw.Write(r.attempt); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	c.h.meters.events.Add(uint64(len(r.events) - skip))
	r.shared = r.shared || len(r.rest) > 0
	return r.rest, nil
}

// bytes returns the events as chunks, but for the first ones to be skipped.
func (r *round) bytes(skip int) []byte {
	if r.made && skip == 0 {
		return r.x.resp.body
	}
	var b []byte
	if skip == 0 && !r.shared {
		b = r.x.resp.body[:0]
	}
	for _, e := range r.events[skip:] {
		b = r.x.appendChunk(b, e)
	}
	if skip == 0 {
		r.x.resp.body, r.made, r.shared = b, true, false
	}
	return b
}

// write writes what the socket takes at once.
func (r *round) write(fd uintptr) bool {
	for len(r.rest) > 0 {
		n, err := syscall.Write(int(fd), r.rest)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return true
		case err != nil:
			r.err = err
			return true
		default:
			r.rest = r.rest[n:]
		}
	}
	return true
}
