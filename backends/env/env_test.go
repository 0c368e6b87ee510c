// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package env_test

import (
	"maps"
	"testing"

	"confd/backends/backendtest"
	"confd/backends/env"
)

func environ() []string {
	return []string{
		"APP=0", "APP_DB_HOST=db1", "APP_DB_PORT=5432", "APPLE=red", "app_db_host=lower", "App_mixed=m",
		"HOME=/root", "EMPTY=", "EQUALS=a=b", "_=/bin/env", "DOUBLE__UNDERSCORE=d", "nonsense", "=C:=x",
		"TWICE=first", "TWICE=last",
	}
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		return backendtest.Harness{
			Backend: env.New(environ),
			Static: map[string]string{
				"/app": "0", "/app/db/host": "db1", "/app/db/port": "5432", "/apple": "red", "/app/mixed": "m",
				"/home": "/root", "/empty": "", "/equals": "a=b", "//": "/bin/env", "/double//underscore": "d",
				"/twice": "last",
			},
		}
	})
}

func TestPrefixes(t *testing.T) {
	app := map[string]string{"/app": "0", "/app/db/host": "db1", "/app/db/port": "5432"}
	db := map[string]string{"/app/db/host": "db1", "/app/db/port": "5432"}
	for _, tt := range []struct {
		name     string
		prefixes []string
		want     map[string]string
	}{
		{"by component", []string{"/app"}, app},
		{"upper case", []string{"/APP"}, app},
		{"slash at the end", []string{"/app/"}, app},
		{"no slash", []string{"app"}, app},
		{"two components", []string{"/app/db"}, db},
		{"with an underscore", []string{"/app_db"}, db},
		{"several", []string{"/home", "/app/db/host"}, map[string]string{"/home": "/root", "/app/db/host": "db1"}},
		{"one within another", []string{"/app/db", "/app"}, app},
		{"lower case names are found from the root only", []string{"/app/mixed"}, map[string]string{}},
		{"none", []string{"/zzz"}, map[string]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := env.New(environ)
			snap, err := b.Snapshot(t.Context(), tt.prefixes)
			if err != nil {
				t.Fatal(err)
			}
			if got := maps.Collect(snap.Keys.From("")); !maps.Equal(got, tt.want) {
				t.Errorf("snapshot of %q: got %v, want %v", tt.prefixes, got, tt.want)
			}
			all, _ := b.Snapshot(t.Context(), []string{"/"})
			if got := maps.Collect(all.Keys.Under(tt.prefixes).From("")); !maps.Equal(got, tt.want) {
				t.Errorf("the root's snapshot under %q: got %v, want %v", tt.prefixes, got, tt.want)
			}
			if got := maps.Collect(snap.Keys.Under([]string{"/"}).From("")); !maps.Equal(got, tt.want) {
				t.Errorf("the snapshot of %q under \"/\": got %v, want %v", tt.prefixes, got, tt.want)
			}
		})
	}
}

// TestReadOnce: the environment does not change, so a snapshot neither.
func TestReadOnce(t *testing.T) {
	calls := 0
	b := env.New(func() []string { calls++; return []string{"A=1"} })
	for range 3 {
		if _, err := b.Snapshot(t.Context(), []string{"/"}); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("calls of environ: got %d, want 1", calls)
	}
}
