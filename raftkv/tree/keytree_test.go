// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// A mapped is a keyTree beside a map with the same entries.
type mapped struct {
	t *keyTree
	m map[string]*Node
}

// TestKeyTree: whatever is done to a tree and to copies of it, at any size, each has what a
// map has.
func TestKeyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		all := []*mapped{{newKeyTree(), map[string]*Node{}}}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			x := all[random.IntN(len(all))]
			if len(all) < 6 && random.IntN(2) == 0 {
				all = append(all, &mapped{x.t.Copy(), maps.Clone(x.m)})
			}
			n := rapid.SampledFrom([]int{1, 10, 100, 1000, 3000}).Draw(t, "n")
			start := random.IntN(5000)
			switch rapid.SampledFrom([]string{"ascending", "descending", "shuffled", "delete", "delete range", "near"}).Draw(t, "step") {
			case "ascending":
				for i := range n {
					x.set(t, start+i)
				}
			case "descending":
				for i := range n {
					x.set(t, start-i)
				}
			case "shuffled":
				for range n {
					x.set(t, random.IntN(5000))
				}
			case "delete":
				for range n {
					x.remove(t, random.IntN(5000))
				}
			case "delete range":
				for i := range n {
					x.remove(t, start+i)
				}
			case "near":
				x.near(t, random, start, n)
			}
			x.check(t, random)
		}
		for _, x := range all {
			x.check(t, random)
		}
	})
}

func numbered(i int) string { return fmt.Sprintf("/%d/%d", i/100, i%100) }

func (x *mapped) set(t *rapid.T, i int) {
	key, n := numbered(i), &Node{}
	if old := x.t.Set(key, n); old != x.m[key] {
		t.Fatalf("setting %s replaced %p, want %p", key, old, x.m[key])
	}
	x.m[key] = n
}

func (x *mapped) remove(t *rapid.T, i int) {
	key := numbered(i)
	if old := x.t.Delete(key); old != x.m[key] {
		t.Fatalf("removing %s removed %p, want %p", key, old, x.m[key])
	}
	delete(x.m, key)
}

// near sets and removes keys near those before, which are more and less by turns.
func (x *mapped) near(t *rapid.T, random *rand.Rand, start, n int) {
	for i := range n {
		if at := start + i/20 + random.IntN(100); random.IntN(10) < 3+i/500%2*4 {
			x.remove(t, at)
		} else {
			x.set(t, at)
		}
	}
}

// check compares all that can be read, and looks whether the tree is well-formed.
func (x *mapped) check(t *rapid.T, random *rand.Rand) {
	keys := slices.Sorted(maps.Keys(x.m))
	if x.t.count != len(keys) {
		t.Fatalf("%d keys, want %d", x.t.count, len(keys))
	}
	c := keymap{m: x.t}.cursor()
	for _, from := range []string{"", numbered(random.IntN(5000)), "/2", "/~"} {
		first, _ := slices.BinarySearch(keys, from)
		want := keys[first:]
		x.t.Ascend(from, func(key string, n *Node) bool {
			if len(want) == 0 || key != want[0] || n != x.m[key] {
				t.Fatalf("from %q: came to %q, want %.1q", from, key, want)
			}
			want = want[1:]
			return true
		})
		if len(want) > 0 {
			t.Fatalf("from %q: ended before %q", from, want[0])
		}
		i := first
		for c.seek(from); c.ok; c.next() {
			if i == len(keys) || c.key() != keys[i] || c.node() != x.m[keys[i]] {
				t.Fatalf("from %q: the cursor came to %q", from, c.key())
			}
			i++
		}
		if i != len(keys) {
			t.Fatalf("from %q: the cursor ended before %q", from, keys[i])
		}
	}
	for range 50 {
		key := numbered(random.IntN(5000))
		if got := x.t.Get(key); got != x.m[key] {
			t.Fatalf("%s is %p, want %p", key, got, x.m[key])
		}
	}
	x.t.root.check(t, "", "")
}

// check fails unless the keys below b are from one on, and before another, and nodes have as
// many entries as they say, and nothing else.
func (b *branch) check(t *rapid.T, from, to string) {
	if b.n < 1 || b.n > branchKids {
		t.Fatalf("a branch has %d kids", b.n)
	}
	for i := range branchKids {
		if (b.kids[i] != nil) != (i < int(b.n)) {
			t.Fatalf("of a branch with %d kids, kid %d is wrong", b.n, i)
		}
		if i >= int(b.n) {
			continue
		}
		low, high := from, to
		if i > 0 {
			low = b.bounds[i-1]
		}
		if i < int(b.n)-1 {
			high = b.bounds[i]
		}
		if b.level > 1 {
			if b.branch(i).level != b.level-1 {
				t.Fatalf("level %d below level %d", b.branch(i).level, b.level)
			}
			b.branch(i).check(t, low, high)
			continue
		}
		l := b.leaf(i)
		if l.n == 0 && (b.n > 1 || from != "" || to != "") {
			t.Fatalf("an empty leaf from %q to %q", low, high)
		}
		for j := range leafKeys {
			if j >= l.n && (l.keys[j] != "" || l.nodes[j] != nil) || j < l.n && (l.keys[j] < low || high != "" && l.keys[j] >= high) {
				t.Fatalf("key %d of %d, %q, is outside of %q to %q", j, l.n, l.keys[j], low, high)
			}
		}
	}
	for i := int(b.n) - 1; i < len(b.bounds); i++ {
		if b.bounds[i] != "" {
			t.Fatalf("bound %d of %d kids is %q", i, b.n, b.bounds[i])
		}
	}
}

// TestKeyTreeSize: nodes have a size that no memory is lost to.
func TestKeyTreeSize(t *testing.T) {
	if l, b := unsafe.Sizeof(leaf{}), unsafe.Sizeof(branch{}); l > 768 || b > 768 {
		t.Errorf("a leaf has %d bytes and a branch %d, want at most 768", l, b)
	}
}

// TestKeyTreeFill: leaves are full after keys in order, and not nearly empty after nearly all
// were removed.
func TestKeyTreeFill(t *testing.T) {
	tr := newKeyTree()
	const keys = 20_000
	for i := range keys {
		tr.Set(fmt.Sprintf("/%05d", i), &Node{})
	}
	if n := leaves(tr.root); n > keys/leafKeys+1 {
		t.Errorf("%d leaves for %d keys in order", n, keys)
	}
	for i := range keys {
		if i%100 != 0 {
			tr.Delete(fmt.Sprintf("/%05d", i))
		}
	}
	if n := leaves(tr.root); n > tr.count/fewKeys*2 {
		t.Errorf("%d leaves for %d keys that are left", n, tr.count)
	}
	for i := range keys {
		tr.Delete(fmt.Sprintf("/%05d", i))
	}
	if tr.count != 0 || leaves(tr.root) != 1 || tr.root.level != 1 {
		t.Errorf("%d keys, %d leaves, %d levels are left", tr.count, leaves(tr.root), tr.root.level)
	}
}

func leaves(b *branch) (n int) {
	if b.level == 1 {
		return int(b.n)
	}
	for i := range int(b.n) {
		n += leaves(b.branch(i))
	}
	return n
}

// TestKeyTreeMerge: branches are put together, and a copy that has both of them stays as it is.
func TestKeyTreeMerge(t *testing.T) {
	tr := newKeyTree()
	const full = 40
	for i := range full * leafKeys {
		tr.Set(fmt.Sprintf("/%05d", i), &Node{})
	}
	old, branches := tr.Copy(), tr.root.n
	for i := full*leafKeys - 1; tr.root.n == branches; i-- {
		tr.Delete(fmt.Sprintf("/%05d", i))
	}
	count := 0
	old.Ascend("", func(string, *Node) bool { count++; return true })
	if n := leaves(old.root); count != full*leafKeys || n != full {
		t.Errorf("a copy has %d keys in %d leaves, want %d in %d", count, n, full*leafKeys, full)
	}
	if n := leaves(tr.root); tr.root.level != 1 || n <= branchKids/2 {
		t.Errorf("%d leaves are left on %d levels", n, tr.root.level)
	}
}
