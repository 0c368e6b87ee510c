// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"confd/backends/file"
)

// values returns what the files make.
func values(t *testing.T, cfg file.Config) (map[string]string, error) {
	t.Helper()
	snap, err := open(t, cfg).Snapshot(t.Context(), []string{"/"})
	if err != nil {
		return nil, err
	}
	return maps.Collect(snap.Keys.From("")), nil
}

func TestFormats(t *testing.T) {
	type kv = map[string]string
	for _, tt := range []struct {
		name, file, data string
		want             kv
	}{
		{"nested", "v.yaml", "a:\n  b:\n    c: x\nd: z\n", kv{"/a/b/c": "x", "/d": "z"}},
		{"list", "v.yaml", "a: [x, {b: u}, [z]]", kv{"/a/0": "x", "/a/1/b": "u", "/a/2/0": "z"}},
		{"integers", "v.yaml", "{a: 42, b: -7, c: 0x10, d: 010, e: 1_000, f: 0b101, g: +3, h: 0o17}",
			kv{"/a": "42", "/b": "-7", "/c": "16", "/d": "8", "/e": "1000", "/f": "5", "/g": "3", "/h": "0o17"}},
		{"large integers", "v.yaml", "{a: 9223372036854775807, b: 18446744073709551615, c: 123456789012345678901234567890, d: 00089}",
			kv{"/a": "9223372036854775807", "/b": "18446744073709551615", "/c": "123456789012345678901234567890", "/d": "89"}},
		{"floats", "v.yaml", "{a: 1.50, b: 1e+3, c: .5, d: 1.0, e: .inf, f: -.inf, g: .nan, h: 1E+21, i: 7., j: 1e3}",
			kv{"/a": "1.5", "/b": "1000", "/c": "0.5", "/d": "1", "/e": "+Inf", "/f": "-Inf", "/g": "NaN", "/h": "1000000000000000000000", "/i": "7.", "/j": "1e3"}},
		{"booleans of YAML 1.1", "v.yaml", "{a: true, b: yes, c: On, d: n, e: OFF, f: 'yes', g: !!str yes, h: yEs}",
			kv{"/a": "true", "/b": "true", "/c": "true", "/d": "false", "/e": "false", "/f": "yes", "/g": "yes", "/h": "yEs"}},
		{"null is no key", "v.yaml", "{a: null, b: ~, c: , d: [], e: {}, f: ''}", kv{"/f": ""}},
		{"times stay as written", "v.yaml", "{a: 2024-01-02, b: 2024-01-02T03:04:05.60Z, c: 2024-01-02 03:04:05 +01:00}",
			kv{"/a": "2024-01-02", "/b": "2024-01-02T03:04:05.60Z", "/c": "2024-01-02 03:04:05 +01:00"}},
		{"strings", "v.yaml", "a: '010'\nb: \"x\\ty\"\nc: |\n  one\n  two\nd: 1.2.3\ne: 10.0.0.1:80\nf: !!binary aGk=\ng: !x y\n",
			kv{"/a": "010", "/b": "x\ty", "/c": "one\ntwo\n", "/d": "1.2.3", "/e": "10.0.0.1:80", "/f": "hi", "/g": "y"}},
		{"names that are no strings", "v.yaml", "{8080: a, true: b, 1.50: c, 010: d, yes: e, 2024-01-02: f}",
			kv{"/8080": "a", "/true": "b", "/1.50": "c", "/010": "d", "/yes": "e", "/2024-01-02": "f"}},
		{"names with slashes", "v.yaml", "{a/b: 1, /c/: 2, d: {../e: 3}, f//g: 4}",
			kv{"/a/b": "1", "/c": "2", "/e": "3", "/f/g": "4"}},
		{"the last of two names holds", "v.yaml", "a: {b: 1}\na: {c: 2}\n", kv{"/a/c": "2"}},
		{"aliases and merges", "v.yaml", "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: *x\nw: {<<: [{a: 4}, *x]}\n",
			kv{"/x/a": "1", "/x/b": "2", "/y/a": "1", "/y/b": "3", "/z/a": "1", "/z/b": "2", "/w/a": "4", "/w/b": "2"}},
		{"alias as a name", "v.yaml", "a: &n name\n*n : x\n", kv{"/a": "name", "/name": "x"}},
		{"first document only", "v.yaml", "a: 1\n---\na: 2\n", kv{"/a": "1"}},
		{"empty", "v.yaml", "", kv{}},
		{"comments only", "v.yaml", "# nothing\n", kv{}},
		{"null document", "v.yaml", "---\n~\n", kv{}},
		{"byte order mark", "v.yaml", "\ufeffa: 1\n", kv{"/a": "1"}},
		{"any other extension is YAML", "v.conf", "a: 1\n", kv{"/a": "1"}},
		{"JSON by another name", "v.yml", "{\n\t\"a\": {\"b\": [1, true, null]}\n}\n", kv{"/a/b/0": "1", "/a/b/1": "true"}},

		{"JSON", "v.json", `{"a": {"b": [1, 1.50, 1e3, true, false, null, "yes", 123456789012345678901234567890, -0.0]}}`,
			kv{"/a/b/0": "1", "/a/b/1": "1.5", "/a/b/2": "1e3", "/a/b/3": "true", "/a/b/4": "false", "/a/b/6": "yes", "/a/b/7": "123456789012345678901234567890", "/a/b/8": "-0"}},
		{"JSON with pairs of escapes", "v.JSON", `{"a": "\ud83d\ude00\/"}`, kv{"/a": "😀/"}},
		{"JSON names twice", "v.json", `{"a": {"b": 1}, "a": {"c": 2}}`, kv{"/a/c": "2"}},
		{"JSON with a comment", "v.json", "{\"a\": 1, # one\n}", kv{"/a": "1"}},
		{"empty JSON", "v.json", "", kv{}},

		{"TOML", "v.toml", "a = 1\nb = 1.50\nc = true\nd = 'x'\n[e]\nf = [1, [2]]\n[[g]]\nh = 1\n[[g]]\nh = 2\n",
			kv{"/a": "1", "/b": "1.5", "/c": "true", "/d": "x", "/e/f/0": "1", "/e/f/1/0": "2", "/g/0/h": "1", "/g/1/h": "2"}},
		{"TOML times", "v.toml", "a = 2024-01-02T03:04:05.5Z\nb = 2024-01-02T03:04:05+01:00\nc = 2024-01-02T03:04:05\nd = 2024-01-02\ne = 03:04:05.25\n",
			kv{"/a": "2024-01-02T03:04:05.5Z", "/b": "2024-01-02T03:04:05+01:00", "/c": "2024-01-02T03:04:05", "/d": "2024-01-02", "/e": "03:04:05.25"}},
		{"TOML large integers", "v.toml", "a = 9223372036854775807\nb = 0xff\n", kv{"/a": "9223372036854775807", "/b": "255"}},
		{"TOML dotted names", "v.toml", "a.b = 1\n\"c/d\" = 2\n", kv{"/a/b": "1", "/c/d": "2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := testFile(t, t.TempDir(), tt.file, tt.data)
			got, err := values(t, file.Config{Paths: []string{name}})
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestErrors: the file and the line are named, and what is in the file is not.
func TestErrors(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		a, b := string(rune('0'+i)), string(rune('1'+i))
		bomb += "a" + b + ": &a" + b + " [" + strings.Repeat("*a"+a+",", 9) + "*a" + a + "]\n"
	}
	for _, tt := range []struct{ name, file, data, want string }{
		{"open list", "v.yaml", "a: 1\nb: [s3cret", "line 2"},
		{"on the first line", "v.yaml", "a: [s3cret", "line 1"},
		{"indentation", "v.yaml", "a: 1\nb:\n    c: s3cret\n  d: 2\n", "line 4"},
		{"no separator", "v.yaml", "a: 1\ns3cret\n", "line 2"},
		{"control character", "v.yaml", "a: 1\nb: s3cret\x01\n", "line 2"},
		{"not UTF-8", "v.yaml", "a: 1\nb: 2\nc: s3cret\xff\n", "line 3"},
		{"unknown anchor", "v.yaml", "a: 1\nb: s3cret\nc: *x\n", "line 3"},
		{"value that looks like an alias", "v.yaml", "a: *s3cret\n", "line 1: unknown anchor; a value that begins with * must stand in quotes"},
		{"alias within its anchor", "v.yaml", "a: s3cret\nb: &x\n  c: *x\n", "line 3"},
		{"merge within its anchor", "v.yaml", "a: s3cret\nb: &x\n  <<: *x\n", "line 3"},
		{"merge of a value", "v.yaml", "a: 1\n<<: s3cret\n", "line 2"},
		{"list on top", "v.yaml", "- s3cret\n", "line 1: the top level must be"},
		{"value on top", "v.yaml", "s3cret\n", "line 1: the top level must be"},
		{"mapping as a name", "v.yaml", "a: 1\n? {b: s3cret}\n: 2\n", "line 2"},
		{"aliases that grow", "v.yaml", bomb, "aliases repeat"},
		{"JSON", "v.json", "{\n\"a\": \"s3cret\",\n\"b\": ]\n", "line 3"},
		{"JSON cut off", "v.json", "{\n\"a\": \"s3cret\",\n", "line 3: unexpected end"},
		{"JSON twice", "v.json", "{\"a\": 1}\n{\"b\": 2}\n", "line 2: there is something"},
		{"JSON list on top", "v.json", "[\"s3cret\"]", "line 1: the top level must be"},
		{"TOML", "v.toml", "a = 1\nb = s3cret\n", "line 2"},
		{"TOML number", "v.toml", "a = 700700700700700700700\n", "line 1: … is out of range"},
		{"TOML table twice", "v.toml", "[a]\nb = \"s3cret\"\n[a]\n", "line 3"},
		{"TOML cut off", "v.toml", "a = 1\nb = \"s3cret\n", "line 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := testFile(t, t.TempDir(), tt.file, tt.data)
			got, err := values(t, file.Config{Paths: []string{name}})
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			if text := err.Error(); !strings.Contains(text, name) || !strings.Contains(text, tt.want) {
				t.Errorf("got %q, want %q and the file's name in it", text, tt.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error quotes the file: %q", err)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"b.yaml":          "{k: b, b: 1}",
		"a.yaml":          "{k: a, a: 1}",
		"c/d/e.json":      `{"k": "e", "e": 1}`,
		"c/x.txt":         "{x: 1}",
		"z.toml":          "z = 1",
		"..2024/a.yaml":   "{inner: 1}",
		".hidden.yaml":    "{hidden: 1}",
		".a.yaml.swp":     "\x00\x01",
		"a.yaml~":         "{k: old",
		"#a.yaml#":        "{k: old",
		"elsewhere/f.yml": "{f: 1}",
	} {
		testFile(t, dir, name, data)
	}
	for link, target := range map[string]string{
		"..data":           "..2024",
		".#a.yaml":         "user@host.1234",
		"c/loop":           "..",
		"c/linked":         "../elsewhere",
		"mounted.yaml":     "..data/a.yaml",
		"elsewhere/g.yaml": "../b.yaml",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	extra := testFile(t, t.TempDir(), "extra.txt", "{k: extra}")
	all := map[string]string{
		"/k": "b", "/a": "1", "/b": "1", "/e": "1", "/x": "1", "/z": "1", "/f": "1", "/hidden": "1", "/inner": "1",
	}
	// In lexical order: .hidden.yaml a.yaml b.yaml c/… elsewhere/f.yml elsewhere/g.yaml …
	with := func(changes ...string) map[string]string {
		m := maps.Clone(all)
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		paths  []string
		filter string
		want   map[string]string
	}{
		{"directory", []string{dir}, "", all},
		{"the same by a link", []string{filepath.Join(dir, "c/loop")}, "", all},
		{"filter", []string{dir}, "*.json", map[string]string{"/k": "e", "/e": "1"}},
		{"filter and links", []string{dir}, "g*", map[string]string{"/k": "b", "/b": "1"}},
		{"later path wins", []string{dir, extra}, "*", with("/k", "extra")},
		{"earlier path loses", []string{extra, dir}, "*", all},
		{"no filter for named files", []string{extra, filepath.Join(dir, "c/x.txt")}, "*.yaml", map[string]string{"/k": "extra", "/x": "1"}},
		{"one below", []string{filepath.Join(dir, "c/d")}, "", map[string]string{"/k": "e", "/e": "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := values(t, file.Config{Paths: tt.paths, Filter: tt.filter})
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestWhole(t *testing.T) {
	dir := t.TempDir()
	testFile(t, dir, "a.yaml", "{a: 1}")
	testFile(t, dir, "b.yaml", "{b: [")
	testFile(t, dir, "c.toml", "c = ")
	if err := os.Symlink("nowhere", filepath.Join(dir, "d.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err := values(t, file.Config{Paths: []string{dir}})
	if err == nil || !strings.Contains(err.Error(), "d.yaml") {
		t.Errorf("with a dangling link: got %v, want an error that names it", err)
	}
	if err := os.Remove(filepath.Join(dir, "d.yaml")); err != nil {
		t.Fatal(err)
	}
	_, err = values(t, file.Config{Paths: []string{dir}})
	if err == nil || !strings.Contains(err.Error(), "b.yaml") || !strings.Contains(err.Error(), "c.toml") {
		t.Errorf("with two broken files: got %v, want an error that names both", err)
	}
}

func TestPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("a: 1\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer r.Close()
	t.Chdir("/proc/self/fd")
	matches, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	var name string
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			if same, err := r.Stat(); err == nil && os.SameFile(info, same) {
				name = m
			}
		}
	}
	b := open(t, file.Config{Paths: []string{filepath.Join("/proc/self/fd", name)}})
	for range 2 {
		if got := get(t, b, "/a"); got != "1" {
			t.Errorf("value read from a pipe: got %q, want 1", got)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := file.Open(t.Context(), file.Config{}); err == nil || !strings.Contains(err.Error(), "-file") {
		t.Errorf("no paths: got %v, want a hint at -file", err)
	}
	if _, err := file.Open(t.Context(), file.Config{Paths: []string{"x"}, Filter: "["}); err == nil || !strings.Contains(err.Error(), `"["`) {
		t.Errorf("bad filter: got %v, want an error that quotes it", err)
	}
}
