// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"iter"

	"github.com/tidwall/btree"
)

// A Map is a sorted map of keys and values that hands out immutable snapshots of
// itself. It is what a source that keeps a copy of its values keeps them in. One
// goroutine at a time may use it; the Keys it returns may be read by any number
// while the Map is written to.
//
// Keys are stored as they are given: a caller with keys from outside cleans them first.
type Map struct {
	tree   *btree.Map[string, string]
	frozen *mapKeys // the last snapshot, nil if the map was written to since
}

// NewMap returns an empty map.
func NewMap() *Map {
	return &Map{tree: btree.NewMap[string, string](0)}
}

// Len returns the number of keys.
func (m *Map) Len() int { return m.tree.Len() }

// Get returns the value of key, and whether it exists. O(log n).
func (m *Map) Get(key string) (string, bool) { return m.tree.Get(key) }

// Set gives key a value. It reports whether that changed the map. O(log n).
func (m *Map) Set(key, value string) bool {
	if old, ok := m.tree.Set(key, value); ok && old == value {
		return false // and the last snapshot is as good as the next one
	}
	m.frozen = nil
	return true
}

// Append is Set for a key that is behind all others. O(1).
func (m *Map) Append(key, value string) {
	m.tree.Load(key, value)
	m.frozen = nil
}

// A Pair is a key and its value.
type Pair struct{ Key, Value string }

// SetAll gives keys, which are sorted and each there once, their values. It returns those
// that it has changed. An empty map takes them in O(n), another one in O(n log n).
func (m *Map) SetAll(pairs []Pair) (changed []string) {
	if m.tree.Len() > 0 {
		for _, p := range pairs {
			if old, ok := m.tree.Get(p.Key); ok && old == p.Value {
				continue // most of them, whose nodes need no copy
			}
			if m.Set(p.Key, p.Value) {
				changed = append(changed, p.Key)
			}
		}
		return changed
	}
	changed = make([]string, len(pairs))
	for i, p := range pairs {
		m.Append(p.Key, p.Value)
		changed[i] = p.Key
	}
	return changed
}

// Delete removes key, and reports whether it was there. O(log n).
func (m *Map) Delete(key string) bool {
	if _, ok := m.tree.Get(key); !ok {
		return false
	}
	m.frozen = nil
	m.tree.Delete(key)
	return true
}

// DeleteUnder removes the key prefix and every key below it, component by component:
// "/a" removes "/a" and "/a/b", not "/ab". It returns how many there were.
func (m *Map) DeleteUnder(prefix string) int {
	prefix = Clean(prefix)
	if prefix == "/" {
		n := m.tree.Len()
		*m = *NewMap()
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
		m.frozen = &mapKeys{tree: m.tree.Copy()}
	}
	return m.frozen
}

// mapKeys is a snapshot of a Map. Its tree is never written to.
type mapKeys struct {
	tree *btree.Map[string, string]
}

func (k *mapKeys) Get(key string) (string, bool) { return k.tree.Get(key) }

func (k *mapKeys) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) { k.tree.Ascend(key, yield) }
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
			if a.tree.Len() != b.tree.Len() {
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
