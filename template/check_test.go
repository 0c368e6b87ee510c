// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, main, part string
		want             []string // DIR for the folder
	}{
		{"in order", `{{define "x"}}{{end}}{{template "x"}}{{include "x"}}{{include "part" . | indent 2}}{{now.Year}}{{getv "/a" | default "b"}}{{printf "%d" 1}}`, "{{.}}", nil},
		{"arguments", "{{getv}}\n {{getv \"/a\" | join}} {{if hasKey (dict 1 2)}}{{end}}", "", []string{
			"DIR/main:1:3: getv: wants 1 argument or more, but got 0",
			"DIR/main:2:16: join: wants 2 arguments, but got 1",
			"DIR/main:2:28: hasKey: wants 2 arguments, but got 1"}},
		{"an argument without arguments", "{{date now}}{{add hostname (atoi)}}", "", []string{
			"DIR/main:1:3: date: wants 2 arguments, but got 1", "DIR/main:1:29: atoi: wants 1 argument, but got 0"}},
		{"template", "{{range .}}{{else}}{{template \"none\" (seq 1)}}{{end}}", "", []string{
			"DIR/main:1:31: template \"none\" not defined; {{include}} takes a file", "DIR/main:1:39: seq: wants 2 arguments, but got 1"}},
		{"files", `{{include "none"}}{{file "none"}}{{file "../x"}}`, "", []string{
			`DIR/main:1:3: include: "none" does not exist below "DIR"`, `DIR/main:1:21: file: "none" does not exist`, `DIR/main:1:36: file: "../x" cannot be read`}},
		{"expression", `{{regexMatch "(" .}}{{"x" | regexFind "[0-9"}}`, "", []string{
			"DIR/main:1:3: regexMatch: not a regular expression: missing closing )", "DIR/main:1:29: regexFind: not a regular expression: missing closing ]"}},
		{"in a part", `{{with 1}}{{include "part"}}{{end}}{{include "part"}}`, "\n{{seq 1}}", []string{"DIR/part:2:3: seq: wants 2 arguments, but got 1"}},
		{"part that does not parse", `{{include "part"}}`, "\n{{if}}", []string{"DIR/part:2:1: missing value for if"}},
		{"in a define", "{{define \"x\"}}\n{{seq 1}}{{end}}", "", []string{"DIR/main:2:3: seq: wants 2 arguments, but got 1"}},
	} {
		dir := folder(t, map[string]string{"main": test.main, "part": test.part})
		tmpl, err := Parse(filepath.Join(dir, "main"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := tmpl.Check(); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: %d faults, want %d:\n%s", test.name, len(got), len(test.want), strings.Join(got, "\n"))
			continue
		}
		for i, want := range test.want {
			if want = strings.ReplaceAll(want, "DIR", dir); !strings.HasPrefix(got[i], want) {
				t.Errorf("%s:\n got %s\nwant %s", test.name, got[i], want)
			}
		}
	}
}

// TestCheckExamples holds that the check knows what every function takes.
func TestCheckExamples(t *testing.T) {
	for _, f := range Functions() {
		files := map[string]string{"main": f.Example}
		for name, text := range exampleFiles {
			files[name] = text
		}
		tmpl, err := Parse(filepath.Join(folder(t, files), "main"), exampleOptions())
		if err != nil {
			t.Fatal(err)
		}
		if err := tmpl.Check(); err != nil {
			t.Error(fmt.Errorf("%s: %w", f.Name, err))
		}
	}
}
