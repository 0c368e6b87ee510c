// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"path"
	"slices"
	"strings"

	"github.com/kelseyhightower/memkv"
)

// ls returns the names of the children of dir, sorted, and the own name of a key that
// is dir itself.
func (s *store) ls(dir string) []string {
	s.note(dir)
	names := []string{}
	if !strings.HasPrefix(dir, "/") {
		return names
	}
	clean := path.Clean(dir)
	if !tidy(dir, clean) {
		return s.unclean(dir, clean, false)
	}
	if _, ok := s.lookup(dir); ok {
		names = append(names, path.Base(dir))
	}
	s.children(clean, func(_, name, _ string, _ bool) {
		names = append(names, name)
	})
	return unique(names)
}

// lsdir returns the names of the children of dir that have children themselves, sorted.
func (s *store) lsdir(dir string) []string {
	s.note(dir)
	names := []string{}
	if !strings.HasPrefix(dir, "/") {
		return names
	}
	clean := path.Clean(dir)
	if !tidy(dir, clean) {
		return s.unclean(dir, clean, true)
	}
	s.children(clean, func(_, name, _ string, leaf bool) {
		if !leaf {
			names = append(names, name)
		}
	})
	return unique(names)
}

// tidy reports whether a path is clean but for a slash at the end. All names of the
// root count as tidy.
func tidy(dir, clean string) bool {
	return clean == "/" || strings.TrimSuffix(dir, "/") == clean
}

// unclean is ls and lsdir for a path such as "/a//b". memkv finds the keys by the clean
// path; but ls cuts off the unclean one, and so names a piece of the whole key, and
// lsdir wants it, letter by letter, at the beginning of the key.
func (s *store) unclean(dir, clean string, dirs bool) []string {
	names := []string{}
	start := s.source(clean + "/")
	for key := range s.keys.From(start) {
		if !strings.HasPrefix(key, start) {
			break
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(s.local(key), dir), "/")
		below := true
		if dirs {
			rest = key[len(start):]
			below = strings.Contains(rest, "/") && strings.HasPrefix(s.local(key), dir)
		}
		if name, _, _ := strings.Cut(rest, "/"); below && !last(names, name) {
			names = append(names, name)
		}
	}
	return unique(names)
}

// last reports whether name is the last of names.
func last(names []string, name string) bool {
	return len(names) > 0 && names[len(names)-1] == name
}

// unique sorts names and drops doubles, in place.
func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// maxSteps is how many keys of a subtree are stepped over before the rest is skipped by
// a search; a search costs about as much.
const maxSteps = 16

// children calls visit for each child of a clean path, in the order of the keys: for a
// key that is a child with its value, for a directory, once, without; at is the path of
// the child. A name that is both comes twice, and not always in a row. Subtrees are
// skipped: the cost is O(children · log n), however many keys lie below.
func (s *store) children(dir string, visit func(at, name, value string, leaf bool)) {
	start := s.prefix + strings.TrimSuffix(dir, "/") + "/"
	for from := start; from != ""; {
		next, inside, steps := "", "/", 0 // no name is "/"
		for key, value := range s.keys.From(from) {
			if !strings.HasPrefix(key, start) {
				break
			}
			rest := key[len(start):]
			i := strings.IndexByte(rest, '/')
			if i < 0 {
				if rest != "" { // else it is the root itself
					visit(s.local(key), rest, value, true)
				}
				continue
			}
			if rest[:i] != inside {
				inside, steps = rest[:i], 0
				visit(s.local(key[:len(start)+i]), inside, "", false)
			} else if steps++; steps == maxSteps {
				next = start + inside + "0" // the byte after "/"
				break
			}
		}
		from = next
	}
}

// meta are the bytes with a meaning in the patterns of path.Match.
const meta = `*?[\`

// mostFound bounds the room for what may be found.
const mostFound = 1 << 10

// room returns an empty list for gets: one that was taken back, or one with as much room as the
// last one needed.
func (s *store) room() memkv.KVPairs {
	if spare := s.spare; spare != nil {
		s.spare = nil
		return spare
	}
	return make(memkv.KVPairs, 0, min(s.found, mostFound))
}

// takeBack takes a list that gets has returned, and that nobody looks at any more, for the next
// call.
func (s *store) takeBack(list memkv.KVPairs) {
	if list != nil && cap(list) <= 2*mostFound {
		s.spare = list[:0]
	}
}

// gets returns the keys that match a pattern of path.Match, sorted by key.
func (s *store) gets(pattern string) (memkv.KVPairs, error) {
	found := s.room()
	literal := pattern
	if i := strings.IndexAny(pattern, meta); i >= 0 {
		literal = pattern[:i]
		s.note(literal[:strings.LastIndexByte(literal, '/')+1])
	} else {
		s.note(pattern)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		if s.empty() {
			return found, nil
		}
		return nil, err
	}
	if strings.HasPrefix(pattern, "/") && !strings.ContainsAny(pattern, `[\`) {
		s.walk("/", strings.Split(pattern[1:], "/"), &found)
		s.found = len(found)
		return found, nil
	}
	if literal != "" && literal[0] != '/' {
		return found, nil // keys begin with a slash
	}
	return s.scan(pattern, literal)
}

// walk appends the keys below dir whose components match one each, in the order of the
// keys. The components hold no class and no escape, so that none can match a slash.
func (s *store) walk(dir string, components []string, found *memkv.KVPairs) {
	first, rest := components[0], components[1:]
	if !strings.ContainsAny(first, meta) {
		key := strings.TrimSuffix(dir, "/") + "/" + first
		if len(rest) == 0 {
			s.find(key, found)
		} else if first != "" { // no key has an empty component
			s.walk(key, rest, found)
		}
		return
	}
	if len(rest) == 0 && dir == "/" && strings.Trim(first, "*") == "" {
		s.find("/", found) // its name is empty
	}
	s.children(dir, func(at, name, value string, leaf bool) {
		if leaf != (len(rest) == 0) {
			return
		}
		if first != "*" {
			if ok, err := path.Match(first, name); err != nil || !ok {
				return
			}
		}
		if leaf {
			*found = append(*found, memkv.KVPair{Key: at, Value: value})
		} else {
			s.walk(at, rest, found)
		}
	})
}

// find appends the key if it exists.
func (s *store) find(key string, found *memkv.KVPairs) {
	if value, ok := s.lookup(key); ok {
		*found = append(*found, memkv.KVPair{Key: key, Value: value})
	}
}

// scan tries all keys that begin with what is literal in front of the pattern.
func (s *store) scan(pattern, literal string) (memkv.KVPairs, error) {
	found := memkv.KVPairs{}
	start := s.prefix + literal
	if literal == "/" || literal == "" {
		start = s.prefix
	}
	for key, value := range s.keys.From(start) {
		if !strings.HasPrefix(key, start) {
			break
		}
		name := s.local(key)
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, memkv.KVPair{Key: name, Value: value})
		}
	}
	return found, nil
}

// tree returns all keys below dir, at any depth, sorted, with names that begin below it,
// as in consul-template.
func (s *store) tree(dir string) memkv.KVPairs {
	found := memkv.KVPairs{}
	s.note(dir)
	start := s.source(strings.TrimSuffix(path.Clean("/"+dir), "/") + "/")
	for key, value := range s.keys.From(start) {
		if !strings.HasPrefix(key, start) {
			break
		}
		if name := key[len(start):]; name != "" {
			found = append(found, memkv.KVPair{Key: name, Value: value})
		}
	}
	return found
}
