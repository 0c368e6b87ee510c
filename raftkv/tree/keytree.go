// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"sync/atomic"
	"unsafe"
)

const (
	// leafKeys and branchKids are how many there are in a node of a btree at most; see
	// BenchmarkPut.
	leafKeys   = 31
	branchKids = 32

	// fewKeys and fewKids are when a node is put together with one beside it, if both are
	// not more than enoughKeys and enoughKids.
	fewKeys, enoughKeys = 8, 24
	fewKids, enoughKids = 8, 24
)

// A keyTree is a copy-on-write B+tree: keys and nodes are in leaves, in byte order. Its leaves
// are full after keys that came in order, and it looks first at the leaf that it has
// last written to, which saves most of the way for a key that is near the one before.
// It is what a store is made of, and takes a third of the time of a library's for keys in
// order, and half of the memory: see BenchmarkKeyTree.
//
// One goroutine at a time may use one that is written to. A copy that is not can be read by
// any number.
type keyTree struct {
	gens  *atomic.Uint64 // how many generations were given out to the tree, its copies, and theirs
	gen   uint64         // nodes with this are of no other tree, and may be changed
	root  *branch
	count int

	last     *leaf  // the one that was written to, nil if none is known
	from, to string // it has the keys from here on, and before that; "" is no limit
}

// A leaf has the first n keys in order, with their nodes.
type leaf struct {
	gen   uint64
	n     int
	keys  [leafKeys]string
	nodes [leafKeys]*Node
}

// A branch has n kids: leaves on level 1, else branches of the level below. The keys of the
// first i+1 kids are before bounds[i], and the others are not.
type branch struct {
	gen    uint64
	n      int32
	level  int32
	bounds [branchKids - 1]string
	kids   [branchKids]unsafe.Pointer // to a leaf on level 1, else to a branch: one array for both, as writing copies it
}

// leaf returns kid i of a branch on level 1.
func (b *branch) leaf(i int) *leaf { return (*leaf)(b.kids[i]) }

// branch returns kid i of a branch on a higher level.
func (b *branch) branch(i int) *branch { return (*branch)(b.kids[i]) }

func newKeyTree() *keyTree {
	root := &branch{n: 1, level: 1}
	root.kids[0] = unsafe.Pointer(&leaf{})
	return &keyTree{gens: new(atomic.Uint64), root: root}
}

// Copy returns a copy. Both can be changed, and copy what they share when they do.
func (t *keyTree) Copy() *keyTree {
	t.gen, t.last = t.gens.Add(1), nil
	return &keyTree{gens: t.gens, gen: t.gens.Add(1), root: t.root, count: t.count}
}

// find returns the kid that has a key, if any has.
func (b *branch) find(key string) int {
	low, high := 0, int(b.n)-1
	for low < high {
		if mid := (low + high) / 2; b.bounds[mid] <= key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// find returns where a key is, or belongs.
func (l *leaf) find(key string) (i int, found bool) {
	low, high := 0, l.n
	for low < high {
		if mid := (low + high) / 2; l.keys[mid] < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < l.n && l.keys[low] == key
}

// Get returns the node at key, nil if there is none.
func (t *keyTree) Get(key string) *Node {
	b := t.root
	for b.level > 1 {
		b = b.branch(b.find(key))
	}
	l := b.leaf(b.find(key))
	if i, found := l.find(key); found {
		return l.nodes[i]
	}
	return nil
}

// ownLeaf returns kid i of a branch that may be changed, a leaf, which may be changed then.
func (t *keyTree) ownLeaf(b *branch, i int) *leaf {
	l := b.leaf(i)
	if l.gen != t.gen {
		l2 := *l
		l2.gen = t.gen
		l = &l2
		b.kids[i] = unsafe.Pointer(l)
	}
	return l
}

// ownBranch is ownLeaf for a branch.
func (t *keyTree) ownBranch(b *branch, i int) *branch {
	kid := b.branch(i)
	if kid.gen != t.gen {
		kid = t.copied(kid)
		b.kids[i] = unsafe.Pointer(kid)
	}
	return kid
}

// ownRoot is ownBranch for the root.
func (t *keyTree) ownRoot() *branch {
	if t.root.gen != t.gen {
		t.root = t.copied(t.root)
	}
	return t.root
}

func (t *keyTree) copied(b *branch) *branch {
	b2 := *b
	b2.gen = t.gen
	return &b2
}

// Set makes n the node at key and returns what was there, nil if nothing.
func (t *keyTree) Set(key string, n *Node) *Node {
	if t.last != nil && t.from <= key && (t.to == "" || key < t.to) {
		if i, found := t.last.find(key); found || t.last.n < leafKeys {
			return t.put(t.last, i, found, key, n)
		}
	}
	t.last, t.from, t.to = nil, "", ""
	b := t.ownRoot()
	if b.n == branchKids {
		b = &branch{gen: t.gen, n: 1, level: b.level + 1}
		b.kids[0], t.root = unsafe.Pointer(t.root), b
		t.split(b, 0)
	}
	for b.level > 1 {
		i := b.find(key)
		if t.ownBranch(b, i).n == branchKids {
			t.split(b, i)
			i = b.find(key)
		}
		t.within(b, i)
		b = b.branch(i)
	}
	i := b.find(key)
	l := t.ownLeaf(b, i)
	at, found := l.find(key)
	if !found && l.n == leafKeys {
		t.splitLeaf(b, i, at, key)
		i = b.find(key)
		l = b.leaf(i)
		at, _ = l.find(key)
	}
	t.within(b, i)
	t.last = l
	return t.put(l, at, found, key, n)
}

// within notes that the way leads to kid i of b.
func (t *keyTree) within(b *branch, i int) {
	if i > 0 {
		t.from = b.bounds[i-1]
	}
	if i < int(b.n)-1 {
		t.to = b.bounds[i]
	}
}

// put puts a key where it is or belongs in a leaf that has room for it.
func (t *keyTree) put(l *leaf, i int, found bool, key string, n *Node) (old *Node) {
	if found {
		old = l.nodes[i]
	} else {
		copy(l.keys[i+1:l.n+1], l.keys[i:l.n])
		copy(l.nodes[i+1:l.n+1], l.nodes[i:l.n])
		l.n++
		t.count++
	}
	l.keys[i], l.nodes[i] = key, n
	return old
}

// insert puts a kid behind kid i of b, which has room. The new one has the keys from bound on.
func (b *branch) insert(i int, bound string, kid unsafe.Pointer) {
	copy(b.bounds[i+1:b.n], b.bounds[i:b.n-1])
	copy(b.kids[i+2:b.n+1], b.kids[i+1:b.n])
	b.bounds[i], b.kids[i+1] = bound, kid
	b.n++
}

// split parts kid i of b, which is full and owned. b has room.
func (t *keyTree) split(b *branch, i int) {
	const half = branchKids / 2
	left := b.branch(i)
	right := &branch{gen: t.gen, n: branchKids - half, level: left.level}
	copy(right.bounds[:], left.bounds[half:])
	copy(right.kids[:], left.kids[half:])
	bound := left.bounds[half-1]
	clear(left.bounds[half-1:])
	clear(left.kids[half:])
	left.n = half
	b.insert(i, bound, unsafe.Pointer(right))
}

// splitLeaf parts leaf i of b, which is full and owned, for a key that belongs at a place in
// it. At its end nothing is moved: keys that come in order fill leaf after leaf.
func (t *keyTree) splitLeaf(b *branch, i, at int, key string) {
	left, right := b.leaf(i), &leaf{gen: t.gen}
	bound := key
	if at < leafKeys {
		const half = (leafKeys + 1) / 2
		bound = left.keys[half]
		right.n = copy(right.keys[:], left.keys[half:])
		copy(right.nodes[:], left.nodes[half:])
		clear(left.keys[half:])
		clear(left.nodes[half:])
		left.n = half
	}
	b.insert(i, bound, unsafe.Pointer(right))
}
