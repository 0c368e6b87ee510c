// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"confd/backends"
)

func TestReads(t *testing.T) {
	for _, test := range []struct {
		prefix string
		ask    func(s *store)
		want   []string
	}{
		{"", func(s *store) {}, []string{}},
		{"", func(s *store) { s.getv("/a/b"); s.exists("/c"); s.get("/d/") }, []string{"/a/b", "/c", "/d"}},
		{"/p", func(s *store) { s.getv("/a", "x"); s.getv("b") }, []string{"/p/a", "/p/b"}},
		{"", func(s *store) { s.gets("/a/b/*") }, []string{"/a/b"}},
		{"", func(s *store) { s.gets("/a/b*") }, []string{"/a"}},
		{"", func(s *store) { s.getvs("/a/*/c") }, []string{"/a"}},
		{"", func(s *store) { s.gets("/a/b") }, []string{"/a/b"}},
		{"", func(s *store) { s.gets("*") }, []string{"/"}},
		{"/p", func(s *store) { s.gets("/*") }, []string{"/p"}},
		{"/p", func(s *store) { s.gets(`/a\b/c`) }, []string{"/p"}},
		{"", func(s *store) { s.gets("/a/[") }, []string{"/a"}},
		{"", func(s *store) { s.ls("/a/b/"); s.lsdir("/c//d") }, []string{"/a/b", "/c/d"}},
		{"/p", func(s *store) { s.lsdir("/") }, []string{"/p"}},
		{"", func(s *store) { s.ls("/a"); s.getv("/a/b"); s.getv("/ab") }, []string{"/a", "/ab"}},
		{"", func(s *store) { s.getv("/a/b"); s.getv("/a/c"); s.ls("/a") }, []string{"/a"}},
	} {
		s := newStore(keysOf(nil), test.prefix)
		test.ask(&s)
		if got := s.reads.list(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("reads = %#v, want %#v", got, test.want)
		}
	}
}

func TestManyReads(t *testing.T) {
	for _, test := range []struct {
		n    int
		want int // -1: unknown
	}{{maxReads, maxReads}, {maxReads + 1, -1}, {3 * crowdReads, -1}} {
		var r reads
		for i := range test.n {
			r.add(fmt.Sprintf("/a/%d", i))
		}
		got := r.list()
		if len(got) != max(test.want, 0) || (got == nil) != (test.want < 0) {
			t.Errorf("%d reads give %d prefixes, want %d", test.n, len(got), test.want)
		}
	}
	var r reads // fewer again, once their parent is read
	for i := range crowdReads {
		r.add(fmt.Sprintf("/a/%d", i))
	}
	r.add("/a")
	for i := range 3 * crowdReads {
		r.add(fmt.Sprintf("/a/%d", i))
	}
	if got := r.list(); len(got) != 1 {
		t.Errorf("%d prefixes remembered, want 1", len(got))
	}
}

// TestReadsCover holds the promise of Output.Reads: what the functions return stays the
// same whatever happens to keys that are not under the reads.
func TestReadsCover(t *testing.T) {
	component := rapid.SampledFrom([]string{"a", "b", "c", "a-b"})
	key := rapid.Custom(func(t *rapid.T) string {
		k := ""
		for _, c := range rapid.SliceOfN(component, 1, 4).Draw(t, "components") {
			k += "/" + c
		}
		return k
	})
	set := rapid.SliceOfN(key, 0, 20)
	arg := rapid.OneOf(key, rapid.Custom(func(t *rapid.T) string {
		return key.Draw(t, "key") + rapid.SampledFrom([]string{"/*", "*", "/?/b", "/", "/[ab]", "/../*", "/.."}).Draw(t, "end")
	}))
	rapid.Check(t, func(t *rapid.T) {
		before, after := make(map[string]string), make(map[string]string)
		for _, k := range set.Draw(t, "before") {
			before["/p"+k] = "1"
		}
		prefix := rapid.SampledFrom([]string{"/", "/p", "/p/a"}).Draw(t, "prefix")
		q := arg.Draw(t, "arg")
		ask := func(values map[string]string) ([]string, []string) {
			s := newStore(keysOf(values).Under([]string{prefix}), prefix)
			return []string{outcome(s.exists(q), nil), fmt.Sprint(s.getv(q, "x")), outcome(s.gets(q)),
				outcome(s.getvs(q)), outcome(s.ls(q), nil), outcome(s.lsdir(q), nil)}, s.reads.list()
		}
		want, reads := ask(before)
		within := keysOf(before).Under(reads)
		for k, v := range within.From("") {
			after[k] = v
		}
		for _, k := range set.Draw(t, "after") {
			if len(backends.Minimal(append(reads, "/p"+k))) > len(reads) {
				after["/p"+k] = "2"
			}
		}
		if got, _ := ask(after); !reflect.DeepEqual(got, want) {
			t.Errorf("asked for %q with reads %q\n got %q\nwant %q", q, reads, got, want)
		}
	})
}
