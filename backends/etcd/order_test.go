// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"confd/backends"
	"confd/raftkv/client"
)

// Whatever the order of a listing is, and whatever lies within what, the values are by key.
func TestOrder(t *testing.T) {
	lists := map[string][]string{
		"none":                 {},
		"one":                  {"/a"},
		"sorted":               {"/a", "/b/x", "/b/y", "/c"},
		"directories shuffled": {"/b/y", "/b/x", "/a/z", "/a/b"},
		"directory in another": {"/b/y", "/b/d/z", "/b/d/a", "/b/x", "/a"},
		"neighbours":           {"/a/x", "/a-b", "/ab/x", "/a"},
		"told twice":           {"/b/x", "/b/x", "/a"},
	}
	random := rand.New(rand.NewPCG(1, 2))
	var many []string
	for range 3000 {
		key := ""
		for range 1 + random.IntN(4) {
			key += fmt.Sprintf("/%c%d", "ab-"[random.IntN(3)], random.IntN(9))
		}
		many = append(many, key)
	}
	lists["many"] = many
	for name, keys := range lists {
		var values []backends.Pair
		for _, key := range keys {
			values = append(values, backends.Pair{Key: key, Value: "v" + key})
		}
		var got []string
		for _, v := range order(values) {
			if v.Value != "v"+v.Key {
				t.Errorf("%s: %q has the value %q", name, v.Key, v.Value)
			}
			got = append(got, v.Key)
		}
		want := slices.Compact(slices.Sorted(slices.Values(keys)))
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// Of a listing only what a listing of the root would show is kept, of the answer that began
// last, however many parts there are.
func TestCollector(t *testing.T) {
	files := []client.File{{Key: "/a/x", Value: "1"}, {Key: "/a/_h/y"}, {Key: "/b"}, {Key: "a//z/", Value: "2"}, {Key: ""}}
	for parts := range 3 * collectAhead {
		c := collector{root: "/a"}
		var want []backends.Pair
		for begin := range 2 {
			want = nil
			c.Begin()
			var part []client.File
			for i := range parts {
				value := fmt.Sprint(begin, i)
				part = append(append(part, files...), client.File{Key: "/a/" + value, Value: value})
				part = c.Take(part)
				if len(part) > 0 {
					t.Fatalf("got %d files to go on with", len(part))
				}
				want = append(want, backends.Pair{Key: "/a/x", Value: "1"}, backends.Pair{Key: "/a/z", Value: "2"}, backends.Pair{Key: "/a/" + value, Value: value})
			}
		}
		if got := c.end(); !slices.Equal(got, want) {
			t.Errorf("%d parts: got %q, want %q", parts, got, want)
		}
	}
}
