// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"iter"

	"confd/backends"
)

// visible is a set of keys without those that are hidden below the prefixes. It is
// needed only if somebody asks for a hidden prefix, and then the copy holds keys that
// others must not see.
type visible struct {
	keys    backends.Keys
	matcher matcher
}

func newVisible(keys backends.Keys, prefixes []string) *visible {
	return &visible{keys: backends.Restrict(keys, prefixes), matcher: newMatcher(prefixes)}
}

// Get returns the value of a key, and whether it exists.
func (v *visible) Get(key string) (string, bool) {
	if !v.matcher.match(key) {
		return "", false
	}
	return v.keys.Get(key)
}

// From iterates over the keys that are not below key.
func (v *visible) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for k, value := range v.keys.From(key) {
			if v.matcher.match(k) && !yield(k, value) {
				return
			}
		}
	}
}

// Under returns the keys under the prefixes that are visible in both sets.
func (v *visible) Under(prefixes []string) backends.Keys {
	return newVisible(v, cleanAll(prefixes))
}

// cleanAll returns the prefixes as clean paths, in a slice of its own.
func cleanAll(prefixes []string) []string {
	clean := make([]string, len(prefixes))
	for i, p := range prefixes {
		clean[i] = backends.Clean(p)
	}
	return clean
}
