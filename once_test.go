// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnce renders once from each backend that needs no server.
func TestOnce(t *testing.T) {
	values := writeFile(t, "v.yaml", "app:\n  v: from-file\n")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"store", []string{"-peer-addr=127.0.0.1:0"}, "none"},
		{"env", []string{"-backend=env"}, "from-environment"},
		{"file", []string{"-file", values}, "from-file"},
		{"watch is ignored", []string{"-file", values, "-watch"}, "from-file"},
		{"prefix", []string{"-backend=env", "-prefix=/other"}, "other-prefix"},
	} {
		dir, dest := newConfDir(t, `{{getv "/app/v" "none"}}`)
		args := append(test.args, "-onetime", "-confdir", dir, "-data-dir", t.TempDir(), noConfig(t))
		env := []string{"APP_V=from-environment", "OTHER_APP_V=other-prefix"}
		code, stdout, stderr := runIt(t.Context(), env, args...)
		if got := readFile(dest); code != exitOK || stdout != "" || got != test.want {
			t.Errorf("%s: exit code %d, rendered %q, want %q; %s", test.name, code, got, test.want, stderr)
		}
	}
}

// TestOnceModes checks the switches that hold something back.
func TestOnceModes(t *testing.T) {
	for _, test := range []struct {
		flag                       string
		written, checked, reloaded bool
		kept                       int // staged files that are left
	}{
		{"-noop=false", true, true, true, 0},
		{"-noop", false, false, false, 0},
		{"-sync-only", true, false, false, 0},
		{"-keep-stage-file", true, true, true, 1},
	} {
		dir, dest := newConfDir(t, "x")
		checked, reloaded := filepath.Join(dir, "checked"), filepath.Join(dir, "reloaded")
		f, err := os.OpenFile(filepath.Join(dir, "conf.d/app.toml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("check_cmd = 'touch " + checked + "'\nreload_cmd = 'touch " + reloaded + "'\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := runIt(t.Context(), nil, "-onetime", "-backend=env", "-confdir", dir, "-data-dir", t.TempDir(), noConfig(t), test.flag)
		kept, err := filepath.Glob(filepath.Join(dir, ".app.conf*"))
		if err != nil {
			t.Fatal(err)
		}
		got := []bool{exists(dest), exists(checked), exists(reloaded)}
		want := []bool{test.written, test.checked, test.reloaded}
		if code != exitOK || len(kept) != test.kept || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("%s: exit code %d, written, checked, reloaded %v, want %v; staged files %v; %s", test.flag, code, got, want, kept, stderr)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestOnceMakesNoStore checks that what only looks leaves no store where there was none.
func TestOnceMakesNoStore(t *testing.T) {
	dir, dest := newConfDir(t, "x")
	for _, args := range [][]string{
		{"diff", "-confdir", dir},
		{"-onetime", "-noop", "-confdir", dir},
		{"render", "-backend=raftkv", filepath.Join(dir, "templates/app.tmpl")},
	} {
		for _, data := range []string{filepath.Join(t.TempDir(), "fresh"), t.TempDir()} {
			before := exists(data)
			code, stdout, stderr := runIt(t.Context(), nil, append(args, "-data-dir", data, "-addr=127.0.0.1:0", "-peer-addr=127.0.0.1:0", noConfig(t))...)
			if code != exitFailure || stdout != "" || !strings.Contains(stderr, fmt.Sprintf("error: there is no store in the data directory %q", data)) || !strings.Contains(stderr, "confd: hint: ") {
				t.Errorf("%q: exit code %d, %s%s", args, code, stdout, stderr)
			}
			if entries, _ := os.ReadDir(data); exists(data) != before || len(entries) != 0 || exists(dest) {
				t.Errorf("%q: something was made in %s", args, data)
			}
		}
	}
}

// TestOnceFaults checks that every fault is a line and stops nothing else.
func TestOnceFaults(t *testing.T) {
	dir, dest := newConfDir(t, "good")
	for name, text := range map[string]string{
		"conf.d/a-syntax.toml":   "[template]\nsrc = \n",
		"conf.d/b-typo.toml":     "[template]\nsrc = \"app.tmpl\"\ndest = \"/tmp/b\"\nreload-cmd = \"x\"\nkyes = []\n",
		"conf.d/c-missing.toml":  "[template]\nsrc = \"missing.tmpl\"\ndest = \"" + dir + "/c\"\nkeys = [\"/app\"]\n",
		"conf.d/d-check.toml":    "[template]\nsrc = \"app.tmpl\"\ndest = \"" + dir + "/d\"\ncheck_cmd = \"echo wrong; false\"\n",
		"templates/missing.tmpl": `{{getv "/app/none"}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := runIt(t.Context(), nil, "-onetime", "-backend=env", "-confdir", dir, "-data-dir", t.TempDir(), "-log-level=error", noConfig(t))
	if code != exitFailure || readFile(dest) != "good" {
		t.Errorf("exit code %d, the good one %q", code, readFile(dest))
	}
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	want := []string{"a-syntax.toml:2", "b-typo.toml:4", "b-typo.toml:5", "c-missing.toml", "d-check.toml"}
	if len(lines) != len(want) {
		t.Fatalf("got\n%s\nwant a line for each of %v", stderr, want)
	}
	for i, part := range want {
		if !strings.HasPrefix(lines[i], "confd: error: ") || !strings.Contains(lines[i], part) {
			t.Errorf("line %d: %q, want %q in it", i, lines[i], part)
		}
	}
}

// TestOnceWithoutResources ends well, as confd 0.16 did, but says so.
func TestOnceWithoutResources(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := runIt(t.Context(), nil, "-onetime", "-backend=env", "-confdir", dir, noConfig(t))
	if code != exitOK || !strings.Contains(stderr, "there are no template resources") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestOnceInterrupted checks that a run that was cut short does not pass for a good one.
func TestOnceInterrupted(t *testing.T) {
	dir, _ := newConfDir(t, "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, _, stderr := runIt(ctx, nil, "-onetime", "-backend=env", "-confdir", dir, "-data-dir", t.TempDir(), noConfig(t)); code != exitFailure {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
