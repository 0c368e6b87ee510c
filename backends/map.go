// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"cmp"
	"iter"
	"slices"

	"github.com/tidwall/btree"
)

// A Map is a sorted map of keys and values that hands out immutable snapshots of
// itself. It is what a source that keeps a copy of its values keeps them in. One
// goroutine at a time may use it; the Keys it returns may be read by any number
// while the Map is written to.
//
// Keys are stored as they are given: a caller with keys from outside cleans them first.
type Map struct {
	sorted []Pair                     // all, as SetAll was given them; never written to
	tree   *btree.Map[string, string] // all; nil until something else is written
	frozen *mapKeys                   // the last snapshot, nil if the map was written to since
}

// NewMap returns an empty map.
func NewMap() *Map { return &Map{} }

// Len returns the number of keys.
func (m *Map) Len() int { return mapKeys{m.sorted, m.tree}.len() }

// Get returns the value of key, and whether it exists. O(log n).
func (m *Map) Get(key string) (string, bool) { return mapKeys{m.sorted, m.tree}.Get(key) }

// Set gives key a value. It reports whether that changed the map. O(log n), and once O(n) after
// an empty map was given its keys by SetAll.
func (m *Map) Set(key, value string) bool {
	if old, ok := m.Get(key); ok && old == value {
		return false // and the last snapshot is as good as the next one
	}
	m.write().Set(key, value)
	return true
}

// write returns the tree to write to.
func (m *Map) write() *btree.Map[string, string] {
	if m.frozen = nil; m.tree == nil {
		m.tree = btree.NewMap[string, string](0)
		for _, p := range m.sorted {
			m.tree.Load(p.Key, p.Value)
		}
		m.sorted = nil
	}
	return m.tree
}

// A Pair is a key and its value.
type Pair struct{ Key, Value string }

// SetAll gives keys, which are sorted and each there once, their values. It returns those
// that it has changed. An empty map keeps the pairs, which must not be changed any more, as
// they are; another one takes them in O(n log n).
func (m *Map) SetAll(pairs []Pair) (changed []string) {
	if m.Len() == 0 {
		*m = Map{sorted: pairs}
		changed = make([]string, len(pairs))
		for i, p := range pairs {
			changed[i] = p.Key
		}
		return changed
	}
	for _, p := range pairs {
		if m.Set(p.Key, p.Value) { // not so for most of them, whose nodes need no copy
			changed = append(changed, p.Key)
		}
	}
	return changed
}

// Delete removes key, and reports whether it was there. O(log n), or as Set.
func (m *Map) Delete(key string) bool {
	if _, ok := m.Get(key); !ok {
		return false
	}
	m.write().Delete(key)
	return true
}

// DeleteUnder removes the key prefix and every key below it, component by component:
// "/a" removes "/a" and "/a/b", not "/ab". It returns how many there were.
func (m *Map) DeleteUnder(prefix string) int {
	prefix = Clean(prefix)
	if prefix == "/" {
		n := m.Len()
		*m = Map{}
		return n
	}
	var keys []string
	for key := range m.Keys().Under([]string{prefix}).From("") {
		keys = append(keys, key)
	}
	for _, key := range keys {
		m.Delete(key)
	}
	return len(keys)
}

// Keys returns the keys as they are now. O(1): nothing is copied until the next write,
// and then only the way to what is written. Without a write in between the result is
// the same value again.
func (m *Map) Keys() Keys {
	if m.frozen == nil {
		m.frozen = &mapKeys{sorted: m.sorted}
		if m.tree != nil {
			m.frozen.tree = m.tree.Copy()
		}
	}
	return m.frozen
}

// mapKeys is a snapshot of a Map. Neither of its two is written to.
type mapKeys struct {
	sorted []Pair
	tree   *btree.Map[string, string] // nil: sorted has all
}

func (k mapKeys) len() int {
	if k.tree != nil {
		return k.tree.Len()
	}
	return len(k.sorted)
}

// find returns where a key is in sorted, or belongs.
func (k mapKeys) find(key string) (i int, found bool) {
	return slices.BinarySearchFunc(k.sorted, key, func(p Pair, key string) int { return cmp.Compare(p.Key, key) })
}

func (k mapKeys) Get(key string) (string, bool) {
	if k.tree != nil {
		return k.tree.Get(key)
	}
	if i, found := k.find(key); found {
		return k.sorted[i].Value, true
	}
	return "", false
}

func (k *mapKeys) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if k.tree != nil {
			k.tree.Ascend(key, yield)
			return
		}
		i, _ := k.find(key)
		for ; i < len(k.sorted) && yield(k.sorted[i].Key, k.sorted[i].Value); i++ {
		}
	}
}

func (k *mapKeys) Under(prefixes []string) Keys { return Restrict(k, prefixes) }

// Equal reports whether two sets hold the same keys with the same values. O(n), but
// O(1) for one snapshot of a Map compared with itself.
func Equal(a, b Keys) bool {
	if a, ok := a.(*mapKeys); ok {
		if b, ok := b.(*mapKeys); ok {
			if a == b {
				return true
			}
			if a.len() != b.len() {
				return false
			}
		}
	}
	next, stop := iter.Pull2(b.From(""))
	defer stop()
	for key, value := range a.From("") {
		otherKey, otherValue, ok := next()
		if !ok || otherKey != key || otherValue != value {
			return false
		}
	}
	_, _, more := next()
	return !more
}
