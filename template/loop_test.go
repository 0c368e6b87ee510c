// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/kelseyhightower/memkv"
	"pgregory.net/rapid"
)

var loopValues = map[string]string{"/a/x": "1", "/a/y": "<2>", "/a/z": "", "/b/x": "three", "/c": "%s {{.}}", "/d/e/f": "7", "/d/e/g": "8"}

// TestLoops holds which ranges are written by one function, and that all of them make what
// text/template makes of them.
func TestLoops(t *testing.T) {
	for _, test := range []struct {
		text  string
		loops int
	}{
		{`{{range gets "/a/*"}}{{.Key}} {{.Value}};{{end}}`, 1},
		{`{{range $kv := gets "/a/*"}}{{$kv.Key}} {{.Value}};{{end}}`, 1},
		{`{{range $i, $kv := gets "/a/*"}}{{$i}} {{$kv.Key}};{{end}}`, 1},
		{`{{range $kv, $kv := gets "/a/*"}}{{$kv.Key}};{{end}}`, 1},
		{`{{range tree "/d"}}{{base .Key}}={{.Value | toUpper | base}};{{end}}`, 1},
		{`{{range $d := lsdir "/"}}{{range gets (printf "/%s/*" $d)}}{{.Key}};{{end}}{{end}}`, 1},
		{`{{range gets "/a/*"}}{{.Key}};{{end}}{{$b := gets "/b/*"}}{{range gets "/a/*"}}{{.Key}};{{end}}{{range $b}}{{.Key}};{{end}}`, 2},
		{`{{$b := gets "/b/*"}}{{range gets "/a/*"}}{{.Key}};{{end}}{{range gets "/d/*/*"}}{{.Key}};{{end}}{{range $b}}{{.Key}};{{end}}`, 2},
		{`{{range ls "/a"}}{{.}},{{end}}{{range $i, $x := getvs "/*/*"}}{{$i}}:{{$x}},{{end}}`, 2},
		{`{{range split "a,b" ","}}-{{- . -}} - {{end}}`, 1},
		{`{{range "a,b" | split "x,y"}}{{.}};{{end}}`, 1},
		{`{{range gets "/none/*"}}{{.Key}}{{end}}{{range gets "/a/*"}}{{end}}`, 2},
		{`{{define "t"}}{{range .}}{{.Key}}{{end}}{{range ls "/a"}}{{.}}{{end}}{{end}}{{template "t" gets "/a/*"}}`, 1},
		{`{{if exists "/c"}}{{range ls "/"}}{{.}}{{end}}{{else}}{{range ls "/a"}}{{.}}{{end}}{{end}}`, 2},
		{`{{with "/a"}}{{range ls .}}{{.}}{{end}}{{end}}`, 1},
		{`{{range gets "/a/*"}}{{include "part" .Key}}{{end}}`, 0},
		{`{{range lsdir "/"}}{{include "part" .}}{{end}}`, 0},
		{`{{define "p"}}<{{range ls "/a"}}{{.}}{{end}}>{{end}}{{include "p"}}{{range ls "/"}}{{.}}{{end}}`, 2},
		{`{{range gets "/a/*"}}{{.}}{{end}}`, 0},
		{`{{range gets "/a/*"}}{{$}}{{end}}`, 0},
		{`{{range $i, $kv := gets "/a/*"}}{{add $i 1}}{{end}}`, 0},
		{`{{range $i, $x := ls "/a"}}{{printf "%v" $i}}{{end}}`, 0},
		{`{{range gets "/a/*"}}{{if eq .Value "1"}}{{break}}{{end}}{{.Key}}{{end}}`, 0},
		{`{{range gets "/none/*"}}{{.Key}}{{else}}none{{end}}`, 0},
		{`{{$x := ""}}{{range $x = ls "/a"}}{{$x}}{{end}}{{$x}}`, 0},
		{`{{range seq 1 3}}{{.}}{{end}}`, 0},
		{`{{range list 1 "a"}}{{.}}{{end}}`, 0},
		{`{{range gets "/a/*"}}{{.Value | own}}{{end}}`, 0},
		{`{{range owns}}{{.}};{{end}}`, 1},
		{`{{range gets "/["}}{{.Key}}{{end}}`, 1},
		{`{{range gets (getv "/x")}}{{.Key}}{{end}}`, 1},
		{`{{range ls 7}}{{.}}{{end}}`, 1},
		{`{{range ls "/a"}}{{.Name}}{{end}}`, 0},
		{`{{range gets "/a/*"}}{{.Name}}{{end}}`, 0},
	} {
		got, loops := compareLoops(t, t.TempDir(), test.text)
		if loops != test.loops {
			t.Errorf("%s: %d loops, want %d; it makes %s", test.text, loops, test.loops, got)
		}
	}
}

// TestLoopsAlike makes templates by chance.
func TestLoopsAlike(t *testing.T) {
	dir := t.TempDir()
	pieces := rapid.SliceOf(rapid.SampledFrom([]string{
		"text", " ", "\n", "{{.}}", "{{.Key}}", "{{.Value}}", "{{$}}", "{{$i}}", "{{$x}}", "{{$x.Key}}", "{{$i.Key}}", "{{$x.Value | base}}", "{{base .Key}}",
		"{{toUpper .}}", "{{toUpper $i}}", "{{. | toLower | toUpper}}", "{{- .Value -}}", `{{"a"}}`, "{{break}}", "{{$y := .}}", "{{(base .Key)}}", "{{.Key.X}}", "{{base .Key .Value}}",
	}))
	rapid.Check(t, func(t *rapid.T) {
		vars := rapid.SampledFrom([]string{"", "$x := ", "$i, $x := ", "$x, $i := ", "$x, $x := "}).Draw(t, "vars")
		list := rapid.SampledFrom([]string{`gets "/*/*"`, `tree "/"`, `ls "/"`, `getvs "/a/*"`, `"/a" | ls`, `ls "/" | reverse`, `gets "/["`}).Draw(t, "list")
		body := strings.Join(pieces.Draw(t, "body"), "")
		compareLoops(t, dir, fmt.Sprintf(`{{$i := "i"}}{{$x := "x"}}a{{range %s%s}}%s{{end}}z`, vars, list, body))
	})
}

// compareLoops renders a text with and without loops, and returns what came of it and how
// many loops there were.
func compareLoops(t interface {
	Fatal(...any)
	Errorf(string, ...any)
}, dir, text string) (outcome string, loops int) {
	path := filepath.Join(dir, "loops")
	part := "<{{.}}{{range ls \"/\"}} {{.}}{{end}}>"
	if err := os.WriteFile(filepath.Join(dir, "part"), []byte(part), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	render := func(straight bool) string {
		tmpl, err := Parse(path, Options{Static: true, Funcs: FuncMap{
			"own":  func(s string) string { panic("own") },
			"owns": func() ([]string, error) { return []string{"o", "p"}, nil },
		}})
		if err != nil {
			return err.Error()
		}
		if straight {
			for _, each := range tmpl.parsed.Templates() {
				for _, writer := range []string{pairsLoop, getsLoop, textsLoop} {
					loops += strings.Count(each.Root.String(), writer+" ")
				}
			}
		} else {
			plain := template.New(tmpl.source.name).Funcs(tmpl.run.bind(text)).Option("missingkey=error")
			if tmpl.parsed, err = plain.Parse(text); err != nil {
				t.Fatal(err)
			}
		}
		out, err := tmpl.Render(context.Background(), keysOf(loopValues))
		return fmt.Sprintf("%s, reads %q, %v", out.Bytes, out.Reads, err)
	}
	outcome = render(true)
	if want := render(false); outcome != want {
		t.Errorf("%s\n got %s\nwant %s", text, outcome, want)
	}
	return outcome, loops
}

// TestLoopStops: a loop ends with its context.
func TestLoopStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := output{ctx: ctx}
	l := loop{{what: fixed, text: "x"}}
	for _, err := range []error{o.texts(l, []string{"a"}), o.pairs(l, memkv.KVPairs{{}})} {
		if !errors.Is(err, context.Canceled) || len(o.buf) > 0 {
			t.Errorf("got %v and wrote %q, want the context's error", err, o.buf)
		}
	}
}

// TestRoom: a large output is moved each time it has doubled, and the list of a loop that is
// over is the next one's.
func TestRoom(t *testing.T) {
	text := strings.Repeat("x", 100)
	if n := testing.AllocsPerRun(1, func() {
		o := output{ctx: t.Context()}
		for range 10_000 {
			o.text(&piece{}, text)
		}
	}); n > 16 {
		t.Errorf("a megabyte was written with %v allocations, want at most 16", n)
	}
	s := newStore(keysOf(loopValues), "/")
	first, err := s.gets("/a/*")
	if err != nil {
		t.Fatal(err)
	}
	s.takeBack(first)
	second, err := s.gets("/d/e/*")
	if err != nil {
		t.Fatal(err)
	}
	third, err := s.gets("/a/*")
	if err != nil || &first[0] != &second[0] || &second[0] == &third[0] {
		t.Errorf("the list that was taken back is not used once: %v", err)
	}
}
