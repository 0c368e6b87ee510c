// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kelseyhightower/memkv"
	"pgregory.net/rapid"

	"confd/backends"
)

// keysOf returns the keys of a map as a backend does.
func keysOf(values map[string]string) backends.Keys {
	m := backends.NewMap()
	for key, value := range values {
		m.Set(key, value)
	}
	return m.Keys()
}

// outcome is what a function has returned, in a form that can be compared.
func outcome(value any, err error) string {
	s := fmt.Sprintf("%T %#v", value, value)
	if key := (*memkv.KeyError)(nil); errors.As(err, &key) {
		return fmt.Sprintf("%s, %T %s", s, key, key)
	}
	return fmt.Sprintf("%s, %v", s, err)
}

// compare calls all seven functions of both stores with the argument.
func compare(t interface{ Errorf(string, ...any) }, s *store, m *memkv.Store, arg string) {
	check := func(name string, got, want string) {
		if got != want {
			t.Errorf("%s %q\n got %s\nwant %s", name, arg, got, want)
		}
	}
	check("exists", outcome(s.exists(arg), nil), outcome(m.Exists(arg), nil))
	check("get", outcome(s.get(arg)), outcome(m.Get(arg)))
	check("getv", outcome(s.getv(arg)), outcome(m.GetValue(arg)))
	check("getv default", outcome(s.getv(arg, "x", "y")), outcome(m.GetValue(arg, "x", "y")))
	check("gets", outcome(s.gets(arg)), outcome(m.GetAll(arg)))
	check("getvs", outcome(s.getvs(arg)), outcome(m.GetAllValues(arg)))
	if path.Clean(arg) == "/" {
		return // the one listed difference; see TestRoot
	}
	check("ls", outcome(s.ls(arg), nil), outcome(m.List(arg), nil))
	check("lsdir", outcome(s.lsdir(arg), nil), outcome(m.ListDir(arg), nil))
}

// stores returns the keys as both kinds of store, named as confd 0.16 names them under
// the prefix.
func stores(values map[string]string, prefix string) (*store, *memkv.Store) {
	m := memkv.New()
	for key, value := range values {
		m.Set(path.Join("/", strings.TrimPrefix(key, prefix)), value)
	}
	s := newStore(keysOf(values), prefix)
	return &s, &m
}

// FuzzMemkv compares the store with memkv: keys are the clean paths of the lines of the
// first argument below the prefix, and arg is what the functions are asked for.
func FuzzMemkv(f *testing.F) {
	tree := "a\na/b\na/b/c\na-b\na-b/c\na/.x/y\na0\n.\nb[1]/c\nb*\nb/?\nü/x\n..a/b\nc/d/e/f/g"
	for _, prefix := range []string{"/", "/a", "/app/x"} {
		for _, arg := range []string{"/*", "/a/*", "/*/b", "/a", "/a/", "/", "/a/.", "/a//b", "/*/*",
			`/b\[1\]/*`, "/b[1]/*", "/[", "[/]a", "*/a", "/a?b/*", "", "a", "/c/*/e/*/g", "/a/b/..", "/.", "/**",
			"/a[/]b", `/a\/b`, "/a[^x]b", "/a[!-~]b/c"} {
			f.Add(tree, prefix, arg)
		}
	}
	f.Fuzz(func(t *testing.T, tree, prefix, arg string) {
		prefix = backends.Clean(prefix)
		values := make(map[string]string)
		for i, line := range strings.Split(tree, "\n") {
			if i < 100 {
				values[backends.Clean(prefix+"/"+backends.Clean(line))] = strings.Repeat("v", i*7%5)
			}
		}
		s, m := stores(values, prefix)
		compare(t, s, m, arg)
	})
}

// TestMemkv compares the store with memkv over keys and arguments of the same few
// components, so that they meet often.
func TestMemkv(t *testing.T) {
	component := rapid.SampledFrom([]string{"a", "b", "a-b", "a0", "ab", ".x", "..y", "*", "[", "[a]", "?", `\`, "\x00", "ü", "\xff", " "})
	odd := rapid.SampledFrom([]string{"a", "b", "*", "?", "a*", "*b", "[ab]", "[^a]", "[/]", "[a", `\a`, `\`, "", ".", "..", ".x", "?b", "**", "a-b", "a[/]b", "a[^x]b", `a\/b`, "a[!-~]*"})
	join := func(g *rapid.Generator[string], most int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(g, 0, most).Draw(t, "components"), "/")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"/", "/a", "/p/a"}).Draw(t, "prefix")
		values := make(map[string]string)
		for _, key := range rapid.SliceOfN(join(component, 5), 0, 40).Draw(t, "keys") {
			values[backends.Clean(prefix+"/"+backends.Clean(key))] = rapid.StringN(0, 2, 4).Draw(t, "value")
		}
		s, m := stores(values, prefix)
		for range 5 {
			lead := rapid.SampledFrom([]string{"/", "", "//"}).Draw(t, "lead")
			compare(t, s, m, lead+join(odd, 5).Draw(t, "arg"))
		}
	})
}

// TestDeep compares with memkv where subtrees are large enough to be skipped.
func TestDeep(t *testing.T) {
	values := make(map[string]string)
	for i := range 20 {
		for j := range 3 * maxSteps {
			values[fmt.Sprintf("/s/d%d/k%d", i, j)] = fmt.Sprint(i * j % 7)
			values[fmt.Sprintf("/s/d%d/e/k%d", i, j)] = ""
		}
		values[fmt.Sprintf("/s/d%d", i)] = "leaf"
		values[fmt.Sprintf("/s/d%d-x/k1", i)] = "near"
	}
	for _, prefix := range []string{"/", "/s", "/s/d1"} {
		within := make(map[string]string)
		for key, value := range values {
			if backends.Within(key, prefix) {
				within[key] = value
			}
		}
		s, m := stores(within, prefix)
		for _, arg := range []string{"/s", "/s/", "/s/d1", "/s/*", "/s/*/*", "/s/*/k1", "/s/*/e/k*", "/d1", "/d1-x", "/*/e/*", "/*", "/e", "/e/*", "/s/d1*/k1"} {
			compare(t, s, m, arg)
		}
	}
}

// TestRoot holds what differs from memkv: the root can be listed.
func TestRoot(t *testing.T) {
	values := map[string]string{"/app/a": "", "/app/b/c": "", "/app/b/d/e": "", "/app/f/g": ""}
	for _, prefix := range []string{"/app", "app/", "/app/"} {
		s := newStore(keysOf(values), prefix)
		for _, root := range []string{"/", "//", "/.", "/a/.."} {
			if got, want := s.ls(root), []string{"a", "b", "f"}; !slices.Equal(got, want) {
				t.Errorf("prefix %q: ls %q = %q, want %q", prefix, root, got, want)
			}
			if got, want := s.lsdir(root), []string{"b", "f"}; !slices.Equal(got, want) {
				t.Errorf("prefix %q: lsdir %q = %q, want %q", prefix, root, got, want)
			}
		}
	}
	s := newStore(keysOf(values), "")
	if got, want := s.ls("/"), []string{"app"}; !slices.Equal(got, want) {
		t.Errorf("ls of the root without a prefix = %q, want %q", got, want)
	}
}

// TestAside has keys that lie outside of the prefix: they keep their names.
func TestAside(t *testing.T) {
	values := map[string]string{"/app": "0", "/app/x": "1", "/app-x/y": "2", "/other/z": "3", "/aa": "4", "/x": "lost"}
	s, m := stores(values, "/app")
	m.Set("/x", "1") // confd 0.16 takes one of the two
	m.Del("/-x/y")   // and cuts the prefix off within a component
	m.Set("/app-x/y", "2")
	for _, arg := range []string{"/", "/x", "/*", "/app-x/*", "/other/z", "/other", "/aa", "/none"} {
		compare(t, s, m, arg)
	}
	s.reads = reads{}
	s.exists("/x")
	s.ls("/other")
	got := s.reads.list()
	for _, p := range []string{"/x", "/app/x", "/other", "/app/other"} {
		if !slices.ContainsFunc(got, func(r string) bool { return backends.Within(p, r) }) {
			t.Errorf("reads %q do not hold %q", got, p)
		}
	}
}

func TestOutside(t *testing.T) {
	for _, test := range []struct {
		keys string
		want bool
	}{
		{"", false}, {"/app", false}, {"/app/b", false}, {"/app /app/b /app/c", false},
		{"/a", true}, {"/app-", true}, {"/app0", true},
		{"/a /app/b", true}, {"/app /app-x", true}, {"/app /app-x /app/b", true},
		{"/app-x /app/b", true}, {"/app/b /app0", true}, {"/app /app0", true}, {"/app/b /b", true},
	} {
		values := make(map[string]string)
		for _, key := range strings.Fields(test.keys) {
			values[key] = ""
		}
		if got := outside(keysOf(values), "/app"); got != test.want {
			t.Errorf("outside of /app in %s = %v, want %v", test.keys, got, test.want)
		}
	}
}

// TestPrivate holds that a template may change what it has got.
func TestPrivate(t *testing.T) {
	values := map[string]string{"/a/1": "x", "/a/2": "y"}
	for _, prefix := range []string{"/", "/b"} { // "/b" makes a copy of the keys
		s := newStore(keysOf(values), prefix)
		first, _ := s.gets("/a/*")
		want := slices.Clone(first)
		slices.Reverse(first)
		if again, _ := s.gets("/a/*"); !reflect.DeepEqual(again, want) {
			t.Errorf("gets after the first list was reversed = %v, want %v", again, want)
		}
	}
}

func TestMissing(t *testing.T) {
	values := map[string]string{"/app/a": "", "/app/d/e": ""}
	for _, test := range []struct{ prefix, key, want, source string }{
		{"", "/x", "key does not exist: /x", "/x"},
		{"", "/app/a/", `key does not exist: /app/a/; did you mean "/app/a"?`, "/app/a"},
		{"", "app/a", `key does not exist: app/a; did you mean "/app/a"?`, "/app/a"},
		{"", "/app/d", "key does not exist: /app/d; it is a directory, see gets and ls", "/app/d"},
		{"/app", "/app/a", `key does not exist: /app/a; with the prefix it is "/app/app/a"`, "/app/app/a"},
		{"/app", "/", "key does not exist: /; it is a directory, see gets and ls", "/app"},
	} {
		s := newStore(keysOf(values), test.prefix)
		_, err := s.getv(test.key)
		if err == nil || err.Error() != test.want {
			t.Errorf("getv %q with prefix %q: %v, want %s", test.key, test.prefix, err, test.want)
			continue
		}
		if missing := (*missingError)(nil); !errors.As(err, &missing) || missing.source != test.source {
			t.Errorf("getv %q with prefix %q: source %q, want %q", test.key, test.prefix, missing.source, test.source)
		}
		if !errors.Is(err, memkv.ErrNotExist) {
			t.Errorf("getv %q: %v is not memkv.ErrNotExist", test.key, err)
		}
	}
}
