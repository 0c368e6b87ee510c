// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// A Beside runs f in a goroutine of its own, and returns what waits until f has returned.
type Beside func(f func()) (wait func())

const (
	// loadBatch is how many nodes of a snapshot are handed on at once: so many that it does
	// not count what that costs.
	loadBatch = 256

	// loadAhead is how many batches there are. All may be on their way, so nobody waits to give
	// one.
	loadAhead = 8
)

// A loading is a node on the way from a snapshot to its place.
type loading struct {
	key  string
	node *Node
}

// A loader puts the nodes of a snapshot in their places, in the order that they come. It
// trusts nothing: after load has returned true, they are nodes that a tree can have.
type loader struct {
	keys   keymap
	expiry expiries
	before string   // the last key
	dirs   dirStack // those that it may be in
}

// load takes the next nodes, and reports false at the first that cannot be there.
func (l *loader) load(nodes []loading) bool {
	for i := range nodes {
		key, node := nodes[i].key, nodes[i].node
		if key <= l.before || !isClean(key) || key == "/" || !l.dirs.holds(key) {
			return false
		}
		if node.Dir {
			l.dirs = append(l.dirs, key)
		}
		l.keys.set(key, node)
		l.expiry.replaced(key, nil, node)
		l.before = key
	}
	return true
}

// A handover gives batches of nodes to a loader, which works beside the caller if there is a
// Beside.
type handover struct {
	loader
	bad   bool           // a node cannot be there
	full  chan []loading // on the way; nil if the caller does the work itself
	empty chan []loading // on the way back; closed after the last, or at the first bad one
	wait  func()         // for the loader to end
}

// newHandover returns a handover for so many nodes, and an empty batch.
func newHandover(nodes uint64, beside Beside) (*handover, []loading) {
	h := &handover{loader: loader{keys: newKeymap()}}
	if beside == nil || nodes <= loadBatch {
		return h, make([]loading, 0, min(nodes, loadBatch))
	}
	h.full, h.empty = make(chan []loading, loadAhead), make(chan []loading, loadAhead)
	for range loadAhead - 1 {
		h.empty <- make([]loading, 0, loadBatch)
	}
	h.wait = beside(h.run)
	return h, make([]loading, 0, loadBatch)
}

// run loads what comes.
func (h *handover) run() {
	for nodes := range h.full {
		if h.bad = !h.load(nodes); h.bad {
			break
		}
		h.empty <- nodes[:0]
	}
	close(h.empty)
}

// give hands a batch on, and returns one to fill, nil if there is no use in going on; it is not
// called again then.
func (h *handover) give(nodes []loading) []loading {
	if h.full != nil {
		h.full <- nodes
		return <-h.empty
	}
	if h.bad = !h.load(nodes); h.bad {
		return nil
	}
	return nodes[:0]
}

// end waits until all that was given is in its place. It reports whether it could be.
func (h *handover) end() bool {
	if h.full != nil {
		close(h.full)
		h.wait()
	}
	return !h.bad
}
