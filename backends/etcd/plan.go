// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"path"
	"slices"
	"strings"

	"confd/backends"
)

// maxMirrors is how many mirrors there may be before "/" is mirrored instead.
const maxMirrors = 8

// covers reports whether a listing of root shows key: it lies within, and no component
// below root is hidden. Both are clean.
func covers(root, key string) bool {
	if !backends.Within(key, root) {
		return false
	}
	if root == "/" {
		return !strings.Contains(key, "/_")
	}
	return !strings.Contains(key[len(root):], "/_")
}

// coverer returns the path in the set that covers key; ok is false if none does.
func coverer[V any](set map[string]V, key string) (root string, ok bool) {
	for p := key; ; p = path.Dir(p) {
		if _, ok := set[p]; ok && covers(p, key) {
			return p, true
		}
		if p == "/" {
			return "", false
		}
	}
}

// plan returns the roots to mirror, so that each prefix is covered by one of them: the
// common parents of the prefixes, as the package comment says. The roots are sorted and
// do not cover each other.
func plan(asked, denied map[string]bool) []string {
	classes := map[string][]string{} // :: hidden part → prefixes within it
	for p := range asked {
		if coveredByOther(asked, p) {
			continue
		}
		h := hiddenPart(p)
		classes[h] = append(classes[h], p)
	}
	roots := planClasses(classes, func(p string) bool { return p != "/" && !denied[p] })
	if len(roots) > maxMirrors {
		roots = planClasses(classes, func(p string) bool { return !denied[p] })
	}
	return roots
}

// coveredByOther reports whether a path above p in the set covers p.
func coveredByOther(set map[string]bool, p string) bool {
	for q := p; q != "/"; {
		q = path.Dir(q)
		if set[q] && covers(q, p) {
			return true
		}
	}
	return false
}

func planClasses(classes map[string][]string, allowed func(string) bool) []string {
	var roots []string
	for _, prefixes := range classes {
		roots = append(roots, merge(prefixes, allowed)...)
	}
	slices.Sort(roots)
	return roots
}

// merge returns the common parent of the prefixes, or where that is not allowed, the
// same of the parts below it.
func merge(prefixes []string, allowed func(string) bool) []string {
	if len(prefixes) == 1 {
		return prefixes
	}
	parent := prefixes[0]
	for _, p := range prefixes[1:] {
		for !backends.Within(p, parent) {
			parent = path.Dir(parent)
		}
	}
	if allowed(parent) {
		return []string{parent}
	}
	parts := map[string][]string{} // :: component below parent → prefixes
	for _, p := range prefixes {
		first, _, _ := strings.Cut(strings.TrimPrefix(p[len(parent):], "/"), "/")
		parts[first] = append(parts[first], p)
	}
	var roots []string
	for _, part := range parts {
		roots = append(roots, merge(part, allowed)...)
	}
	return roots
}

// hiddenPart returns p up to its last component that begins with "_", "" if none does.
func hiddenPart(p string) string {
	i := strings.LastIndex(p, "/_")
	if i < 0 {
		return ""
	}
	if end := strings.IndexByte(p[i+1:], '/'); end >= 0 {
		return p[:i+1+end]
	}
	return p
}
