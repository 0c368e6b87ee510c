// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files writes files below a new directory, which it returns.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTasks looks at the table, and at the ways to ask for help.
func TestTasks(t *testing.T) {
	for _, task := range tasks() {
		if task.help == "" || task.detail == "" || task.codes == "" || len(task.examples) == 0 {
			t.Errorf("%s: the row has gaps", task.name)
		}
		for _, e := range task.examples {
			words := strings.Fields(e.line)
			if words[0] != "confd" || words[1] != task.name {
				t.Errorf("%s: the example is of something else: %s", task.name, e.line)
			}
			parsed, err := task.parse(words[2:])
			if err != nil {
				t.Errorf("%s: %v", e.line, err)
				continue
			}
			if _, err := parseFlags(parsed.flags); err != nil {
				t.Errorf("%s: %v", e.line, err)
			}
		}
		for _, o := range task.flags {
			if optionNamed(o.name) != nil || o.help == "" {
				t.Errorf("%s: -%s is a flag of confd too, or has no help", task.name, o.name)
			}
		}
		for _, args := range [][]string{{task.name, "-help"}, {task.name, "-confdir", "x", "--help"}, {task.name, "-h"}, {"help", task.name}} {
			code, stdout, stderr := runIt(t.Context(), nil, args...)
			if code != exitOK || stdout != task.text() || stderr != "" {
				t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
			}
		}
		for line := range strings.Lines(task.text()) {
			if len(line) > helpWidth+1 && !strings.Contains(line, "confd "+task.name) {
				t.Errorf("%s: too long: %q", task.name, line)
			}
		}
	}
	_, stdout, _ := runIt(t.Context(), nil, "help")
	for _, name := range taskNames() {
		if !strings.Contains(stdout, "\n  "+name+" ") {
			t.Errorf("confd help does not list %s", name)
		}
	}
}

func TestTaskMistakes(t *testing.T) {
	empty := writeFile(t, "empty.toml", "")
	for _, test := range []struct{ args, want string }{
		{"check x", "error: check takes no argument \"x\"\nhint: confd check -help"},
		{"check -elswhere", "error: check knows no flag -elswhere\nhint: did you mean -elsewhere?"},
		{"check -zzzzzzzzzzz", "error: check knows no flag -zzzzzzzzzzz\nhint: confd check -help lists its flags"},
		{"check -confdir", "error: flag -confdir needs a value: -confdir DIR"},
		{"check -elsewhere=perhaps", "error: -elsewhere: want true or false, not \"perhaps\""},
		{"render", "error: render wants TEMPLATE\nhint: confd render -help"},
		{"render a b -data x", "error: render takes no argument \"b\"\nhint: confd render -help"},
		{"render -data", "error: flag -data needs a value: -data FILE"},
		{"render -data x -missingkey maybe FILE", "error: -missingkey \"maybe\": want error or zero"},
		{"diff -interval 0", "error: an interval of 0 seconds: want at least 1"},
		{"diff -update", "error: diff knows no flag -update\nhint: confd diff -help lists its flags"},
		{"test -report xml", "error: unknown format of -report \"xml\": want json or junit, and a file behind a colon if it is not for standard output"},
	} {
		args := strings.Fields(strings.ReplaceAll(test.args, "FILE", empty))
		code, stdout, stderr := runIt(t.Context(), []string{"CONFD_CONFIG_FILE=" + empty}, args...)
		want := "confd: " + strings.ReplaceAll(test.want, "\n", "\nconfd: ") + "\n"
		if code != exitFailure || stderr != want || stdout != "" {
			t.Errorf("%s: exit code %d, %q\n%swant\n%s", test.args, code, stdout, stderr, want)
		}
	}
}

// TestTaskFlags holds that flags stand before and behind arguments, and that those of a
// task and those of confd are told apart.
func TestTaskFlags(t *testing.T) {
	task := renderTask()
	parsed, err := task.parse(strings.Fields("-prefix /x a.tmpl --data=1 -data 2 -noop -- "))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(parsed.words, " ") != "a.tmpl" || strings.Join(parsed.flags, " ") != "-prefix=/x -noop=true" || strings.Join(parsed.own.Data, " ") != "1 2" {
		t.Errorf("%q %q %q", parsed.words, parsed.flags, parsed.own.Data)
	}
	if parsed, err = task.parse([]string{"--", "-a.tmpl"}); err != nil || parsed.words[0] != "-a.tmpl" {
		t.Errorf("behind --: %v, %v", parsed, err)
	}
}

// TestGolden has cases that are wrong in all ways.
func TestGolden(t *testing.T) {
	dir := files(t, map[string]string{
		"templates/a.tmpl":                 `{{getv "/k"}}`,
		"templates/a.test/good.yaml":       "k: v",
		"templates/a.test/good.out":        "v",
		"templates/a.test/other.yaml":      "k: w",
		"templates/a.test/other.out":       "v",
		"templates/a.test/fails.yaml":      "x: y",
		"templates/a.test/fails.out":       "v",
		"templates/a.test/both.yaml":       "k: v",
		"templates/a.test/both.out":        "v",
		"templates/a.test/both.err":        "v",
		"templates/a.test/unmet.yaml":      "k: v",
		"templates/a.test/unmet.err":       "key does not exist",
		"templates/a.test/otherwise.yaml":  "x: y",
		"templates/a.test/otherwise.err":   "division by zero",
		"templates/a.test/none.yaml":       "k: v",
		"templates/a.test/broken.yaml":     "[",
		"templates/a.test/broken.out":      "v",
		"templates/a.test/environment.out": "v", "templates/a.test/environment.yaml": "k: v", "templates/a.test/environment.env": "#\nNAME\n",
	})
	code, stdout, stderr := runIt(t.Context(), nil, "test", "-confdir", dir, noConfig(t))
	if code != exitFailure || !strings.Contains(stderr, "error: 8 of 9 cases failed") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	for _, want := range []string{
		"FAIL a.test/other\n", "-v\n\\ No newline at end of file\n+w\n",
		"FAIL a.test/fails\n" + dir + "/templates/a.tmpl:1:3: getv: key does not exist: /k\n",
		"FAIL a.test/both\nthere are both ", "FAIL a.test/unmet\nrendered, where an error is to come\n",
		"FAIL a.test/otherwise\nthe error is\n", "FAIL a.test/none\nthere is no ", "FAIL a.test/broken\nreading values: ",
		"FAIL a.test/environment\n" + dir + "/templates/a.test/environment.env:2:1: want NAME=VALUE\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("standard output lacks %q", want)
		}
	}
	if strings.Contains(stdout, "a.test/good") {
		t.Error("a case that is in order is printed")
	}
	for _, test := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"templates/b.test/x.yaml": ""}, "b.test: there is no template"},
		{map[string]string{"templates/b.tmpl": "", "templates/b.test/x.yaml": "", "templates/b.test/x.json": "{}"}, "are of one case"},
		{map[string]string{"templates/b.tmpl": "", "templates/b.test/x.out": ""}, "x.out belongs to no case"},
		{map[string]string{"templates/b.tmpl": ""}, "there are no cases below"},
	} {
		code, stdout, stderr := runIt(t.Context(), nil, "test", "-confdir", files(t, test.files), noConfig(t))
		if code != exitFailure || !strings.Contains(stderr, test.want) || stdout != "" {
			t.Errorf("exit code %d\n%s%swant %s", code, stdout, stderr, test.want)
		}
	}
}

// TestGoldenUpdate holds what is written, and what stays.
func TestGoldenUpdate(t *testing.T) {
	dir := files(t, map[string]string{
		"templates/a.tmpl":         `{{getv "/k"}}`,
		"templates/a.test/x.yaml":  "k: v",
		"templates/a.test/x.err":   "an error that was",
		"templates/a.test/y.yaml":  "x: y",
		"templates/a.test/y.err":   "another",
		"templates/a.test/z.yaml":  "x: y",
		"templates/a.test/z.out":   "kept",
		"templates/a.test/odd.txt": "of no matter",
	})
	code, stdout, _ := runIt(t.Context(), nil, "test", "-update", "-confdir", dir, noConfig(t))
	if code != exitFailure || !strings.Contains(stdout, "FAIL a.test/z\n") || strings.Count(stdout, "FAIL") != 1 {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	for name, want := range map[string]string{"x.out": "v", "x.err": "", "y.err": "1:3: getv: key does not exist: /k\n", "y.out": "", "z.out": "kept"} {
		if got := readFile(filepath.Join(dir, "templates/a.test", name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
