// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kelseyhightower/memkv"
	"github.com/rogpeppe/go-internal/txtar"

	"confd/backends"
)

// TestGolden renders the templates of testdata. Each archive holds "keys", one "KEY
// VALUE" a line; "template"; and "want", or "error" with what the message begins with
// after the path. "prefix", "missingkey" and "reads" may be there too.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("archives: %q, %v", archives, err)
	}
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			a, err := txtar.ParseFile(archive)
			if err != nil {
				t.Fatal(err)
			}
			files := make(map[string]string)
			for _, f := range a.Files {
				files[f.Name] = string(f.Data)
			}
			values := make(map[string]string)
			for line := range strings.Lines(files["keys"]) {
				key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				values[key] = value
			}
			opts := exampleOptions()
			opts.Prefix = strings.TrimSpace(files["prefix"])
			opts.MissingKey = strings.TrimSpace(files["missingkey"])
			out, err := render(t, files["template"], opts, values)
			if message, ok := files["error"]; ok {
				got := fmt.Sprint(err)
				if _, got, _ = strings.Cut(got, "test.tmpl:"); got != strings.TrimSpace(message) {
					t.Errorf("got error %v\nwant %s", err, message)
				}
				return
			}
			if err != nil || string(out.Bytes) != files["want"] {
				t.Errorf("got %v\n%s\nwant\n%s", err, out.Bytes, files["want"])
			}
			if reads, ok := files["reads"]; ok && strings.Join(out.Reads, "\n")+"\n" != reads {
				t.Errorf("reads %q, want %q", out.Reads, reads)
			}
		})
	}
}

// secret is a value that must not show up in an error.
const secret = "hunter2"

// TestErrors holds the text of errors: the full path once, the line, the column, what is
// wrong, and no value.
func TestErrors(t *testing.T) {
	values := map[string]string{"/s": secret, "/n": "4711", "/o": `{"k": "hunter2"}`, "/d/x": secret}
	for _, test := range []struct{ text, want string }{
		{"a\nb {{getv \"/x\"}}", `:2:5: getv: key does not exist: /x`},
		{`{{with get "/x/y"}}{{end}}`, `:1:8: get: key does not exist: /x/y`},
		{`{{"/x" | getv}}`, `:1:10: getv: key does not exist: /x`},
		{"{{define \"one\"}}\n{{getv \"/x\"}}{{end}}{{template \"one\"}}", `:2:3: in "one": getv: key does not exist: /x`},
		{`{{gets "/["}}`, `:1:3: gets: syntax error in pattern`},
		{`{{div 1 0}}`, `:1:3: div: division by zero`},
		{`{{mod 1 0}}`, `:1:3: mod: division by zero`},
		{`{{seq 0 10000000}}`, `:1:3: seq: more than 10000000 numbers`},
		{`{{atoi (getv "/s")}}`, `:1:3: atoi: not a whole number: invalid syntax`},
		{`{{atoi "99999999999999999999"}}`, `:1:3: atoi: not a whole number: value out of range`},
		{`{{parseBool (getv "/s")}}`, `:1:3: parseBool: not true or false: invalid syntax`},
		{`{{json (getv "/s")}}`, `:1:3: json: not valid JSON: mistake at byte 1`},
		{`{{json (getv "/n")}}`, `:1:3: json: JSON number where an object is wanted`},
		{`{{json "[]"}}`, `:1:3: json: JSON array where an object is wanted`},
		{`{{jsonArray (getv "/o")}}`, `:1:3: jsonArray: JSON object where an array is wanted`},
		{`{{jsonArray "[1e999]"}}`, `:1:3: jsonArray: JSON number out of range before byte 7`},
		{`{{base64Decode (getv "/s")}}`, `:1:3: base64Decode: illegal base64 data at input byte 4`},
		{`{{map "a"}}`, `:1:3: map: map wants pairs of a key and a value, but got 1 arguments`},
		{`{{map 1 (getv "/s")}}`, `:1:3: map: map keys must be strings, but argument 1 is of type int`},
		{`{{range getv "/s"}}{{end}}`, `:1:14: at <"/s">: range can't iterate over this value`},
		{`{{range $i, $s := atoi (getv "/n")}}{{end}}`, `:1:30: at <"/n">: can't use this value for a range with two variables`},
		{`{{eq (json (getv "/o")) (json (getv "/o"))}}`, `:1:3: eq: values of this type cannot be compared`},
		{`{{eq 1 (getv "/s")}}`, `:1:3: eq: incompatible types for comparison: int and string`},
		{`{{(getv "/s").X}}`, `:1:9: at <"/s">: can't evaluate field X in type string`},
		{`{{add "a" 1}}`, `:1:7: at <"a">: expected integer; found "a"`},
		{`{{add (getv "/s") 1}}`, `:1:13: at <"/s">: wrong type for value; expected int; got string`},
		{`{{index (gets "/d/*") 7}}`, `:1:3: index: index out of range: 7`},
		{`{{template "none"}}`, `:1:12: at <{{template "none"}}>: template "none" not defined`},
		{"\n{{getvv \"/x\"}}", `:2:3: function "getvv" not defined; did you mean "getv"?`},
		{`{{toupper "a"}}`, `:1:3: function "toupper" not defined; did you mean "toUpper"?`},
		{`{{cgetv "/x"}}`, `:1:3: function "cgetv" not defined; encrypted values are not supported, see "getv"`},
		{`{{somethingelse}}`, `:1:3: function "somethingelse" not defined`},
		{"\n\n{{if}}", `:3:1: missing value for if`},
		{"{{range}", `:1:1: bad character U+007D '}'`},
	} {
		_, err := render(t, test.text, exampleOptions(), values)
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%s: got %v, want an *Error", test.text, err)
			continue
		}
		want := e.Path + test.want
		if err.Error() != want || !filepath.IsAbs(e.Path) {
			t.Errorf("%s\n got %v\nwant %s", test.text, err, want)
		}
		if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: the value is in the error: %v", test.text, err)
		}
	}
}

// TestErrorMissing holds what a caller can learn from the error of a missing key.
func TestErrorMissing(t *testing.T) {
	out, err := render(t, `{{ls "/b"}}{{getv "/x"}}`, Options{Prefix: "/app"}, map[string]string{"/app/a": ""})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Key != "/app/x" || e.Line != 1 || e.Column != 14 {
		t.Fatalf("error %#v", err)
	}
	key, ok := errors.AsType[*memkv.KeyError](err)
	if !ok || key.Key != "/x" || !errors.Is(err, memkv.ErrNotExist) {
		t.Errorf("%v does not lead to memkv's error", err)
	}
	if out.Bytes != nil || fmt.Sprint(out.Reads) != "[/app/b /app/x]" {
		t.Errorf("output with the error: %q %q", out.Bytes, out.Reads)
	}
}

func TestParseErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Parse(filepath.Join(dir, "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	if _, err := Parse(dir, Options{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
}

// TestReload has a template follow its file.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.tmpl")
	old := time.Now().Add(-time.Hour)
	write := func(text string, mtime time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	write("one", old)
	tmpl, err := Parse(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		out, err := tmpl.Render(t.Context(), keysOf(nil))
		if err != nil && want != "error" || err == nil && string(out.Bytes) != want {
			t.Errorf("got %q, %v, want %q", out.Bytes, err, want)
		}
	}
	expect("one")
	parsed := tmpl.parsed
	expect("one")
	if tmpl.parsed != parsed {
		t.Error("a file that has not changed was parsed again")
	}
	write("two", old.Add(time.Second))
	expect("two")
	write("three", old.Add(time.Second)) // told by its size
	expect("three")

	other := path + ".new" // told by its inode
	if err := os.WriteFile(other, []byte("renam"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, old.Add(time.Second), old.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	expect("renam")

	write("{{getv", old.Add(2*time.Second))
	expect("error")
	expect("error")
	write("mended", old.Add(2*time.Second))
	expect("mended")

	now := time.Now() // too young to be told by its time
	write("tick1", now)
	expect("tick1")
	write("tick2", now)
	expect("tick2")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("error")
}

// TestConcurrent has one template render different keys at once.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.tmpl")
	if err := os.WriteFile(path, []byte(`{{range seq 1 50}}{{getv "/a"}} {{end}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			want := fmt.Sprintf("v%d ", i)
			out, err := tmpl.Render(t.Context(), keysOf(map[string]string{"/a": "v" + fmt.Sprint(i)}))
			if err != nil || string(out.Bytes) != strings.Repeat(want, 50) {
				t.Errorf("got %q, %v", out.Bytes, err)
			}
		})
	}
	group.Wait()
}

// TestOutputs holds that an output is the caller's, and that a run keeps nothing.
func TestOutputs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.tmpl")
	if err := os.WriteFile(path, []byte(`{{getv "/a"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	render := func(value string) Output {
		out, err := tmpl.Render(t.Context(), keysOf(map[string]string{"/a": value}))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := render("first")
	render("other")
	if string(first.Bytes) != "first" {
		t.Errorf("the first output has become %q", first.Bytes)
	}
	if tmpl.run.ctx != nil || tmpl.run.store.keys != nil {
		t.Error("the keys are held after the rendering")
	}
}

// TestCanceled has a rendering stop in its middle.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := filepath.Join(t.TempDir(), "test.tmpl")
	if err := os.WriteFile(path, []byte(`{{range seq 1 9}}{{step}} {{end}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := 0
	tmpl, err := Parse(path, Options{Funcs: FuncMap{"step": func() int {
		if steps++; steps == 3 {
			cancel()
		}
		return steps
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Render(ctx, keysOf(nil)); !errors.Is(err, context.Canceled) || steps != 3 {
		t.Errorf("after %d steps: %v", steps, err)
	}
	if out, err := tmpl.Render(t.Context(), keysOf(nil)); err != nil || len(out.Bytes) == 0 {
		t.Errorf("the next rendering: %q, %v", out.Bytes, err)
	}
}

// TestLive renders from a map that is written to afterwards.
func TestLive(t *testing.T) {
	m := backends.NewMap()
	m.Set("/app/a", "1")
	before := m.Keys()
	m.Set("/app/a", "2")
	path := filepath.Join(t.TempDir(), "test.tmpl")
	if err := os.WriteFile(path, []byte(`{{getv "/a"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(path, Options{Prefix: "app"})
	if err != nil {
		t.Fatal(err)
	}
	for i, keys := range []backends.Keys{before, m.Keys().Under([]string{"/app"})} {
		if out, err := tmpl.Render(t.Context(), keys); err != nil || string(out.Bytes) != fmt.Sprint(i+1) {
			t.Errorf("got %q, %v, want %d", out.Bytes, err, i+1)
		}
	}
}
