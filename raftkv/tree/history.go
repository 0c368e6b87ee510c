// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// The history holds the last events of the whole tree, and less of them if their
// values are large. Both limits decide which watches get error 401, and nothing else: so
// all replicas should have the same ones, and a snapshot may hold more than historyBytes,
// as releases before had 128 MiB.
const (
	historyLen   = 1000
	historyBytes = 32 << 20

	// historySlack is how much of what was dropped may stay in memory.
	historySlack = historyBytes / 8
)

// A history is the last events, the oldest first, with consecutive indexes.
//
// The slice may be handed out: what it shows never changes, as adding writes behind its
// end or to a new array.
type history struct {
	events []*Event
	bytes  int // size of the events
	gone   int // size of the events dropped that the array still holds
}

// size returns about how much memory e holds.
func (e *Event) size() int {
	n := len(e.Key) + len(e.Node.Value)
	if e.Prev != nil {
		n += len(e.Prev.Value)
	}
	return n
}

// add appends e and drops what is too much at the other end. It returns the last event that
// was dropped, nil if none was.
func (h *history) add(e *Event) (dropped *Event) {
	if len(h.events) == cap(h.events) {
		h.move()
	}
	h.events = append(h.events, e)
	h.bytes += e.size()
	for len(h.events) > historyLen || h.bytes > historyBytes && len(h.events) > 1 {
		dropped = h.events[0]
		size := dropped.size()
		h.bytes -= size
		h.gone += size
		h.events = h.events[1:]
	}
	if h.gone > historySlack {
		h.move()
	}
	return dropped
}

// move copies the events to a new array, which frees the ones dropped.
func (h *history) move() {
	events := make([]*Event, len(h.events), 2*historyLen)
	copy(events, h.events)
	h.events = events
	h.gone = 0
}

// removal reports whether e took a directory away.
func (e *Event) removesDir() bool {
	return e.Node.Dir && (e.Action == Delete || e.Action == Expire)
}

// matches reports whether a watcher of key sees e. It cannot tell whether key existed
// when a directory above it was removed, and says yes.
func (e *Event) matches(key string, recursive bool) bool {
	switch {
	case e.Refresh:
		return false
	case e.Key == key:
		return true
	case recursive && under(e.Key, key):
		return !hiddenUnder(e.Key, key)
	}
	return e.removesDir() && under(key, e.Key)
}
