// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import "testing"

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, key       string
		plain, recursively bool
	}{
		{"/foo", "/foo", true, false},
		{"/foo", "/foobar", false, false},
		{"/foo", "/foo/bar", false, false},
		{"/foo", "/", false, false},
		{"/foo/", "/foo", false, false},
		{"/foo*", "/foo", true, true},
		{"/foo*", "/foobar", true, true},
		{"/foo*", "/foo/bar", true, true},
		{"/foo*", "/fo", false, false},
		{"/foo/*", "/foo", false, false},
		{"/foo/*", "/foo/bar", true, true},
		{"/foo/*", "/foo/bar/baz", true, true},
		{"/foo/*", "/foobar", false, false},
		{"/*", "/", true, true},
		{"/*", "/any/thing", true, true},
		{"*", "/", true, true},
		{"/", "/", true, false},
		{"/", "/a", false, false},
		{"", "/", false, false},
		{"/a*b", "/a*b", true, false},
		{"/a*b", "/axb", false, false},
		{"/a**", "/a*", true, true},
		{"/a**", "/ab", false, false},
		{"/Foo", "/foo", false, false},
	}
	for _, test := range tests {
		for _, write := range []bool{false, true} {
			r := Role{Name: "r"}
			if write {
				r.Write = []string{"/other", test.pattern}
			} else {
				r.Read = []string{"/other", test.pattern}
			}
			if got := r.allows(Access{test.key, write, false}); got != test.plain {
				t.Errorf("%q allows %q: %v", test.pattern, test.key, got)
			}
			if got := r.allows(Access{test.key, write, true}); got != test.recursively {
				t.Errorf("%q allows %q recursively: %v", test.pattern, test.key, got)
			}
			if r.allows(Access{test.key, !write, false}) {
				t.Errorf("%q to read allows to write, or the other way round", test.pattern)
			}
		}
	}
}
