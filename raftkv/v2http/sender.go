// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"confd/raftkv/tree"
)

const (
	// turnLength is how many streams a sender serves before it lets others run.
	turnLength = 16

	// maxReady is how long a list of streams may be to be kept for the next event.
	maxReady = 4096

	// maxRound is how many events a stream gets in one turn.
	maxRound = 64
)

// A sender sends events to many streams over plain TCP. To wake a goroutine for each of
// a thousand streams of one key costs more than to write to their sockets. So it writes
// to one after the other, what each can take at once, and makes the bytes of events that
// many of them get once.
//
// A stream that cannot take all of it is handed to a goroutine, which waits until it
// can, with the limit of time that every client has, and gives it back when nothing is
// left to send. So none waits for another one.
type sender struct {
	h *Handler

	mu      sync.Mutex
	ready   []*watchConn // woken and not busy, as they came
	running bool
}

// senders share the streams of a handler. They leave half of the processors alone: while all
// of them have something to run, Go looks only each 10 ms for requests that have come, and
// events that follow each other would not go together.
type senders struct {
	all  []sender
	next atomic.Uint32
}

func (ss *senders) init(h *Handler) {
	ss.all = make([]sender, max(1, runtime.GOMAXPROCS(0)/2))
	for i := range ss.all {
		ss.all[i].h = h
	}
}

// assign gives the stream to a sender if its connection is plain TCP. It begins when the
// watcher calls wake.
func (ss *senders) assign(c *watchConn) {
	conn := c.conn
	if e, ok := conn.(*earlyConn); ok {
		conn = e.Conn
	}
	sc, ok := conn.(syscall.Conn) // which a connection with TLS is not
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	c.raw = raw
	c.sender = &ss.all[int(ss.next.Add(1)%uint32(len(ss.all)))]
}

// wake says that there may be something to send. Whoever has the connection looks at the
// watcher again after this.
func (c *watchConn) wake() {
	s := c.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.woken {
		return
	}
	c.woken = true
	if c.busy {
		return
	}
	s.ready = append(s.ready, c)
	if !s.running {
		s.running = true
		go s.run()
	}
}

// run serves the streams that are ready, and ends when there are none.
func (s *sender) run() {
	r := round{x: s.h.exchanges.Get().(*exchange)}
	defer r.close(s.h)
	r.attempt = r.write
	var list []*watchConn
	for served := 1; s.next(&list); {
		for _, c := range list {
			if s.take(c) {
				s.serve(&r, c)
			}
			if served++; served%turnLength == 0 {
				runtime.Gosched()
			}
		}
	}
}

// next puts the streams that are ready into list, whose array is used for the next ones.
// Without any the sender runs no more.
func (s *sender) next(list *[]*watchConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(*list)
	*list, s.ready = s.ready, (*list)[:0]
	s.running = len(*list) > 0
	if !s.running && cap(s.ready) > maxReady {
		s.ready = nil
	}
	return s.running
}

// take reports whether the sender has the connection and there may be something to send.
func (s *sender) take(c *watchConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.busy || !c.woken {
		return false
	}
	c.woken = false
	return true
}

// serve sends what the stream has, as far as that can be done at once.
func (s *sender) serve(r *round, c *watchConn) {
	more, ended := r.collect(c.watcher.C)
	rest, err := r.send(c)
	switch {
	case err != nil:
		s.handOver(c, func() { c.finish(false) })
	case len(rest) > 0:
		s.handOver(c, func() { c.catchUp(rest, ended) })
	case ended:
		s.handOver(c, func() { c.finish(c.sendEnd()) })
	case more:
		c.wake()
	}
}

// handOver has a goroutine go on with the connection.
func (s *sender) handOver(c *watchConn, f func()) {
	s.mu.Lock()
	c.busy = true
	s.mu.Unlock()
	go f()
}

// catchUp sends the rest of what the client could not take at once, and all that comes
// meanwhile. Then the sender has the connection again, unless that has ended.
func (c *watchConn) catchUp(rest []byte, ended bool) {
	if !c.write(rest) {
		c.finish(false)
		return
	}
	for !ended {
		select {
		case e, ok := <-c.watcher.C:
			if ended = !ok; ok && !c.sendEvent(e) {
				c.finish(false)
				return
			}
		default:
			if c.handBack() {
				return
			}
		}
	}
	c.finish(c.sendEnd())
}

// handBack gives the connection to its sender, unless there may be something to send.
func (c *watchConn) handBack() bool {
	_ = c.conn.SetWriteDeadline(time.Time{}) // else the sender could not write any more
	s := c.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.woken {
		c.woken = false
		return false
	}
	c.busy = false
	return true
}

// A round is what a sender keeps from one stream to the next.
type round struct {
	x      *exchange
	events []*tree.Event // to be sent
	told   []*tree.Event // those that the exchange's body has
	shared bool          // the body is somebody else's too, to be read

	// Of one write.
	attempt func(fd uintptr) bool // write, bound once
	rest    []byte
	err     error
}

// close gives back what others may use.
func (r *round) close(h *Handler) {
	if r.shared {
		r.x.resp.body = nil
	}
	r.x.reset()
	h.exchanges.Put(r.x)
}

// collect takes the events of a stream. It reports whether there may be more, and whether
// the stream has ended behind them.
func (r *round) collect(from <-chan *tree.Event) (more, ended bool) {
	r.events = r.events[:0]
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

// send writes the events to the stream, and returns what it could not take.
func (r *round) send(c *watchConn) (rest []byte, err error) {
	if len(r.events) == 0 {
		return nil, nil
	}
	r.rest, r.err = r.bytes(), nil
	if err := c.raw.Write(r.attempt); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	c.h.meters.events.Add(uint64(len(r.events)))
	r.shared = r.shared || len(r.rest) > 0
	return r.rest, nil
}

// bytes returns the events as chunks. Most often they are those of the stream before.
func (r *round) bytes() []byte {
	if slices.Equal(r.events, r.told) {
		return r.x.resp.body
	}
	if r.shared {
		r.x.resp.body, r.shared = nil, false
	}
	b := r.x.resp.body[:0]
	for _, e := range r.events {
		b = r.x.appendChunk(b, e)
	}
	r.x.resp.body = b
	r.told = append(r.told[:0], r.events...)
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
