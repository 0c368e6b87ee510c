// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

// Ascend calls f with each entry from the first key not before from until it says no.
func (t *keyTree) Ascend(from string, f func(key string, n *Node) bool) { t.root.ascend(from, f) }

// ascend reports whether f has never said no.
func (b *branch) ascend(from string, f func(key string, n *Node) bool) bool {
	for i := b.find(from); i < int(b.n); i++ {
		if b.level > 1 {
			if !b.branch(i).ascend(from, f) {
				return false
			}
			from = "" // all that follows is behind it
			continue
		}
		l := b.leaf(i)
		at, _ := l.find(from)
		for ; at < l.n; at++ {
			if !f(l.keys[at], l.nodes[at]) {
				return false
			}
		}
		from = ""
	}
	return true
}

// maxLevels is more than there can be: a keyTree of so many has more keys than a memory holds.
const maxLevels = 16

// A cursor walks over the entries of a frozen keymap.
type cursor struct {
	root *branch
	way  [maxLevels]step // by level; way[0] is not used
	leaf *leaf
	at   int
	ok   bool // it stands on an entry
}

// A step is a branch and the kid that the way goes on with.
type step struct {
	b   *branch
	kid int
}

// seek moves to the first key not before key.
func (c *cursor) seek(key string) {
	c.down(c.root, key)
	c.at, _ = c.leaf.find(key)
	c.settle()
}

// down goes to the leaf below b that has key, or, if that is "", to the first.
func (c *cursor) down(b *branch, key string) {
	for {
		i := b.find(key)
		c.way[b.level] = step{b, i}
		if b.level == 1 {
			c.leaf = b.leaf(i)
			return
		}
		b = b.branch(i)
	}
}

// settle goes on to the next leaf that has a key if this one has none any more.
func (c *cursor) settle() {
	for c.at >= c.leaf.n {
		level := int32(1)
		for level <= c.root.level && c.way[level].kid+1 == int(c.way[level].b.n) {
			level++
		}
		if level > c.root.level {
			c.ok = false
			return
		}
		s := &c.way[level]
		s.kid++
		c.at = 0
		if level == 1 {
			c.leaf = s.b.leaf(s.kid)
		} else {
			c.down(s.b.branch(s.kid), "")
		}
	}
	c.ok = true
}

// next moves to the next key. It must stand on one.
func (c *cursor) next() {
	c.at++
	c.settle()
}

func (c *cursor) key() string { return c.leaf.keys[c.at] }
func (c *cursor) node() *Node { return c.leaf.nodes[c.at] }
