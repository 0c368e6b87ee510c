// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"path"
	"testing"
)

func TestHidden(t *testing.T) {
	for key, want := range map[string]bool{
		"/": false, "/_": true, "/_a": true, "/a/_b": true, "/_a/b": false, "/a_": false, "/a/b_c": false,
	} {
		if got := Hidden(key); got != want {
			t.Errorf("Hidden(%q) = %v", key, got)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, tt := range []struct {
		key, dir string
		want     bool
	}{
		{"/a", "/", true}, {"/", "/", false}, {"/a/b", "/a", true}, {"/a/b/c", "/a", true},
		{"/a", "/a", false}, {"/ab", "/a", false}, {"/a-b/c", "/a", false}, {"/a", "/a/b", false},
	} {
		if got := under(tt.key, tt.dir); got != tt.want {
			t.Errorf("under(%q, %q) = %v", tt.key, tt.dir, got)
		}
	}
}

func FuzzCleanKey(f *testing.F) {
	for _, s := range []string{"", "/", "a", "/a", "/a/", "//a", "/a/./b", "/a/../b", "/...", "/.a", "/a..", "..", "/..", "/a//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := CleanKey(s), path.Clean("/"+s); got != want {
			t.Errorf("CleanKey(%q) = %q, want %q", s, got, want)
		}
	})
}
