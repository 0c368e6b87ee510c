// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// Delete removes a key and returns its node, nil if there was none.
func (t *keyTree) Delete(key string) *Node {
	old := t.Get(key)
	if old == nil {
		return nil
	}
	t.last = nil
	t.remove(t.ownRoot(), key)
	for t.root.level > 1 && t.root.n == 1 {
		t.root = t.root.branch(0)
	}
	t.count--
	return old
}

// remove removes a key that is below b, which is owned.
func (t *keyTree) remove(b *branch, key string) {
	i := b.find(key)
	if b.level > 1 {
		kid := t.ownBranch(b, i)
		t.remove(kid, key)
		switch {
		case kid.empty():
			b.drop(i)
		case kid.n < fewKids:
			t.merge(b, i)
		}
		return
	}
	l := t.ownLeaf(b, i)
	at, _ := l.find(key)
	copy(l.keys[at:], l.keys[at+1:l.n])
	copy(l.nodes[at:], l.nodes[at+1:l.n])
	l.n--
	l.keys[l.n], l.nodes[l.n] = "", nil
	switch {
	case l.n == 0:
		b.drop(i)
	case l.n < fewKeys:
		t.mergeLeaf(b, i)
	}
}

// empty reports whether there is no key below b.
func (b *branch) empty() bool {
	if b.n > 1 {
		return false
	}
	if b.level == 1 {
		return b.leaf(0).n == 0
	}
	return b.branch(0).empty()
}

// drop removes kid i of b, unless it is the only one. Its keys become those of the kid beside.
func (b *branch) drop(i int) {
	if b.n == 1 {
		return
	}
	at := max(i-1, 0)
	copy(b.bounds[at:], b.bounds[at+1:b.n-1])
	copy(b.kids[i:], b.kids[i+1:b.n])
	b.n--
	b.bounds[b.n-1], b.kids[b.n] = "", nil
}

// mergeLeaf puts leaf i of b, which is owned, together with one beside it if there is room.
func (t *keyTree) mergeLeaf(b *branch, i int) {
	for _, i := range [2]int{i - 1, i} {
		if i < 0 || i+1 >= int(b.n) || b.leaf(i).n+b.leaf(i+1).n > enoughKeys {
			continue
		}
		left, right := t.ownLeaf(b, i), b.leaf(i+1)
		copy(left.keys[left.n:], right.keys[:right.n])
		copy(left.nodes[left.n:], right.nodes[:right.n])
		left.n += right.n
		b.drop(i + 1)
		return
	}
}

// merge is mergeLeaf for a branch.
func (t *keyTree) merge(b *branch, i int) {
	for _, i := range [2]int{i - 1, i} {
		if i < 0 || i+1 >= int(b.n) || b.branch(i).n+b.branch(i+1).n > enoughKids {
			continue
		}
		left, right := t.ownBranch(b, i), b.branch(i+1)
		left.bounds[left.n-1] = b.bounds[i]
		copy(left.bounds[left.n:], right.bounds[:right.n-1])
		copy(left.kids[left.n:], right.kids[:right.n])
		left.n += right.n
		b.drop(i + 1)
		return
	}
}
