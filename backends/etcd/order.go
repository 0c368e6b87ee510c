// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"cmp"
	"slices"
	"strings"

	"confd/backends"
)

func byKey(a, b backends.Pair) int { return cmp.Compare(a.Key, b.Key) }

// order returns the values by key, each key once. Servers tell the keys of a directory one
// after the other, confd in order, etcd in any; so it is directories that are sorted first,
// and then their keys. The argument is used up.
func order(values []backends.Pair) []backends.Pair {
	if slices.IsSortedFunc(values, byKey) {
		return unique(values)
	}
	var runs [][]backends.Pair // each of one directory
	for begin := 0; begin < len(values); {
		end := begin + siblings(values[begin:])
		run := values[begin:end]
		slices.SortFunc(run, byKey)
		runs = append(runs, run)
		begin = end
	}
	slices.SortFunc(runs, func(a, b []backends.Pair) int { return byKey(a[0], b[0]) })
	sorted := slices.Concat(runs...)
	if !slices.IsSortedFunc(sorted, byKey) { // a directory has others within it
		slices.SortFunc(sorted, byKey)
	}
	return unique(sorted)
}

// siblings returns how many values at the front are of the same directory.
func siblings(values []backends.Pair) int {
	dir := values[0].Key[:strings.LastIndexByte(values[0].Key, '/')+1]
	for i, v := range values {
		if !strings.HasPrefix(v.Key, dir) || strings.IndexByte(v.Key[len(dir):], '/') >= 0 {
			return i
		}
	}
	return len(values)
}

func unique(values []backends.Pair) []backends.Pair {
	return slices.CompactFunc(values, func(a, b backends.Pair) bool { return a.Key == b.Key })
}
