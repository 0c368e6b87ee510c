// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelseyhightower/memkv"
)

// folder makes a folder of templates. Its files are as old as those that nobody edits.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		edit(t, filepath.Join(dir, name), text, time.Now().Add(-time.Hour))
	}
	return dir
}

func edit(t *testing.T, path, text string, mtime time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, mtime, mtime); err != nil {
		t.Fatal(err)
	}
}

func TestInclude(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"file", map[string]string{"main": `[{{include "part"}}]`, "part": `{{getv "/k"}}{{.}}`}, "[v<no value>]"},
		{"value", map[string]string{"main": `{{include "d/part" (dict "a" 1)}}`, "d/part": `{{.a}}`}, "1"},
		{"piped", map[string]string{"main": `{{include "part" | indent 2}}`, "part": "a\nb"}, "  a\n  b"},
		{"define", map[string]string{"main": `{{define "x"}}<{{.}}>{{end}}{{include "x" 1 | quote}}`}, `"<1>"`},
		{"define first", map[string]string{"main": `{{define "part"}}own{{end}}{{include "part"}}`, "part": "file"}, "own"},
		{"own defines", map[string]string{"main": `{{include "part"}}`, "part": `{{define "x"}}in{{end}}{{template "x"}}{{include "x"}}`}, "inin"},
		{"nested", map[string]string{"main": `{{include "a"}}`, "a": `{{include "./b"}}{{include "b"}}`, "b": "x"}, "xx"},
		{"recursion", map[string]string{"main": `{{define "x"}}{{.}}{{if gt . 0}}{{include "x" (sub . 1)}}{{end}}{{end}}{{include "x" 3}}`}, "3210"},
		{"text", map[string]string{"main": `{{file "d/raw"}}`, "d/raw": "{{not run}}"}, "{{not run}}"},
	} {
		dir := folder(t, test.files)
		tmpl, err := Parse(filepath.Join(dir, "main"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := tmpl.Render(t.Context(), keysOf(map[string]string{"/k": "v"}))
		if err != nil || string(out.Bytes) != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, out.Bytes, err, test.want)
		}
	}
}

// TestIncludeErrors holds that an error names the file that has the mistake, and the
// place that includes it.
func TestIncludeErrors(t *testing.T) {
	outside := folder(t, map[string]string{"passwd": "secret"})
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // DIR for the folder
	}{
		{"missing key", map[string]string{"main": "\n{{include \"part\"}}", "part": "a\n {{getv \"/x\"}}"},
			"DIR/part:2:4: getv: key does not exist: /x; included at DIR/main:2:3"},
		{"two deep", map[string]string{"main": `{{include "a"}}`, "a": `{{include "b"}}`, "b": `{{getv "/x"}}`},
			"DIR/b:1:3: getv: key does not exist: /x; included at DIR/a:1:3; included at DIR/main:1:3"},
		{"syntax", map[string]string{"main": `{{include "part"}}`, "part": "\n{{if}}"},
			"DIR/part:2:1: missing value for if; included at DIR/main:1:3"},
		{"function", map[string]string{"main": `{{include "part"}}`, "part": "{{gettv}}"},
			`DIR/part:1:3: function "gettv" not defined; did you mean "getv"?; included at DIR/main:1:3`},
		{"in a define", map[string]string{"main": "{{define \"x\"}}\n{{getv \"/x\"}}{{end}}{{include \"x\"}}"},
			`DIR/main:2:3: in "x": getv: key does not exist: /x; included at DIR/main:2:23`},
		{"no file", map[string]string{"main": `{{include "none"}}`},
			`DIR/main:1:3: include: "none" does not exist below "DIR", where files of templates belong`},
		{"circle", map[string]string{"main": `{{include "a"}}`, "a": `{{include "b"}}`, "b": `{{include "a"}}`},
			`DIR/b:1:3: include: "a" includes itself: a → b → a; included at DIR/a:1:3; included at DIR/main:1:3`},
		{"endless", map[string]string{"main": `{{define "x"}}{{include "x"}}{{end}}{{include "x"}}`}, "more than 100 templates within each other"},
		{"two values", map[string]string{"main": `{{include "a" 1 2}}`}, "at most one value"},
		{"out", map[string]string{"main": `{{file "../x"}}`}, `DIR/main:1:3: file: "../x" cannot be read; templates read files below "DIR" only`},
		{"absolute", map[string]string{"main": `{{file "/etc/passwd"}}`}, `only`},
		{"link", map[string]string{"main": `{{file "link"}}`}, `only`},
		{"link in a link", map[string]string{"main": `{{include "dir/passwd"}}`}, `only`},
		{"folder", map[string]string{"main": `{{file "sub"}}`, "sub/x": ""}, `"sub" is not a regular file`},
	} {
		dir := folder(t, test.files)
		for name, to := range map[string]string{"link": filepath.Join(outside, "passwd"), "dir": outside} {
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		tmpl, err := Parse(filepath.Join(dir, "main"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = tmpl.Render(t.Context(), keysOf(nil))
		want := strings.ReplaceAll(test.want, "DIR", dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, want)
		}
		if test.name == "missing key" {
			if e, ok := errors.AsType[*Error](err); !ok || e.Key != "/x" || e.Line != 2 || !errors.Is(err, memkv.ErrNotExist) {
				t.Errorf("%s: %#v", test.name, err)
			}
		}
	}
}

// TestIncludeReload has a template follow the files that it includes and reads.
func TestIncludeReload(t *testing.T) {
	dir := folder(t, map[string]string{"main": `{{include "part"}} {{file "raw"}}`, "part": `1{{getv "/a"}}`, "raw": "a"})
	tmpl, err := Parse(filepath.Join(dir, "main"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	render := func(want string) {
		t.Helper()
		out, err := tmpl.Render(t.Context(), keysOf(map[string]string{"/a": ""}))
		if err != nil && want != "error" || err == nil && string(out.Bytes) != want {
			t.Errorf("got %q, %v, want %q", out.Bytes, err, want)
		}
		if err == nil && strings.Join(out.Reads, " ") != "/a" {
			t.Errorf("reads %q", out.Reads)
		}
	}
	render("1 a")
	if !tmpl.Fresh() {
		t.Error("files that have not changed are not fresh")
	}
	parsed := tmpl.run.parts["part"].parsed
	render("1 a")
	if tmpl.run.parts["part"].parsed != parsed {
		t.Error("a file that has not changed was parsed again")
	}
	edit(t, filepath.Join(dir, "part"), `22{{getv "/a"}}`, time.Now())
	edit(t, filepath.Join(dir, "raw"), "b", time.Now())
	if tmpl.Fresh() {
		t.Error("files that have changed are fresh")
	}
	render("22 b")
	if !tmpl.Fresh() {
		t.Error("files that were read again are not fresh")
	}
	if err := os.Remove(filepath.Join(dir, "raw")); err != nil || tmpl.Fresh() {
		t.Errorf("a file that has gone is fresh, %v", err)
	}
	edit(t, filepath.Join(dir, "raw"), "b", time.Now())
	edit(t, filepath.Join(dir, "part"), `{{`, time.Now())
	render("error")
	render("error")
	edit(t, filepath.Join(dir, "part"), `3{{getv "/a"}}`, time.Now())
	render("3 b")
}

func TestTree(t *testing.T) {
	values := map[string]string{"/app/a": "1", "/app/a/b": "2", "/app/c/d/e": "3", "/apple": "4", "/app": "5"}
	for _, test := range []struct{ prefix, text, want string }{
		{"", `{{range tree "/app"}}{{.Key}}={{.Value}} {{end}}`, "a=1 a/b=2 c/d/e=3 "},
		{"", `{{range tree "app/a/"}}{{.Key}} {{end}}`, "b "},
		{"", `{{len (tree "/")}} {{len (tree "/none")}}`, "5 0"},
		{"/app", `{{range tree "/c"}}{{.Key}} {{end}}`, "d/e "},
	} {
		out, err := render(t, test.text, Options{Prefix: test.prefix}, values)
		if err != nil || string(out.Bytes) != test.want {
			t.Errorf("%s: %q, %v, want %q", test.text, out.Bytes, err, test.want)
		}
	}
}
