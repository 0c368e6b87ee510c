// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A store that is empty, or half there, does not blank a file. (hashicorp/consul-template
// #1131: empty answers during an election did.)
func TestGuards(t *testing.T) {
	for _, test := range []struct {
		name, line string
		keys       []string // that the store has
		want       string   // the error; "" = none
	}{
		{"required is there", `required = ["/a"]`, []string{"/a"}, ""},
		{"something below required", `required = ["/app"]`, []string{"/app/x/y"}, ""},
		{"required is missing", `required = ["/a", "/b"]`, []string{"/a", "/bb"}, `the required key "/b" is not there, nor any below it`},
		{"required of an empty store", `required = ["/a"]`, nil, `the required key "/a" is not there`},
		{"enough", `min_keys = 2`, []string{"/a", "/b"}, ""},
		{"too few", `min_keys = 3`, []string{"/a", "/b"}, `min_keys is 3, and the number of keys below ["/"] is 2`},
		{"of an empty store", `min_keys = 1`, nil, `and the number of keys below ["/"] is 0`},
		{"no guard", "", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConfdir(t)
			c.resource("a", test.line, `reload_cmd = "reload"`)
			c.file("templates/a.tmpl", "{{range gets \"/*\"}}{{.Key}}{{end}}.")
			c.file("out/a", "old")
			sh, b := counting()
			for _, key := range test.keys {
				b.set(key, "1")
			}
			run := c.runner(b, sh.run)
			err := run.Once(t.Context())
			if test.want == "" {
				if err != nil || sh.count("reload") != 1 {
					t.Errorf("got %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "refusing to render: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			c.wantFile(c.dest("a"), "old")
			if s := run.Status()[0]; s.Seen != b.index || s.Rendered != 0 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// What was missing comes, and is rendered at once.
func TestGuardFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `required = ["/b"]`)
		sh, b := counting("a")
		stop := follow(t, c.runner(b, sh.run))
		time.Sleep(time.Hour)
		c.wantClean()
		b.set("/b", "1")
		synctest.Wait()
		c.wantFile(c.dest("a"), "value=0\n")
		stop()
	})
}
