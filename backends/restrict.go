// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"cmp"
	"iter"
	"path"
	"slices"
	"strings"
)

// Clean returns key as an absolute path: with a slash in front, and without empty,
// "." and ".." components and a slash at the end. The root is "/".
func Clean(key string) string {
	if strings.HasPrefix(key, "/") {
		return path.Clean(key) // which makes no new string of a clean one
	}
	return path.Clean("/" + key)
}

// Within reports whether key is prefix or lies below it by whole components. Both are
// clean.
func Within(key, prefix string) bool {
	if prefix == "/" {
		return true
	}
	return strings.HasPrefix(key, prefix) &&
		(len(key) == len(prefix) || key[len(prefix)] == '/')
}

// Minimal returns the prefixes cleaned, in byte order, without those that another
// makes superfluous, for Snapshot, Wait and Under of any backend. A prefix within
// another stays if there is a component between them that begins with "_": the store
// shows what is hidden so only to those who ask for it. The argument is not changed.
func Minimal(prefixes []string) []string {
	return minimal(prefixes, func(have map[string]bool, p string) bool {
		for p != "/" && !strings.HasPrefix(path.Base(p), "_") {
			p = path.Dir(p)
			if have[p] {
				return true
			}
		}
		return false
	})
}

// minimal returns the prefixes cleaned, in byte order, each once, without those that
// are covered by one of those that sort before.
func minimal(prefixes []string, covered func(have map[string]bool, p string) bool) []string {
	clean := make([]string, len(prefixes))
	for i, p := range prefixes {
		clean[i] = Clean(p)
	}
	slices.Sort(clean)
	clean = slices.Compact(clean)
	have := make(map[string]bool, len(clean))
	kept := clean[:0]
	for _, p := range clean {
		if !covered(have, p) {
			have[p] = true
			kept = append(kept, p)
		}
	}
	return kept
}

// hasParent reports whether a path above p is in the set.
func hasParent(set map[string]bool, p string) bool {
	for p != "/" {
		p = path.Dir(p)
		if set[p] {
			return true
		}
	}
	return false
}

// Restrict returns the keys that are one of the prefixes or lie below one by whole
// components: "/a" holds "/a" and "/a/b", not "/ab" nor "/a-b". Without a prefix it
// holds nothing. Restricting the result again narrows it. The cost is O(log n) per
// seek and nothing per key; the prefixes are sorted once, in the call.
func Restrict(keys Keys, prefixes []string) Keys {
	disjoint := minimal(prefixes, hasParent)
	if r, ok := keys.(*restricted); ok {
		disjoint = intersect(disjoint, r.prefixes)
		keys = r.all
	}
	if len(disjoint) == 1 && disjoint[0] == "/" {
		return keys
	}
	return &restricted{all: keys, prefixes: disjoint, spans: spans(disjoint)}
}

// intersect returns what both disjoint sets of prefixes cover, as such a set. The cost
// follows asked and the result, not have.
func intersect(asked, have []string) []string {
	var both []string
	for _, p := range asked {
		if covered(have, p) {
			both = append(both, p)
			continue
		}
		if p == "/" {
			return have
		}
		first, _ := slices.BinarySearch(have, p+"/")
		end, _ := slices.BinarySearch(have, p+"0")
		both = append(both, have[first:end]...)
	}
	slices.Sort(both)
	return both
}

// covered reports whether p is in the sorted set, or a path above it.
func covered(set []string, p string) bool {
	for {
		if _, ok := slices.BinarySearch(set, p); ok || p == "/" {
			return ok
		}
		p = path.Dir(p)
	}
}

// A span is the keys from lo up to, but without, hi.
type span struct{ lo, hi string }

// spans returns the ranges of disjoint prefixes, in byte order and disjoint too.
// A prefix needs two of them, since other keys sort in between:
//
//	/a      [/a, /a\x00)
//	/a-b    not under /a
//	/a/x    [/a/, /a0)      "0" is the byte after "/"
//	/ab     not under /a
func spans(prefixes []string) []span {
	s := make([]span, 0, 2*len(prefixes))
	for _, p := range prefixes {
		if p == "/" {
			return []span{{"", "\xff"}} // every key begins with "/"
		}
		s = append(s, span{p, p + "\x00"}, span{p + "/", p + "0"})
	}
	slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	return s
}

// restricted is the part of all that lies in the spans.
type restricted struct {
	all      Keys
	prefixes []string // none within another
	spans    []span   // theirs
}

// span returns the number of the first span that does not end before key, and
// len(r.spans) if all do.
func (r *restricted) span(key string) int {
	i, _ := slices.BinarySearchFunc(r.spans, key, func(s span, key string) int {
		if s.hi <= key {
			return -1
		}
		return 1
	})
	return i
}

func (r *restricted) Get(key string) (string, bool) {
	if i := r.span(key); i == len(r.spans) || key < r.spans[i].lo {
		return "", false
	}
	return r.all.Get(key)
}

// From walks over all from span to span. It seeks anew only where the key after a span
// lies before the next one, so neighbouring and empty spans cost no seek.
func (r *restricted) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := r.span(key); i < len(r.spans); {
			key = max(key, r.spans[i].lo)
			more := false
			for k, v := range r.all.From(key) {
				if k >= r.spans[i].hi {
					i = r.span(k)
					if i == len(r.spans) {
						return
					}
				}
				if k < r.spans[i].lo {
					more = true
					break
				}
				if !yield(k, v) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

func (r *restricted) Under(prefixes []string) Keys { return Restrict(r, prefixes) }
