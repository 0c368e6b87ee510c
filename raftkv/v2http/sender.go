// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// turnLength is how many streams a sender serves before it lets others run.
	turnLength = 16

	// maxReady is how long a list of what a sender has to do may be to be kept for the next one.
	maxReady = 4096

	// maxRound is how many events a stream gets in one turn.
	maxRound = 64
)

// A sender sends events to many streams over plain TCP. To wake a goroutine for each of
// a thousand streams of one key costs more than to write to their sockets. So the streams of
// one key are a feed, which has one watcher, and the sender writes what that has got to one
// after the other, as far as each can take it at once.
//
// It also ends the long polls that http1's loop has.
//
// A stream that cannot take all of it leaves its feed for a goroutine and a watcher of its
// own, until nothing is left to send, with the limit of time that every client has. So none
// waits for another one.
type sender struct {
	h     *Handler
	feeds map[feedKey]*feed // owned by run

	mu      sync.Mutex
	todo    work
	running bool
}

// work is what a sender has to do.
type work struct {
	joining []*watchConn // to be put into a feed
	told    []*feed      // that may have something to send
	leaving []*watchConn // to end
	polls   []*poll      // whose answers are to be ended
}

func (w *work) none() bool { return len(w.joining)+len(w.told)+len(w.leaving)+len(w.polls) == 0 }

// reset empties the lists and keeps their arrays, unless they are large.
func (w *work) reset() {
	w.joining, w.told, w.leaving, w.polls = emptied(w.joining), emptied(w.told), emptied(w.leaving), emptied(w.polls)
}

func emptied[T any](list []*T) []*T {
	if cap(list) > maxReady {
		return nil
	}
	clear(list)
	return list[:0]
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
		ss.all[i].feeds = make(map[feedKey]*feed)
	}
}

// assign gives the stream to a sender if its connection is plain TCP. It begins with handBack.
func (ss *senders) assign(c *watchConn) {
	if c.watcher.Ahead() {
		return // it does not see what others do
	}
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
	c.raw, c.busy = raw, true
	c.sender = ss.pick()
}

// pick returns the sender whose turn it is to get one more.
func (ss *senders) pick() *sender { return &ss.all[int(ss.next.Add(1)%uint32(len(ss.all)))] }

// start makes the sender run. The caller holds mu and has given it something to do.
func (s *sender) start() {
	if !s.running {
		s.running = true
		go s.run()
	}
}

// run does what there is to do, and ends when that is nothing.
func (s *sender) run() {
	r := round{x: s.h.exchanges.Get().(*exchange)}
	defer r.close(s.h)
	r.attempt, r.ending = r.write, r.endOf
	var todo work
	for s.next(&todo) {
		for _, p := range todo.polls {
			r.end(p)
			r.pause()
		}
		for _, c := range todo.joining {
			s.join(&r, c)
			r.pause()
		}
		for _, f := range todo.told {
			s.serve(&r, f)
		}
		for _, c := range todo.leaving {
			s.leave(c)
		}
	}
}

// next puts what there is to do into todo, whose arrays are used for the next things. If that
// is nothing the sender runs no more.
func (s *sender) next(todo *work) bool {
	todo.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	*todo, s.todo = s.todo, *todo
	for _, f := range todo.told {
		f.woken = false
	}
	s.running = !todo.none()
	return s.running
}

// handOver has a goroutine go on with the connection, which is in no feed.
func (s *sender) handOver(c *watchConn, f func()) {
	s.mu.Lock()
	c.busy = true
	ending, w := c.ending, c.watcher
	s.mu.Unlock()
	if ending {
		w.Close() // the sender does not do it any more
	}
	go f()
}

// end ends the watch. Its client gets the end of the answer, if it is still there. It may be
// called by any goroutine, and more than once.
func (c *watchConn) end() {
	s := c.sender
	if s == nil {
		c.watcher.Close()
		return
	}
	s.mu.Lock()
	w, busy := c.watcher, c.busy
	if !c.ending && !busy {
		s.todo.leaving = append(s.todo.leaving, c)
		s.start()
	}
	c.ending = true
	s.mu.Unlock()
	if busy {
		w.Close() // not with mu held, which a watcher takes when it notifies
	}
}

// catchUp sends the rest of what the client could not take at once, and all that comes
// meanwhile. Then the sender has the connection again, unless that has ended.
func (c *watchConn) catchUp(rest []byte, ended bool) {
	if len(rest) > 0 && !c.write(rest) {
		c.finish(false)
		return
	}
	for !ended {
		select {
		case e, ok := <-c.watcher.C:
			if ok && e.Index() <= c.from {
				continue
			}
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

// handBack gives the connection to its sender, unless it is to end.
func (c *watchConn) handBack() bool {
	_ = c.conn.SetWriteDeadline(time.Time{}) // else the sender could not write any more
	s := c.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.ending {
		return false // who has asked for that closes the watcher
	}
	c.busy = false
	s.todo.joining = append(s.todo.joining, c)
	s.start()
	return true
}
