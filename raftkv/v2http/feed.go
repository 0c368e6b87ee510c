// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"confd/raftkv/tree"
)

// A feed is the streams of a sender that see the same events. It is owned by the sender, and
// there is one as long as it has streams.
type feed struct {
	s       *sender
	key     feedKey
	watcher *tree.Watcher // stands for all of them
	streams []*watchConn
	woken   bool // guarded by sender.mu: it is in the sender's work
}

// A feedKey is what a feed sees.
type feedKey struct {
	key       string
	recursive bool
}

// wake says that there may be something to send.
func (f *feed) wake() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.woken {
		return
	}
	f.woken = true
	f.s.todo.told = append(f.s.todo.told, f)
	f.s.start()
}

// add puts the stream into the feed, for the events after index.
func (f *feed) add(c *watchConn, index uint64) {
	c.feed, c.pos, c.from = f, len(f.streams), index
	f.streams = append(f.streams, c)
}

// drop takes the stream out of its feed and puts the last one in its place.
func (s *sender) drop(c *watchConn) {
	f := c.feed
	last := len(f.streams) - 1
	f.streams[c.pos] = f.streams[last]
	f.streams[c.pos].pos = c.pos
	f.streams[last] = nil
	f.streams = f.streams[:last]
	c.feed = nil
	if last == 0 && s.feeds[f.key] == f {
		delete(s.feeds, f.key)
	}
}

// join puts a stream into the feed of what it sees, and sends what it has missed.
func (s *sender) join(r *round, c *watchConn) {
	w := c.watcher
	key := feedKey{w.Key, w.Recursive}
	f := s.feeds[key]
	if f == nil {
		f = &feed{s: s, key: key, watcher: w}
		s.feeds[key] = f
		f.add(c, 0)
		w.Notify(f.wake)
		return
	}
	for more := true; more; {
		var ended bool
		if more, ended = r.collect(w.C); !s.send(r, c, 0, ended) || ended {
			return
		}
	}
	index, ok := w.Join(f.watcher)
	if !ok { // one of them has ended, and the feed is to go if that is it
		s.handOver(c, func() { c.catchUp(nil, false) })
		return
	}
	f.add(c, index)
	s.mu.Lock()
	c.watcher = f.watcher
	s.mu.Unlock()
	r.all(w.C)
	s.send(r, c, 0, false)
}

// part takes the stream out of its feed, with a watcher of its own. It reports whether the
// stream has ended.
func (s *sender) part(c *watchConn) (ended bool) {
	w := c.feed.watcher.Split()
	s.drop(c)
	if w == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.watcher = w
	return false
}

// leave ends a stream.
func (s *sender) leave(c *watchConn) {
	s.mu.Lock()
	w, busy := c.watcher, c.busy
	s.mu.Unlock()
	if busy {
		w.Close() // whoever has the connection sees that
		return
	}
	s.part(c)
	s.handOver(c, func() { c.finish(c.sendEnd()) })
}

// serve sends what the feed has to its streams, as far as that can be done at once.
func (s *sender) serve(r *round, f *feed) {
	if len(f.streams) == 0 {
		return // its watcher is another's
	}
	more, ended := r.collect(f.watcher.C)
	// From the end, as one that leaves is replaced by the last.
	for i := len(f.streams) - 1; i >= 0; i-- {
		c := f.streams[i]
		s.send(r, c, r.skip(c), ended)
		r.pause()
	}
	if more && len(f.streams) > 0 {
		f.wake()
	}
}

// send sends the round's events to a stream, but for the first ones to be skipped, and the end
// if it has ended. If that cannot be done at once it leaves the connection to a goroutine and
// reports false.
func (s *sender) send(r *round, c *watchConn, skip int, ended bool) bool {
	rest, err := r.send(c, skip)
	if err == nil && len(rest) == 0 && !ended {
		return true
	}
	if c.feed != nil && s.part(c) {
		ended = true
	}
	s.handOver(c, func() {
		if err != nil {
			c.finish(false)
			return
		}
		c.catchUp(rest, ended)
	})
	return false
}
