// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"confd/backends"
)

func testStatic(t *testing.T, h Harness) {
	got := read(snapshot(t, h.Backend, "/").Keys)
	if want := content(h.Static); !maps.Equal(got, want) {
		t.Errorf("under \"/\": got %v, want %v", got, want)
	}
}

func testMissing(t *testing.T, h Harness) {
	for _, prefixes := range [][]string{nil, {"/no/such/prefix"}, {"/no/such", "/prefix/here"}} {
		if got := read(snapshot(t, h.Backend, prefixes...).Keys); len(got) != 0 {
			t.Errorf("under %q: got %v, want nothing", prefixes, got)
		}
	}
}

// around is keys that sort between and beside "/app" and what is below it.
var around = content{
	"/app/port":     "80",
	"/app/up/a":     "1",
	"/app/up/b":     "2",
	"/app-b/port":   "81",
	"/app.b":        "82",
	"/app0":         "83",
	"/apple":        "84",
	"/ap":           "85",
	"/other/app/up": "86",
}

func testComponents(t *testing.T, h Harness) {
	set(t, h, around)
	all := maps.Clone(around)
	maps.Copy(all, h.Static)
	for _, prefixes := range [][]string{
		{"/"}, {"/app"}, {"/app/"}, {"/app/up"}, {"/app/up/a"}, {"/app.b"}, {"/a"}, {"/other"},
		{"/app/up", "/apple"}, {"/app", "/app/up"}, {"/app-b", "/app", "/other/app/up"}, {"/no", "/app0"},
	} {
		clean := make([]string, len(prefixes))
		for i, p := range prefixes {
			clean[i] = backends.Clean(p)
		}
		until(t, h.Backend, all.under(clean...), prefixes...)
		narrowed := read(snapshot(t, h.Backend, "/").Keys.Under(prefixes))
		if want := all.under(clean...); !maps.Equal(narrowed, want) {
			t.Errorf("\"/\" narrowed to %q: got %v, want %v", prefixes, narrowed, want)
		}
	}
}

func testKeys(t *testing.T, h Harness) {
	set(t, h, around)
	want := around.under("/app", "/apple", "/app-b")
	until(t, h.Backend, want, "/app", "/apple", "/app-b")
	keys := snapshot(t, h.Backend, "/app", "/apple", "/app-b").Keys
	sorted := slices.Sorted(maps.Keys(want))

	for _, from := range append([]string{"", "/", "/app/", "/app/up/aa", "/z"}, sorted...) {
		var got []string
		for key, value := range keys.From(from) {
			got = append(got, key)
			if value != want[key] {
				t.Errorf("value of %q: got %q, want %q", key, value, want[key])
			}
		}
		first, _ := slices.BinarySearch(sorted, from)
		if !slices.Equal(got, sorted[first:]) {
			t.Errorf("from %q: got %q, want %q", from, got, sorted[first:])
		}
		for key := range keys.From(from) { // ending early must be possible
			if key != sorted[first] {
				t.Errorf("first from %q: got %q, want %q", from, key, sorted[first])
			}
			break
		}
	}
	for key := range around {
		value, ok := keys.Get(key)
		if _, inside := want[key]; ok != inside || value != want[key] {
			t.Errorf("get %q: got %q, %v; want %q, %v", key, value, ok, want[key], inside)
		}
	}
	for _, key := range []string{"/app", "/app/up", "/app/p", "/app/portal", ""} {
		if value, ok := keys.Get(key); ok {
			t.Errorf("get %q: got %q, want none", key, value)
		}
	}
}

func testImmutable(t *testing.T, h Harness) {
	set(t, h, around)
	until(t, h.Backend, around.under("/app"), "/app")
	keys := snapshot(t, h.Backend, "/app").Keys
	want := read(keys)
	last := maps.Clone(want)
	for i := range 50 {
		key := fmt.Sprintf("/app/up/%d", i%7)
		last[key] = fmt.Sprint(i)
		must(t, h.Set(key, last[key]))
		if got := read(keys); !maps.Equal(got, want) {
			t.Fatalf("a snapshot after %d writes: got %v, want %v", i+1, got, want)
		}
	}
	must(t, h.Delete("/app/port"))
	delete(last, "/app/port")
	until(t, h.Backend, last, "/app")
	if got := read(keys); !maps.Equal(got, want) {
		t.Fatalf("the snapshot at the end: got %v, want %v", got, want)
	}
}

func testDelete(t *testing.T, h Harness) {
	set(t, h, around)
	until(t, h.Backend, around.under("/app"), "/app")
	left := maps.Clone(around)

	must(t, h.Delete("/app/port"))
	delete(left, "/app/port")
	until(t, h.Backend, left.under("/app"), "/app")

	must(t, h.Delete("/app/up"))
	until(t, h.Backend, content{}, "/app")
	until(t, h.Backend, left.under("/apple", "/app-b"), "/apple", "/app-b")

	must(t, h.Set("/app/up/b", "again"))
	until(t, h.Backend, content{"/app/up/b": "again"}, "/app")
}
