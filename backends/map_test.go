// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"confd/backends"
)

func TestMap(t *testing.T) {
	m := backends.NewMap()
	changed := []bool{m.Set("/a", "1"), m.Set("/a", "1"), m.Set("/a", "2"), m.Set("/a/b", "3"), m.Set("/ab", "4"), m.Set("/a-b", "5")}
	if want := []bool{true, false, true, true, true, true}; !slices.Equal(changed, want) {
		t.Errorf("Set: got %v, want %v", changed, want)
	}
	if m.Keys() != m.Keys() {
		t.Error("two snapshots without a write between them differ")
	}
	before := m.Keys()
	if got := m.DeleteUnder("/a/"); got != 2 {
		t.Errorf("DeleteUnder: got %d, want 2", got)
	}
	if m.Delete("/a") || !m.Delete("/ab") {
		t.Error("Delete: want false for a key that is gone, true for one that is there")
	}
	if got, want := maps.Collect(m.Keys().From("")), map[string]string{"/a-b": "5"}; !maps.Equal(got, want) || m.Len() != 1 {
		t.Errorf("after deleting: got %v (%d), want %v", got, m.Len(), want)
	}
	if got, ok := m.Get("/a-b"); got != "5" || !ok {
		t.Errorf("Get: got %q, %v; want 5", got, ok)
	}
	if got := len(maps.Collect(before.From(""))); got != 4 {
		t.Errorf("a snapshot from before: got %d keys, want 4", got)
	}
	if m.DeleteUnder("/") != 1 || m.Len() != 0 {
		t.Error("DeleteUnder of the root leaves something")
	}
}

func TestMapSetAll(t *testing.T) {
	var pairs []backends.Pair
	for i := range 1000 {
		pairs = append(pairs, backends.Pair{Key: fmt.Sprintf("/k%04d", i), Value: "1"})
	}
	m := backends.NewMap()
	empty := m.Keys()
	if changed := m.SetAll(slices.Clone(pairs)); len(changed) != 1000 || changed[999] != "/k0999" || m.Len() != 1000 {
		t.Errorf("an empty map took %d of %d keys, and has %d", len(changed), len(pairs), m.Len())
	}
	for range empty.From("") {
		t.Fatal("an earlier snapshot has a key")
	}
	full := m.Keys()
	pairs[7].Value, pairs[9].Key = "2", "/k0009x"
	if changed := m.SetAll(pairs); !slices.Equal(changed, []string{"/k0007", "/k0009x"}) || m.Len() != 1001 {
		t.Errorf("changed %q, %d keys", changed, m.Len())
	}
	if v, _ := full.Get("/k0007"); v != "1" {
		t.Errorf("an earlier snapshot has changed: %q", v)
	}
	if v, _ := m.Get("/k0007"); v != "2" {
		t.Errorf("got %q", v)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "a": "/a", "/a/": "/a", "//a//b/.": "/a/b", "/a/../b": "/b", "/../a": "/a", "/a_b-c.d": "/a_b-c.d",
	} {
		if got := backends.Clean(in); got != want {
			t.Errorf("Clean(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		key, prefix string
		want        bool
	}{
		{"/a", "/", true}, {"/", "/", true}, {"/a", "/a", true}, {"/a/b", "/a", true}, {"/ab", "/a", false},
		{"/a-b", "/a", false}, {"/a", "/a/b", false}, {"/", "/a", false},
	} {
		if got := backends.Within(tt.key, tt.prefix); got != tt.want {
			t.Errorf("Within(%q, %q): got %v, want %v", tt.key, tt.prefix, got, tt.want)
		}
	}
}

func TestMinimal(t *testing.T) {
	for _, tt := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"/b", "a/", "/b/c", "/b-c", "/b"}, []string{"/a", "/b", "/b-c"}},
		{[]string{"/a/b/c", "/a/b", "/"}, []string{"/"}},
		{[]string{"/a", "/a/_b"}, []string{"/a", "/a/_b"}},
		{[]string{"/a", "/a/_b", "/a/_b/c", "/a/_b/_c", "/a/b_"}, []string{"/a", "/a/_b", "/a/_b/_c"}},
		{[]string{"/a", "/a/_b/c"}, []string{"/a", "/a/_b/c"}},
		{[]string{"/_a", "/_a/b"}, []string{"/_a"}},
		{[]string{"/", "/_a", "/b"}, []string{"/", "/_a"}},
	} {
		in := slices.Clone(tt.in)
		if got := backends.Minimal(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("Minimal(%q): got %q, want %q", tt.in, got, tt.want)
		}
		if !slices.Equal(in, tt.in) {
			t.Errorf("Minimal changed its argument %q to %q", in, tt.in)
		}
	}
}

func TestEqual(t *testing.T) {
	keys := func(kv ...string) backends.Keys {
		m := backends.NewMap()
		for i := 0; i < len(kv); i += 2 {
			m.Set(kv[i], kv[i+1])
		}
		return m.Keys()
	}
	ab := keys("/a", "1", "/b", "2")
	for _, tt := range []struct {
		name string
		a, b backends.Keys
		want bool
	}{
		{"itself", ab, ab, true},
		{"equal", ab, keys("/a", "1", "/b", "2"), true},
		{"empty", keys(), keys(), true},
		{"longer", ab, keys("/a", "1", "/b", "2", "/c", "3"), false},
		{"shorter", ab, keys("/a", "1"), false},
		{"other value", ab, keys("/a", "1", "/b", "3"), false},
		{"other key", ab, keys("/a", "1", "/c", "2"), false},
		{"restricted, equal", ab.Under([]string{"/a"}), keys("/a", "1"), true},
		{"restricted, longer", ab.Under([]string{"/a"}), ab, false},
		{"restricted, shorter", ab, ab.Under([]string{"/b"}), false},
	} {
		if got := backends.Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// component is one of few names, some of which sort around "/".
var component = rapid.SampledFrom([]string{"a", "b", "a-", "a.", "a0", "ab", "-", "_x", "~", "é"})

func keyOf(t *rapid.T, label string) string {
	return "/" + strings.Join(rapid.SliceOfN(component, 0, 4).Draw(t, label), "/")
}

// model is a map that does everything the slow way.
type model map[string]string

func (m model) under(prefixes []string) model {
	part := make(model)
	for key, value := range m {
		for _, p := range prefixes {
			p = strings.TrimSuffix(backends.Clean(p), "/")
			if key == p || strings.HasPrefix(key, p+"/") {
				part[key] = value
			}
		}
	}
	return part
}

// check compares keys with the model in every way there is.
func (m model) check(t *rapid.T, keys backends.Keys, probe string) {
	sorted := slices.Sorted(maps.Keys(m))
	for _, from := range []string{"", probe, probe + "/", probe + "0"} {
		first, _ := slices.BinarySearch(sorted, from)
		var got []string
		for key, value := range keys.From(from) {
			if value != m[key] {
				t.Fatalf("value of %q: got %q, want %q", key, value, m[key])
			}
			got = append(got, key)
		}
		if !slices.Equal(got, sorted[first:]) {
			t.Fatalf("from %q: got %q, want %q", from, got, sorted[first:])
		}
		for key := range keys.From(from) {
			if key != sorted[first] {
				t.Fatalf("first from %q: got %q, want %q", from, key, sorted[first])
			}
			break
		}
	}
	for _, key := range append(sorted, probe, probe+"/a") {
		value, ok := keys.Get(key)
		if _, in := m[key]; ok != in || value != m[key] {
			t.Fatalf("get %q: got %q, %v; want %q, %v", key, value, ok, m[key], in)
		}
	}
}

// TestMapRapid writes at random, keeps snapshots and their parts, and compares all of
// them with the model at the end, when later writes could have touched them.
func TestMapRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type kept struct {
			keys backends.Keys
			want model
		}
		m, now := backends.NewMap(), make(model)
		var all []kept
		prefixes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return keyOf(t, "prefix") }), 0, 4)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				key, value := keyOf(t, "key"), rapid.StringMatching("[a-c]").Draw(t, "value")
				old, had := now[key]
				now[key] = value
				if got, want := m.Set(key, value), !had || old != value; got != want {
					t.Fatalf("Set(%q): got %v, want %v", key, got, want)
				}
			},
			"set all": func(t *rapid.T) {
				var pairs []backends.Pair
				var want []string
				for _, key := range slices.Sorted(maps.Keys(rapid.MapOfN(rapid.Custom(func(t *rapid.T) string { return keyOf(t, "key") }), rapid.Bool(), 0, 5).Draw(t, "keys"))) {
					pairs = append(pairs, backends.Pair{Key: key, Value: rapid.StringMatching("[a-c]").Draw(t, "value")})
				}
				for _, p := range pairs {
					if old, had := now[p.Key]; !had || old != p.Value {
						want = append(want, p.Key)
					}
					now[p.Key] = p.Value
				}
				if got := m.SetAll(pairs); !slices.Equal(got, want) {
					t.Fatalf("SetAll(%v): got %q, want %q", pairs, got, want)
				}
			},
			"delete": func(t *rapid.T) {
				key := keyOf(t, "key")
				_, had := now[key]
				delete(now, key)
				if got := m.Delete(key); got != had {
					t.Fatalf("Delete(%q): got %v, want %v", key, got, had)
				}
			},
			"delete under": func(t *rapid.T) {
				prefix := keyOf(t, "prefix")
				part := now.under([]string{prefix})
				maps.DeleteFunc(now, func(key, _ string) bool { _, in := part[key]; return in })
				if got := m.DeleteUnder(prefix); got != len(part) {
					t.Fatalf("DeleteUnder(%q): got %d, want %d", prefix, got, len(part))
				}
			},
			"keep": func(t *rapid.T) {
				all = append(all, kept{m.Keys(), maps.Clone(now)})
			},
			"restrict": func(t *rapid.T) {
				if len(all) > 0 {
					k, p := rapid.SampledFrom(all).Draw(t, "kept"), prefixes.Draw(t, "prefixes")
					all = append(all, kept{k.keys.Under(p), k.want.under(p)})
				}
			},
		})
		if m.Len() != len(now) {
			t.Fatalf("Len: got %d, want %d", m.Len(), len(now))
		}
		probe := keyOf(t, "probe")
		for _, k := range append(all, kept{m.Keys(), now}) {
			k.want.check(t, k.keys, probe)
		}
		for _, k := range all {
			if got, want := backends.Equal(k.keys, m.Keys()), maps.Equal(k.want, now); got != want {
				t.Fatalf("Equal(%v, %v): got %v, want %v", k.want, now, got, want)
			}
		}
	})
}

// large returns 100,000 keys in 1,000 directories.
func large() *backends.Map {
	m := backends.NewMap()
	for dir := range 1000 {
		for key := range 100 {
			m.Set(fmt.Sprintf("/app/%03d/k%02d", dir, key), "value")
		}
	}
	return m
}

func BenchmarkFrom(b *testing.B) {
	keys := large().Keys()
	for b.Loop() {
		for range keys.From("/app/500/k50") {
			break
		}
	}
}

func BenchmarkRestrict(b *testing.B) {
	keys := large().Keys()
	for _, prefixes := range [][]string{
		{"/app/500"},
		{"/app/500", "/app/501", "/none", "/app/999/k99"},
	} {
		b.Run(fmt.Sprint(len(prefixes)), func(b *testing.B) {
			for b.Loop() {
				n := 0
				for range keys.Under(prefixes).From("") {
					n++
				}
				if n < 100 {
					b.Fatal(n)
				}
			}
		})
	}
}

// BenchmarkRestrictEach is a thousand prefixes of one resource each.
func BenchmarkRestrictEach(b *testing.B) {
	keys := large().Keys()
	var prefixes []string
	for dir := range 1000 {
		prefixes = append(prefixes, fmt.Sprintf("/app/%03d", dir))
	}
	union := keys.Under(prefixes)
	for b.Loop() {
		if _, ok := union.Under(prefixes[500:501]).Get("/app/500/k50"); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkSnapshotAfterSet(b *testing.B) {
	m := large()
	for i := 0; b.Loop(); i++ {
		m.Set("/app/500/k50", fmt.Sprint(i))
		m.Keys()
	}
}
