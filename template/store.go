// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/kelseyhightower/memkv"

	"confd/backends"
)

// sorted is the part of backends.Keys that lookups need.
type sorted interface {
	Get(key string) (string, bool)
	From(key string) iter.Seq2[string, string]
}

// A store answers the seven functions that read keys, as memkv.Store does, and notes
// what was asked for. Its keys are those of the template: without the prefix.
//
// Invariant: all keys of the source are the prefix, or lie below it.
type store struct {
	keys   sorted
	prefix string // "" if nothing is cut off, else clean: "/app"
	reads  reads
	aside  string        // the prefix, if some keys lay outside of it and keys is a copy
	found  int           // how many the last gets has found, as a guess for the next
	spare  memkv.KVPairs // a list that gets may use again
}

// newStore returns a store of the keys, with the prefix cut off.
func newStore(keys backends.Keys, prefix string) store {
	prefix = backends.Clean(prefix)
	if prefix == "/" {
		return store{keys: keys}
	}
	if outside(keys, prefix) {
		return store{keys: stripped(keys, prefix), aside: prefix}
	}
	return store{keys: keys, prefix: prefix}
}

// outside reports whether a key lies neither at nor below prefix. Such keys are rare:
// they come from a resource whose keys lead out of its prefix, by "..".
//
//	… /app  /app-x …  /app/…  /app0 …
//	^       ^         within  ^
func outside(keys sorted, prefix string) bool {
	if first, ok := next(keys, ""); ok && !backends.Within(first, prefix) {
		return true
	} else if ok && first == prefix {
		if second, ok := next(keys, prefix+"\x00"); ok && !backends.Within(second, prefix) {
			return true
		}
	}
	_, ok := next(keys, prefix+"0")
	return ok
}

// next returns the first key that is not below from.
func next(keys sorted, from string) (string, bool) {
	for key := range keys.From(from) {
		return key, true
	}
	return "", false
}

// stripped returns a copy of the keys as confd 0.16 names them: the prefix is cut off
// where it is there, and the others keep their names. If two keys get one name, the key
// with the prefix wins.
func stripped(keys sorted, prefix string) sorted {
	var all pairs
	for key, value := range keys.From("") {
		if backends.Within(key, prefix) {
			all = append(all, memkv.KVPair{Key: backends.Clean(key[len(prefix):]), Value: value})
		}
	}
	for key, value := range keys.From("") {
		if !backends.Within(key, prefix) {
			all = append(all, memkv.KVPair{Key: key, Value: value})
		}
	}
	slices.SortStableFunc(all, func(a, b memkv.KVPair) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(all, func(a, b memkv.KVPair) bool { return a.Key == b.Key })
}

// pairs are keys and values, sorted by key.
type pairs []memkv.KVPair

func (p pairs) find(key string) (int, bool) {
	return slices.BinarySearchFunc(p, key, func(kv memkv.KVPair, key string) int {
		return cmp.Compare(kv.Key, key)
	})
}

func (p pairs) Get(key string) (string, bool) {
	i, ok := p.find(key)
	if !ok {
		return "", false
	}
	return p[i].Value, true
}

func (p pairs) From(key string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		i, _ := p.find(key)
		for ; i < len(p) && yield(p[i].Key, p[i].Value); i++ {
		}
	}
}

// source returns the name that the source has for a key of the template that begins
// with a slash.
func (s *store) source(key string) string {
	if s.prefix == "" {
		return key
	}
	if key == "/" {
		return s.prefix
	}
	return s.prefix + key
}

// local is the inverse of source.
func (s *store) local(key string) string {
	if len(key) == len(s.prefix) {
		return "/"
	}
	return key[len(s.prefix):]
}

// note remembers that the result depends on the keys at and below a path of the
// template.
func (s *store) note(p string) {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	p = path.Clean(p)
	s.reads.add(s.source(p))
	if s.aside != "" { // the key may have come from either place
		s.reads.add(backends.Clean(s.aside + p))
	}
}

// empty reports whether there is no key at all.
func (s *store) empty() bool {
	_, ok := next(s.keys, "")
	return !ok
}

// lookup returns the value of a key, without a note. Keys are taken as they are: with
// an unclean or a relative one nothing is found.
func (s *store) lookup(key string) (string, bool) {
	if !strings.HasPrefix(key, "/") {
		return "", false
	}
	return s.keys.Get(s.source(key))
}

func (s *store) exists(key string) bool {
	s.note(key)
	_, ok := s.lookup(key)
	return ok
}

func (s *store) get(key string) (memkv.KVPair, error) {
	s.note(key)
	value, ok := s.lookup(key)
	if !ok {
		return memkv.KVPair{}, s.missing(key)
	}
	return memkv.KVPair{Key: key, Value: value}, nil
}

func (s *store) getv(key string, fallback ...string) (string, error) {
	s.note(key)
	if value, ok := s.lookup(key); ok {
		return value, nil
	}
	if len(fallback) > 0 {
		return fallback[0], nil
	}
	return "", s.missing(key)
}

func (s *store) getvs(pattern string) ([]string, error) {
	kvs, err := s.gets(pattern)
	if err != nil {
		return []string{}, err
	}
	values := make([]string, len(kvs))
	for i, kv := range kvs {
		values[i] = kv.Value
	}
	slices.Sort(values)
	return values, nil
}

// A missingError says that a key does not exist, and what may be the reason.
type missingError struct {
	*memkv.KeyError
	source string // what the key is called in the source
	hint   string
}

func (e *missingError) Error() string { return e.KeyError.Error() + e.hint }

// Unwrap lets errors.As find the *memkv.KeyError, and errors.Is memkv.ErrNotExist.
func (e *missingError) Unwrap() []error { return []error{e.KeyError, e.KeyError.Err} }

// missing returns the error for a key that is not there.
func (s *store) missing(key string) error {
	clean := backends.Clean(key)
	prefix := s.prefix + s.aside
	e := &missingError{
		KeyError: &memkv.KeyError{Key: key, Err: memkv.ErrNotExist},
		source:   backends.Clean(prefix + clean),
	}
	if _, ok := s.lookup(clean); ok {
		e.hint = fmt.Sprintf("; did you mean %q?", clean)
	} else if s.isDir(clean) {
		e.hint = "; it is a directory, see gets and ls"
	} else if prefix != "" {
		e.hint = fmt.Sprintf("; with the prefix it is %q", e.source)
	}
	return e
}

// isDir reports whether keys lie below a clean path.
func (s *store) isDir(p string) bool {
	start := s.source(strings.TrimSuffix(p, "/") + "/")
	key, ok := next(s.keys, start+"\x00")
	return ok && strings.HasPrefix(key, start)
}
