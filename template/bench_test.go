// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kelseyhightower/memkv"

	"confd/backends"
)

// services returns dirs × 100 keys, "/services/s0001/host01".
func services(dirs int) map[string]string {
	values := make(map[string]string, dirs*100)
	for i := range dirs {
		for j := range 100 {
			values[fmt.Sprintf("/services/s%04d/host%02d", i, j)] = fmt.Sprintf("10.0.%d.%d:80", i%256, j)
		}
	}
	return values
}

// benchmark runs ours and memkv's function over 1,000, 10,000 and 100,000 keys.
func benchmark(b *testing.B, ours func(s *store), theirs func(m *memkv.Store)) {
	for _, dirs := range []int{10, 100, 1000} {
		values := services(dirs)
		keys := keysOf(values)
		b.Run(fmt.Sprintf("%d/confd", dirs*100), func(b *testing.B) {
			b.ReportAllocs()
			s := newStore(keys, "/")
			for b.Loop() {
				ours(&s)
			}
		})
		m := memkv.New()
		for key, value := range values {
			m.Set(key, value)
		}
		b.Run(fmt.Sprintf("%d/memkv", dirs*100), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				theirs(&m)
			}
		})
	}
}

func BenchmarkGetv(b *testing.B) {
	benchmark(b, func(s *store) { s.getv("/services/s0005/host50") },
		func(m *memkv.Store) { m.GetValue("/services/s0005/host50") })
}

func BenchmarkGets(b *testing.B) {
	benchmark(b, func(s *store) { s.gets("/services/s0005/*") },
		func(m *memkv.Store) { m.GetAll("/services/s0005/*") })
}

func BenchmarkGetsMiddle(b *testing.B) { // one hit in each directory
	benchmark(b, func(s *store) { s.gets("/services/*/host50") },
		func(m *memkv.Store) { m.GetAll("/services/*/host50") })
}

func BenchmarkLs(b *testing.B) {
	benchmark(b, func(s *store) { s.ls("/services/s0005") },
		func(m *memkv.Store) { m.List("/services/s0005") })
}

func BenchmarkLsdir(b *testing.B) {
	benchmark(b, func(s *store) { s.lsdir("/services") },
		func(m *memkv.Store) { m.ListDir("/services") })
}

// nested is the template that is quadratic in confd 0.16.
const nested = `{{range lsdir "/services"}}upstream {{.}} {
{{range gets (printf "/services/%s/*" .)}}  server {{.Value}};
{{end}}}
{{end}}`

// prepare parses a template in a folder of its own.
func prepare(tb testing.TB, text string, opts Options) *Template {
	path := filepath.Join(tb.TempDir(), "bench.tmpl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // as a template is that nobody is editing
	if err := os.Chtimes(path, old, old); err != nil {
		tb.Fatal(err)
	}
	t, err := Parse(path, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func BenchmarkNested(b *testing.B) { // 500 directories with 100 keys each
	keys := keysOf(services(500))
	t := prepare(b, nested, Options{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.Render(b.Context(), keys); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRender has a thousand small templates over 100,000 keys. One step is the
// rendering of one of them.
func BenchmarkRender(b *testing.B) {
	keys := keysOf(services(1000))
	templates := make([]*Template, 1000)
	subset := make([]backends.Keys, len(templates))
	for i := range templates {
		prefix := fmt.Sprintf("/services/s%04d", i)
		subset[i] = keys.Under([]string{prefix})
		templates[i] = prepare(b, `listen {{getv "/host01"}} {{getv "/port" "80"}};`, Options{Prefix: prefix})
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := templates[i].Render(b.Context(), subset[i]); err != nil {
			b.Fatal(err)
		}
		i = (i + 1) % len(templates)
	}
}

func BenchmarkParse(b *testing.B) {
	path := prepare(b, nested, Options{}).Path()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(path, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
