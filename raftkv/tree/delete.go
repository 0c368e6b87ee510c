// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// delete removes a file, or a directory if op says so.
func (t *Tree) delete(op *Op, key string, now int64) (*Event, *Error) {
	if key == "/" {
		return nil, t.refuse(CodeRootReadOnly, "/")
	}
	n, err := t.keys.find(key, t.index)
	if err != nil {
		return nil, err
	}
	if n.Dir && !op.Dir && !op.Recursive {
		return nil, t.refuse(CodeNotFile, key)
	}
	if n.Dir && !op.Recursive && t.keys.hasUnder(key) {
		return nil, t.refuse(CodeDirNotEmpty, key)
	}
	return t.remove(Delete, key, n, now), nil
}

// remove takes away old, the node at key, and everything below it.
func (t *Tree) remove(action Action, key string, old *Node, now int64) *Event {
	var below []string
	if old.Dir {
		t.dir = ""
		t.keys.ascend(key+"/", func(k string, n *Node) bool {
			if !under(k, key) {
				return false
			}
			below = append(below, k)
			t.expiry.removed(n)
			return true
		})
		for _, k := range below {
			t.keys.remove(k)
		}
	}
	t.keys.remove(key)
	t.expiry.removed(old)
	t.expiry.trim(t.keys)
	n := &Node{Created: old.Created, Modified: t.index + 1, Dir: old.Dir}
	return t.record(&Event{Action: action, Key: key, Node: n, Prev: old, Now: now}, below)
}
