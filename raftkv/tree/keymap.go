// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// root is the node of "/", which is no entry of a keymap and cannot change.
var root = &Node{Dir: true}

// A keymap holds the nodes by their full path. Every proper ancestor of a key but the
// root is an entry too, and a directory.
//
// Keys are in byte order. What lies below d is the range from d+"/" to d+"0", as "0" is
// the byte after "/". It does not follow d itself at once: "/a-b" is between "/a" and
// "/a/x".
//
// The only writer works on one keymap; copies are for readers, and cost nothing until
// the writer changes what they share.
type keymap struct {
	m     *keyTree
	bytes int // of all keys and values
}

func newKeymap() keymap { return keymap{m: newKeyTree()} }

// freeze returns a copy that never changes.
func (k keymap) freeze() keymap { return keymap{k.m.Copy(), k.bytes} }

func (k keymap) len() int { return k.m.count }

// get returns the node at key, nil if there is none.
func (k keymap) get(key string) *Node { return k.m.Get(key) }

// set makes n the node at key and returns what was there, nil if nothing.
func (k *keymap) set(key string, n *Node) *Node {
	old := k.m.Set(key, n)
	k.replaced(key, old, n)
	return old
}

func (k *keymap) remove(key string) {
	old := k.m.Delete(key)
	k.replaced(key, old, nil)
}

// replaced measures that n took the place of old; nil is nothing.
func (k *keymap) replaced(key string, old, n *Node) {
	if old != nil {
		k.bytes -= len(key) + len(old.Value)
	}
	if n != nil {
		k.bytes += len(key) + len(n.Value)
	}
}

// ascend calls f with each entry from the first key not before from until it says no.
func (k keymap) ascend(from string, f func(key string, n *Node) bool) { k.m.Ascend(from, f) }

// hasUnder reports whether there is an entry below dir.
func (k keymap) hasUnder(dir string) (found bool) {
	k.ascend(dir+"/", func(key string, _ *Node) bool {
		found = under(key, dir)
		return false
	})
	return found
}

// find returns the node at key, or the error that names what is missing or in the way.
func (k keymap) find(key string, index uint64) (*Node, *Error) {
	if key == "/" {
		return root, nil
	}
	if n := k.get(key); n != nil {
		return n, nil
	}
	// From below, as most often the parent is there.
	missing := key
	for dir := parent(key); dir != "/"; dir = parent(dir) {
		n := k.get(dir)
		switch {
		case n == nil:
			missing = dir
			continue
		case !n.Dir:
			return nil, &Error{Code: CodeNotDir, Cause: dir, Index: index}
		}
		break
	}
	return nil, &Error{Code: CodeKeyNotFound, Cause: missing, Index: index}
}

func (k keymap) cursor() cursor { return cursor{root: k.m.root} }
