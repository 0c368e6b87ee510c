// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"fmt"
	"slices"
	"testing"
)

func TestCovers(t *testing.T) {
	tests := []struct {
		root, key string
		want      bool
	}{
		{"/", "/", true}, {"/", "/a", true}, {"/", "/_a", false}, {"/", "/a/_b/c", false},
		{"/a", "/a", true}, {"/a", "/a/b", true}, {"/a", "/ab", false}, {"/a", "/a-b", false}, {"/a/b", "/a", false},
		{"/a", "/a/_b", false}, {"/a", "/a/b_", true}, {"/a/_b", "/a/_b", true}, {"/a/_b", "/a/_b/c", true},
		{"/a/_b", "/a/_b/_c", false}, {"/_a", "/_ab", false},
	}
	for _, tt := range tests {
		if got := covers(tt.root, tt.key); got != tt.want {
			t.Errorf("covers(%q, %q) = %v, want %v", tt.root, tt.key, got, tt.want)
		}
	}
}

func TestPlan(t *testing.T) {
	many := func(format string, n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(format, i))
		}
		return list
	}
	tests := []struct {
		name                string
		asked, denied, want []string
	}{
		{"none", nil, nil, nil},
		{"one", []string{"/a/b"}, nil, []string{"/a/b"}},
		{"root", []string{"/", "/a", "/b/c"}, nil, []string{"/"}},
		{"covered", []string{"/a", "/a/b", "/a/b/c"}, nil, []string{"/a"}},
		{"siblings", []string{"/a/b", "/a/c/d"}, nil, []string{"/a"}},
		{"longer name", []string{"/a/b", "/a-b/c", "/ab"}, nil, []string{"/a-b/c", "/a/b", "/ab"}},
		{"1000 below one", many("/services/s%d/conf", 1000), nil, []string{"/services"}},
		{"8 apart", many("/s%d", 8), nil, many("/s%d", 8)},
		{"9 apart", many("/s%d", 9), nil, []string{"/"}},
		{"9 apart, root denied", many("/s%d", 9), []string{"/"}, many("/s%d", 9)},
		{"parent denied", []string{"/a/b/x", "/a/b/y", "/a/c"}, []string{"/a"}, []string{"/a/b", "/a/c"}},
		{"both denied", []string{"/a/b/x", "/a/b/y", "/a/c"}, []string{"/a", "/a/b"}, []string{"/a/b/x", "/a/b/y", "/a/c"}},
		{"hidden below another", []string{"/a", "/a/_h"}, nil, []string{"/a", "/a/_h"}},
		{"hidden siblings", []string{"/a/_h/x", "/a/_h/y", "/a/_g/x"}, nil, []string{"/a/_g/x", "/a/_h"}},
		{"hidden in hidden", []string{"/_h", "/_h/x", "/_h/_i/x"}, nil, []string{"/_h", "/_h/_i/x"}},
		{"root and hidden", []string{"/", "/_h"}, nil, []string{"/", "/_h"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := plan(setOf(tt.asked), setOf(tt.denied))
			if !slices.Equal(got, tt.want) {
				t.Fatalf("plan = %q, want %q", got, tt.want)
			}
			for _, p := range tt.asked {
				if _, ok := coverer(setOf(got), p); !ok {
					t.Errorf("no root covers %q", p)
				}
			}
		})
	}
}

func setOf(list []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return set
}

func TestNews(t *testing.T) {
	n := newNews()
	waiting := map[string]*waiter{}
	for _, p := range []string{"/", "/a", "/a/b", "/a/b/_h", "/ab", "/c"} {
		waiting[p] = n.add([]string{p})
	}
	woken := func() (list []string) {
		for p, w := range waiting {
			if w.woken {
				list = append(list, p)
			}
		}
		slices.Sort(list)
		return list
	}
	n.publish(nil)
	if n.version != 1 || len(woken()) != 0 {
		t.Fatalf("nothing published: version %d, woken %q", n.version, woken())
	}
	n.publish([]string{"/a/b/_h/x"})
	if want := []string{"/a/b/_h"}; !slices.Equal(woken(), want) {
		t.Errorf("hidden key: woken %q, want %q", woken(), want)
	}
	n.publish([]string{"/a/b", "/a/b"})
	if want := []string{"/", "/a", "/a/b", "/a/b/_h"}; !slices.Equal(woken(), want) {
		t.Errorf("woken %q, want %q", woken(), want)
	}

	since := []struct {
		prefixes []string
		version  uint64
		want     bool
	}{
		{[]string{"/a"}, 3, false}, {[]string{"/a"}, 2, true}, {[]string{"/a/b/_h"}, 2, false},
		{[]string{"/a/b/_h"}, 1, true}, {[]string{"/c"}, 1, false}, {nil, 1, false},
		{[]string{"/c"}, 0, true}, {[]string{"/c"}, 4, true}, // not of this backend
		{[]string{"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/a"}, 2, true},
		{[]string{"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/c"}, 1, false},
	}
	for _, tt := range since {
		if got := n.since(tt.prefixes, tt.version); got != tt.want {
			t.Errorf("since(%q, %d) = %v, want %v", tt.prefixes, tt.version, got, tt.want)
		}
	}

	for range maxChanges {
		n.publish([]string{"/x"})
	}
	if !n.since([]string{"/c"}, 2) || n.since([]string{"/c"}, n.floor) || len(n.changes) != maxChanges {
		t.Errorf("after many changes: floor %d, %d kept", n.floor, len(n.changes))
	}
	n.publish(make([]string, maxChanges+1))
	if len(woken()) != len(waiting) || !n.since([]string{"/c"}, n.version-1) || n.since([]string{"/c"}, n.version) {
		t.Errorf("more changes than are kept: woken %q", woken())
	}
	for _, w := range waiting {
		n.remove(w)
	}
	if len(n.waiters) != 0 {
		t.Errorf("%d prefixes are left", len(n.waiters))
	}
}
