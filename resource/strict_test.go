// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPrograms(t *testing.T) {
	for line, want := range map[string]string{
		"":                          "",
		"nginx -t -c {{.src}}":      "nginx",
		"/usr/sbin/nginx -t":        "/usr/sbin/nginx",
		"{{.src}} x":                "",
		"A=1 B='x y' prog a":        "prog",
		"exec prog":                 "prog",
		"a && b || c; d | e & f\ng": "a b c d e f g",
		"if ! grep -q x {{.src}}; then echo no; exit 1; fi": "grep",
		"for i in a b; do prog $i; done":                    "prog",
		"while true; do prog; done":                         "prog",
		"(cd /x && make)":                                   "make",
		"$CMD x":                                            "",
		"'my prog' x":                                       "",
		`"prog"`:                                            "",
		"echo 'a; b' | grep \"x && y\"":                     "grep",
		"echo a\\;b":                                        "",
		"[ -f x ] && kill -HUP $(cat /run/x.pid)":           "cat",
		"case $x in a) b;; esac":                            "",
		"cat <<EOF\nfoo bar\nEOF":                           "",
		"f() { x; }; f":                                     "",
		"docker ps --format '{{.Names}}' | xargs -n1 kill":  "docker xargs",
		"prog >/dev/null 2>&1":                              "prog",
		"prog; prog":                                        "prog",
		"command -v prog":                                   "",
	} {
		if got := strings.Join(programs(line), " "); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func TestRunnable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"sh": "", "/bin/sh": "", "./relative": "", "no-such-program": "not in PATH", "/no/such/program": "does not exist",
		file: "not executable", filepath.Dir(file): "cannot be run",
	} {
		err := runnable(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestStrict holds that all faults of all files come at once, and at their places.
func TestStrict(t *testing.T) {
	c := newConfdir(t)
	dest := c.dest("x")
	c.file("templates/good.tmpl", "x")
	c.file("templates/bad.tmpl", "x\n{{if false}}{{seq 1}}{{end}}\n{{include \"none\"}}")
	c.file("conf.d/a.toml", "[template]\nsrc='good.tmpl'\ndest='"+dest+"'\nowner='no-such-user'\n")
	c.file("conf.d/b.toml", "[template]\nsrc='bad.tmpl'\ndest='"+dest+"'\nmode='9'\ncheck_cmd='no-such-check {{.src}}'\nreload_cmd='no-such-reload; true'\n")
	c.file("conf.d/c.toml", "[template]\nsrc='good.tmpl'\ndest='/no/such/folder/x'\n")
	load := func(opts Options) []string {
		_, err := LoadDir(c.path, opts)
		lines := strings.Split(strings.ReplaceAll(err.Error(), c.path+"/", ""), "\n")
		for i, line := range lines {
			lines[i], _, _ = strings.Cut(line, ";")
		}
		return lines
	}
	want := []string{
		`conf.d/a.toml:4:7: owner "no-such-user": user: unknown user no-such-user`,
		`conf.d/b.toml:4:6: mode "9" is not an octal number such as "0644"`,
		`conf.d/b.toml:5:11: check_cmd: program "no-such-check" is not in PATH`,
		`conf.d/b.toml:6:12: reload_cmd: program "no-such-reload" is not in PATH`,
		`templates/bad.tmpl:2:15: seq: wants 2 arguments, but got 1`,
		`templates/bad.tmpl:3:3: include: "none" does not exist below "templates", where files of templates belong`,
		`conf.d/b.toml:3:6: dest "out/x" is already that of conf.d/a.toml`,
		`conf.d/c.toml:3:6: dest "/no/such/folder/x": directory "/no" does not exist`,
	}
	if got := load(Options{Strict: true}); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	want = slices.Delete(slices.Delete(slices.Delete(want, 7, 8), 2, 4), 0, 1)
	if got := load(Options{Strict: true, Elsewhere: true}); !slices.Equal(got, want) {
		t.Errorf("elsewhere: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := load(Options{}); len(got) != 2 {
		t.Errorf("not strict: got\n%s", strings.Join(got, "\n"))
	}
}
