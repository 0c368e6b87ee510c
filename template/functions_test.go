// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/template-functions.md")

// exampleResolver knows the names of the examples.
type exampleResolver struct{}

func (exampleResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	if host != "web.example.com" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []net.IPAddr
	for _, ip := range []string{"192.0.2.9", "2001:db8::1", "192.0.2.10"} {
		addrs = append(addrs, net.IPAddr{IP: net.ParseIP(ip)})
	}
	return addrs, nil
}

func (exampleResolver) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service+proto+name != "httptcpexample.com" {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return "", []*net.SRV{{Target: "b.example.com.", Port: 8080}, {Target: "a.example.com.", Port: 8080}}, nil
}

// exampleOptions are the world of the examples.
func exampleOptions() Options {
	return Options{
		Getenv:   func(name string) string { return map[string]string{"HOME": "/root"}[name] },
		Now:      func() time.Time { return time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC) },
		Resolver: exampleResolver{},
		Hostname: func() (string, error) { return "box1", nil },
		Interface: func(name string) []netip.Addr {
			return map[string][]netip.Addr{"eth0": {netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.7")}}[name]
		},
	}
}

// render writes text to a file, beside those of the examples, and renders it.
func render(t *testing.T, text string, opts Options, values map[string]string) (Output, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range exampleFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "test.tmpl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(path, opts)
	if err != nil {
		return Output{}, err
	}
	return tmpl.Render(t.Context(), keysOf(values))
}

func TestExamples(t *testing.T) {
	names := make(map[string]bool)
	for _, f := range Functions() {
		if names[f.Name] {
			t.Errorf("%s is there twice", f.Name)
		}
		names[f.Name] = true
		if !strings.Contains(f.Example, f.Name) || f.Summary == "" ||
			!strings.HasPrefix(f.Signature, f.Name+" ") || !strings.Contains(f.Signature, "→") {
			t.Errorf("%s: the example, the summary or the signature is not its own", f.Name)
		}
		out, err := render(t, f.Example, exampleOptions(), exampleKeys)
		if err != nil || string(out.Bytes) != f.Result {
			t.Errorf("%s: %s\n got %q, %v\nwant %q", f.Name, f.Example, out.Bytes, err, f.Result)
		}
	}
	for _, name := range strings.Fields(`exists get gets getv getvs ls lsdir
		base dir split json jsonArray map getenv join datetime toUpper toLower contains replace
		trimSuffix lookupIP lookupIPV4 lookupIPV6 lookupSRV fileExists base64Encode base64Decode
		parseBool reverse sortByLength sortKVByLength add sub mul div mod seq atoi`) {
		if !names[name] {
			t.Errorf("%s of confd 0.16 is missing", name)
		}
	}
}

// TestForeign holds that names from elsewhere lead to functions that are here.
func TestForeign(t *testing.T) {
	here := map[string]bool{"printf": true, "print": true}
	for _, f := range Functions() {
		here[f.Name] = true
	}
	for _, f := range foreign {
		if here[f.name] || !here[strings.Fields(f.here)[0]] {
			t.Errorf("%s leads to %s", f.name, f.here)
		}
	}
	for _, c := range clashes {
		for name := range strings.SplitSeq(c.name, ", ") {
			if !here[name] {
				t.Errorf("%s clashes, and is not here", name)
			}
		}
	}
	for name, want := range map[string]string{
		"b64enc": "base64Encode", "sprig_upper": "toUpper", "mustToJson": "toJson", "mustRegexMatch": "regexMatch",
		"mustEnv": "getenv NAME and required", "sprig_default": "default",
	} {
		_, err := render(t, "{{"+name+" 1}}", Options{}, nil)
		if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("%q not defined; here it is %q", name, want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDoc(t *testing.T) {
	var want bytes.Buffer
	if err := WriteDoc(&want); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "docs", "template-functions.md")
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what WriteDoc writes; run: go test ./template -update", path)
	}
	for line := range strings.Lines(want.String()) {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|") > 4 {
			t.Errorf("a cell of the table holds a bar: %s", line)
		}
	}
	head, err := render(t, `{{range gets "/services/web/*"}}`+"\n    server {{.Value}};\n{{- end}}", Options{}, exampleKeys)
	if err != nil || !strings.Contains(docHead, string(head.Bytes)) {
		t.Errorf("the head does not show %q, %v", head.Bytes, err)
	}
}

// TestFunctions holds what the examples do not show.
func TestFunctions(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`{{seq 3 2}}{{len (seq -1 1)}} {{seq 5 5}}`, "[]3 [5]"},
		{`{{mod -7 3}} {{div -7 3}}`, "-1 -2"},
		{`{{replace "aaa" "a" "b" 2}}`, "bba"},
		{`{{getenv "NONE"}}|{{getenv "NONE" "a" "b"}}|{{getenv "HOME" "a"}}`, "|a|/root"},
		{`{{base ""}} {{base "/"}} {{dir "x"}}`, ". / ."},
		{`{{split "" ","}}{{len (split "" ",")}}`, "[]1"},
		{`{{join (getvs "/none/*") ","}}`, ""},
		{`{{with json "null"}}some{{else}}none{{end}} {{with jsonArray "[]"}}some{{else}}none{{end}}`, "none none"},
		{`{{json "{\"n\": 12345678}"}}`, "map[n:1.2345678e+07]"},
		{`{{reverse (seq 1 3)}} {{reverse (list 1 "a")}} {{reverse "ab"}} {{$l := split "a b" " "}}{{reverse $l}}{{$l}}`, "[3 2 1] [a 1] ab [b a][a b]"},
		{`{{$l := split "ccc bb a" " "}}{{sortByLength $l}}{{$l}}`, "[a bb ccc][a bb ccc]"},
		{`{{sortByLength (split "b a ccc c" " ")}}`, "[b a c ccc]"},
		{`{{range sortKVByLength (reverse (gets "/services/web/*"))}}{{base .Key}}{{end}}`, "ba"},
		{`{{printf "%T %T" (reverse (gets "/*")) (reverse (sortKVByLength (gets "/*")))}}`, "memkv.KVPairs []memkv.KVPair"},
		{`{{datetime}}`, "2026-01-02 15:04:05 +0000 UTC"},
		{`{{lookupIPV6 "no.example.com"}}{{lookupSRV "x" "y" "z"}}`, "[][]"},
		{`{{map}}{{map "a" 1}}`, "map[]map[a:1]"},
		{`{{(index (gets "/services/web/*") 0).Key}}`, "/services/web/a"},
		{`{{parseBool "T"}}{{parseBool "0"}}`, "truefalse"},
		{"{{with $x := get \"/app/name\"}}{{$x.Value}}{{end}}{{.}}", "shop<no value>"},
	} {
		out, err := render(t, test.text, exampleOptions(), exampleKeys)
		if err != nil || string(out.Bytes) != test.want {
			t.Errorf("%s\n got %q, %v\nwant %q", test.text, out.Bytes, err, test.want)
		}
	}
}

// TestDatetime holds that the reading of the monotonic clock is not printed.
func TestDatetime(t *testing.T) {
	for _, opts := range []Options{{}, {Now: time.Now}} {
		if out, err := render(t, `{{datetime}}`, opts, nil); err != nil || strings.Contains(string(out.Bytes), "m=") {
			t.Errorf("got %q, %v", out.Bytes, err)
		}
	}
}

// TestFileExists holds that only what is known to be missing is missing.
func TestFileExists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if fileExists(file) {
		t.Error("a file exists before it is made")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Dir(file), filepath.Join(file, "below a file")} {
		if !fileExists(path) {
			t.Errorf("fileExists(%q) = false", path)
		}
	}
}

// slowResolver never answers.
type slowResolver struct{}

func (slowResolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (slowResolver) LookupSRV(ctx context.Context, _, _, _ string) (string, []*net.SRV, error) {
	<-ctx.Done()
	return "", nil, ctx.Err()
}

func TestLookupTimeout(t *testing.T) {
	out, err := render(t, `{{lookupIP "a"}}{{lookupSRV "a" "b" "c"}}`,
		Options{Resolver: slowResolver{}, LookupTimeout: time.Millisecond}, nil)
	if err != nil || string(out.Bytes) != "[][]" {
		t.Errorf("a lookup that takes too long gives %q, %v", out.Bytes, err)
	}
}

func TestLookupCanceled(t *testing.T) {
	for _, call := range []string{`lookupIP "a"`, `lookupIPV4 "a"`, `lookupSRV "a" "b" "c"`} {
		path := filepath.Join(t.TempDir(), "test.tmpl")
		if err := os.WriteFile(path, []byte("{{"+call+"}}"), 0o600); err != nil {
			t.Fatal(err)
		}
		tmpl, err := Parse(path, Options{Resolver: slowResolver{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err = tmpl.Render(ctx, keysOf(nil))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of a rendering called off: %v", call, err)
		}
	}
}

// TestSeqEnds holds that the ends of the numbers are reached, and too many refused.
func TestSeqEnds(t *testing.T) {
	const most = int(^uint(0) >> 1)
	for _, ends := range [][2]int{{most - 1, most}, {-most - 1, -most}} {
		got, err := seq(ends[0], ends[1])
		if fmt.Sprint(got) != fmt.Sprint(ends) || err != nil {
			t.Errorf("seq %v = %v, %v", ends, got, err)
		}
	}
	for _, ends := range [][2]int{{0, maxSeq}, {-most - 1, most}} {
		if _, err := seq(ends[0], ends[1]); err == nil {
			t.Errorf("seq %v is made", ends)
		}
	}
}
