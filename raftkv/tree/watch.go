// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"slices"
	"sync"
)

// streamBuffer is how many events the reader of a stream may be behind: etcd's 100 and
// some, besides the 512 that one log entry may hold, which are told at once, so that
// no reader could keep up with them.
const streamBuffer = 512 + 128

// A Watcher delivers events in order. The channel is closed after the last one:
// the first without stream, when the reader was too slow (streamBuffer events behind, besides
// those that lay in the past when the watch began), when the tree was restored, or by
// Close.
type Watcher struct {
	C         <-chan *Event
	Start     uint64 // index of the tree when the watch began
	Key       string // what is watched, clean
	Recursive bool   // and what is below it

	c      chan *Event
	tree   *Tree
	stream bool
	since  uint64

	// Guarded by hub.mu.
	spot   *spot  // nil once it has ended
	pos    int    // in the spot's list
	count  int    // how many it stands for; see Join
	notify func() // see Notify; may be nil
}

// newWatcher returns a watcher that is not registered, with room for so many events.
func newWatcher(t *Tree, key string, recursive, stream bool, size int) *Watcher {
	c := make(chan *Event, size)
	return &Watcher{C: c, Key: key, Recursive: recursive, c: c, tree: t, stream: stream, count: 1}
}

// A hub knows who waits for what.
//
// It is keyed by path: an event costs a look at each ancestor of its key, and work for
// those it concerns. When a directory goes, those below it that existed are concerned
// too; they are found from the removed keys or from all paths, whichever are fewer.
type hub struct {
	mu       sync.Mutex
	spots    map[string]*spot // :: key → who waits there
	watchers int
	cutOff   uint64        // watchers that were too slow
	restored chan struct{} // closed, and replaced, by reset
}

// A spot is a key with those who wait there. It is in the hub's map if it has any.
type spot struct {
	key   string
	exact []*Watcher // of the key only
	trees []*Watcher // of everything below too
	waits []*wait
}

func (h *hub) init() {
	h.spots = make(map[string]*spot)
	h.restored = make(chan struct{})
}

// Watch returns a watcher of the events on key with an index of at least since; 0 is
// from now on. With recursive it also sees what is below key, without hidden nodes.
// Both see that key went with a directory above it. Without stream it delivers one
// event and ends. If since lies before the history the error is an *Error, code 401.
func (t *Tree) Watch(key string, recursive, stream bool, since uint64) (*Watcher, error) {
	key = CleanKey(key)

	// From here to the end, so that no event is between the history and the hub.
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	v := t.view.Load()
	var past []*Event
	if since != 0 && since <= v.index {
		if oldest := v.oldest(); since < oldest {
			cause := fmt.Sprintf("the requested history has been cleared [%d/%d]", oldest, since)
			return nil, &Error{Code: CodeEventIndexCleared, Cause: cause, Index: v.index}
		}
		for _, e := range v.from(since) {
			if !e.matches(key, recursive) {
				continue
			}
			past = append(past, e)
			if !stream {
				break
			}
		}
	}

	size := 1
	if stream {
		size = len(past) + streamBuffer
	}
	w := newWatcher(t, key, recursive, stream, size)
	w.Start, w.since = v.index, since
	for _, e := range past {
		w.c <- e
	}
	if len(past) > 0 && !stream {
		close(w.c)
		return w, nil
	}
	t.hub.add(w)
	return w, nil
}

// Close ends the watch and frees it. It may be called more than once, and while
// another goroutine receives from C.
func (w *Watcher) Close() {
	h := &w.tree.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.spot != nil {
		h.end(w)
	}
}

// Notify has f called whenever C has got an event or was closed, and at once if it has
// something already, so that nobody need wait at C. f must return soon and not call the
// tree: all events wait for it.
func (w *Watcher) Notify(f func()) {
	w.tree.hub.mu.Lock()
	defer w.tree.hub.mu.Unlock()
	w.notify = f
	if w.spot == nil || len(w.c) > 0 {
		f()
	}
}

// tell calls what Notify was given. The caller holds mu.
func (w *Watcher) tell() {
	if w.notify != nil {
		w.notify()
	}
}

// at returns the spot of key, which it makes if there is none.
func (h *hub) at(key string) *spot {
	s := h.spots[key]
	if s == nil {
		s = &spot{key: key}
		h.spots[key] = s
	}
	return s
}

// drop forgets a spot where nobody waits.
func (h *hub) drop(s *spot) {
	if len(s.exact)+len(s.trees)+len(s.waits) == 0 {
		delete(h.spots, s.key)
	}
}

// list returns where the spot keeps such watchers as w.
func (s *spot) list(w *Watcher) *[]*Watcher {
	if w.Recursive {
		return &s.trees
	}
	return &s.exact
}

// add registers a watcher. The caller holds mu.
func (h *hub) add(w *Watcher) {
	w.spot = h.at(w.Key)
	list := w.spot.list(w)
	w.pos = len(*list)
	*list = append(*list, w)
	h.watchers += w.count
}

// end closes a registered watcher and puts the last of its list in its place. The
// caller holds mu.
func (h *hub) end(w *Watcher) {
	list := w.spot.list(w)
	last := len(*list) - 1
	(*list)[w.pos] = (*list)[last]
	(*list)[w.pos].pos = w.pos
	(*list)[last] = nil
	*list = (*list)[:last]
	h.drop(w.spot)
	w.spot = nil
	h.watchers -= w.count
	close(w.c)
	w.tell()
}

// deliver gives e to the watchers of a list, and ends those for whom it was the last
// one. The caller holds mu.
func (h *hub) deliver(list *[]*Watcher, e *Event) {
	// From the end, as ending one moves the last one to its place.
	for i := len(*list) - 1; i >= 0; i-- {
		w := (*list)[i]
		if e.Index() < w.since {
			continue
		}
		select {
		case w.c <- e:
			if !w.stream {
				h.end(w)
			} else {
				w.tell()
			}
		default:
			h.end(w) // too slow
			h.cutOff += uint64(w.count)
		}
	}
}

// notify tells those whom the change concerns. The caller holds mu.
func (h *hub) notify(c *change) {
	e := c.event
	if e.Refresh || len(h.spots) == 0 {
		return
	}
	if s := h.spots[e.Key]; s != nil {
		h.deliver(&s.exact, e)
		h.deliver(&s.trees, e)
		s.wake()
	}
	// Those above a hidden component do not see what is below it.
	for key := e.Key; key != "/" && !Hidden(key); {
		key = parent(key)
		if s := h.spots[key]; s != nil {
			h.deliver(&s.trees, e)
			s.wake()
		}
	}
	h.notifyBelow(c)
}

// notifyBelow tells those at the keys that went with a directory.
func (h *hub) notifyBelow(c *change) {
	tell := func(s *spot) {
		h.deliver(&s.exact, c.event)
		h.deliver(&s.trees, c.event)
		s.wake()
	}
	if len(c.below) <= len(h.spots) {
		for _, key := range c.below {
			if s := h.spots[key]; s != nil {
				tell(s)
			}
		}
		return
	}
	for key, s := range h.spots {
		if !under(key, c.event.Key) {
			continue
		}
		if _, existed := slices.BinarySearch(c.below, key); existed {
			tell(s)
		}
	}
}

// reset ends all watchers and wakes all who wait. The caller holds mu.
func (h *hub) reset() {
	for _, s := range h.spots {
		for _, list := range []*[]*Watcher{&s.exact, &s.trees} {
			for len(*list) > 0 {
				h.end((*list)[len(*list)-1])
			}
		}
	}
	close(h.restored)
	h.restored = make(chan struct{})
}
