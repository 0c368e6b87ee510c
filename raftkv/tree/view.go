// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import "iter"

// A View is the tree at one point in time. It is immutable, and all reads of it agree.
// Its methods may be called concurrently.
type View struct {
	keys     keymap // frozen
	index    uint64
	events   []*Event // the last ones, oldest first; the newest has this index
	restored uint64   // index that the last Restore brought; what came before is not told by events
	epoch    uint64   // how often the tree was restored
	stats    Stats    // without gets and watchers
}

// Index returns the index of the view.
func (v *View) Index() uint64 { return v.index }

// Len returns the number of keys, directories included, the root excluded.
func (v *View) Len() int { return v.keys.len() }

// Bytes returns the length of all keys and values together; what a node takes in memory
// beside them is not in it.
func (v *View) Bytes() int { return v.keys.bytes }

// Get returns the node at key, or an *Error: 100 with the first missing path as the
// cause, 104 with the file that stands where a directory is needed. The root is a
// directory with no indexes.
func (v *View) Get(key string) (*Node, error) {
	n, err := v.keys.find(CleanKey(key), v.index)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Files returns the files whose key is at least from, in byte order of their keys.
// Hidden ones are among them.
func (v *View) Files(from string) iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		v.keys.ascend(from, func(key string, n *Node) bool {
			return n.Dir || yield(key, n)
		})
	}
}

// oldest returns the index of the first event of the history. Without events it is the
// one of the next.
func (v *View) oldest() uint64 { return v.index - uint64(len(v.events)) + 1 }

// from returns the events with an index of at least index, which is not before the
// oldest.
func (v *View) from(index uint64) []*Event {
	if index > v.index {
		return nil
	}
	return v.events[index-v.oldest():]
}
