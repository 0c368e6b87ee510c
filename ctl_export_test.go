// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestExport copies a store through a file into another one.
func TestExport(t *testing.T) {
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	f := newFakeStore(t, http.StatusOK, fmt.Sprintf(`{"action":"get","node":{"dir":true,"nodes":[
		{"key":"/empty","dir":true},
		{"key":"/d","dir":true,"nodes":[{"key":"/d/a","value":"1"}]},
		{"key":"/old","value":"x","expiration":"2001-01-01T00:00:00Z"},
		{"key":"/t","value":"2","expiration":%q,"ttl":3600}]}}`, expires))
	file := filepath.Join(t.TempDir(), "keys.json")
	code, _, stderr := ctl(t, "", nil, "-C", f.url, "export", "--file", file)
	if info, err := os.Stat(file); code != exitOK || err != nil || info.Mode() != 0o600 || !strings.Contains(stderr, "copied 3 keys of / at index 9") {
		t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
	}
	if f.seen() != "GET /v2/keys?quorum=true&recursive=true&sorted=true" {
		t.Errorf("asked %s", f.seen())
	}
	g := newFakeStore(t, http.StatusCreated, aNode)
	code, stdout, stderr := ctl(t, "", nil, "-C", g.url, "import", file)
	if code != exitOK || stdout != "Imported 2 keys; 0 existed and were kept, 1 had expired\n" {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if want := "PUT /v2/keys/empty?dir=true&prevExist=false\n"; !strings.HasPrefix(g.seen(), want) {
		t.Errorf("asked %s", g.seen())
	}
	for _, want := range []string{"PUT /v2/keys/d/a value=1", "PUT /v2/keys/t?ttl=3"} {
		if !strings.Contains(g.seen(), want) || strings.Contains(g.seen(), "/old") {
			t.Errorf("asked %s\nwant %s", g.seen(), want)
		}
	}
}

// TestImportMistakes makes sure that a copy which is not whole writes nothing.
func TestImportMistakes(t *testing.T) {
	for _, test := range []struct{ copy, want string }{
		{"", "the copy is empty"},
		{aNode + aNode[:20], "the copy ends in the middle"},
		{aNode + "\n{\"secret\": 1}", "object 2 of the copy is not a listing"},
		{"secret: 1", "object 1 of the copy is not a listing"},
		{`{"node":{"key":"/x","value":"v","expiration":"soon"}}`, "its expiration is not a time"},
		{aNode + `{"node":{"key":"/imp/../../up","value":"v"}}`, `the copy's "/imp/../../up" is not a clean key; it would become "/up"`},
		{`{"node":{"dir":true,"nodes":[{"key":"/d","dir":true,"nodes":[{"key":"/d/./x"}]}]}}`, `"/d/./x" is not a clean key`},
		{`{"node":{"key":"x","value":"v"}}`, `"x" is not a clean key`},
	} {
		f := newFakeStore(t, http.StatusOK, aNode)
		code, _, stderr := ctl(t, test.copy, nil, "-C", f.url, "import")
		if code != ctlFailure || !strings.Contains(stderr, test.want) || f.seen() != "" || strings.Contains(stderr, "secret") {
			t.Errorf("%q: exit code %d, asked %q: %s", test.copy, code, f.seen(), stderr)
		}
	}
	f := newFakeStore(t, http.StatusPreconditionFailed, `{"errorCode":105,"message":"Key already exists","cause":"/a","index":3}`)
	if code, stdout, _ := ctl(t, aNode, nil, "-C", f.url, "import", "--keep"); code != exitOK || stdout != "Imported 0 keys; 1 existed and were kept, 0 had expired\n" {
		t.Errorf("--keep: exit code %d, %s", code, stdout)
	}
	if code, stdout, _ := ctl(t, aNode, nil, "-C", f.url, "import"); code != ctlRefused || stdout != "" {
		t.Errorf("a refused write: exit code %d, %s", code, stdout)
	}
}

// TestExportFile pins what happens to the different kinds of files.
func TestExportFile(t *testing.T) {
	f := newFakeStore(t, http.StatusOK, aNode)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	export := func(name string, code int) {
		t.Helper()
		if got, _, stderr := ctl(t, "", nil, "-C", f.url, "export", "--file", in(name)); got != code {
			t.Errorf("%s: exit code %d, want %d: %s", name, got, code, stderr)
		}
	}
	if err := os.Mkdir(in("sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("sub/old"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"sub/back": "../link", "link": "sub/old", "dangling": "sub/new", "absolute": in("sub/third"),
		"null": "/dev/null", "loop": "loop",
	} {
		if err := os.Symlink(target, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range map[string]string{"sub/back": "sub/old", "dangling": "sub/new", "absolute": "sub/third"} {
		export(name, exitOK)
		info, err := os.Lstat(in(file))
		if err != nil || info.Mode() != 0o600 || !strings.Contains(readFile(in(file)), `"/a"`) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	export("null", exitOK)
	export("loop", ctlFailure)
	export("sub", ctlFailure)
	export("no/such", ctlFailure)
	for _, name := range []string{"sub/back", "link", "dangling", "absolute", "null", "loop"} {
		if info, err := os.Lstat(in(name)); err != nil || info.Mode().Type() != os.ModeSymlink {
			t.Errorf("%s is no link any more: %v, %v", name, info, err)
		}
	}

	if err := unix.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() { read <- readFile(in("pipe")) }()
	export("pipe", exitOK)
	if info, err := os.Lstat(in("pipe")); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("the pipe has been replaced: %v, %v", info, err)
	}
	if text := <-read; !strings.Contains(text, `"/a"`) {
		t.Errorf("the pipe got %q", text)
	}
	if left, _ := filepath.Glob(in("*/.*.*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// TestExportToOutput appends to the file that standard output is, rather than replacing
// it.
func TestExportToOutput(t *testing.T) {
	f := newFakeStore(t, http.StatusOK, aNode)
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	fmt.Fprintln(out, "before")
	code := run(t.Context(), []string{"-C", f.url, "export", "--file", fmt.Sprintf("/proc/self/fd/%d", out.Fd())},
		system{machine: testMachine(), environ: os.Environ, stdout: out, stderr: io.Discard})
	if text := readFile(out.Name()); code != exitOK || !strings.HasPrefix(text, "before\n{") {
		t.Errorf("exit code %d, the file has %q", code, text)
	}
}

// TestExportReplaced counts the values whose bytes the API cannot say.
func TestExportReplaced(t *testing.T) {
	f := newFakeStore(t, http.StatusOK, `{"action":"get","node":{"dir":true,"nodes":[
		{"key":"/a","value":"x\ufffd\ufffd"},{"key":"/b","value":"é"},{"key":"/d","dir":true,"nodes":[{"key":"/d/c","value":"`+"\xff"+`"}]}]}}`)
	code, _, stderr := ctl(t, "", nil, "-C", f.url, "export")
	if code != exitOK || !strings.Contains(stderr, "\nconfd: warning: 2 values of / have U+FFFD") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	f = newFakeStore(t, http.StatusOK, aNode)
	if _, _, stderr := ctl(t, "", nil, "-C", f.url, "export"); strings.Contains(stderr, "warning") {
		t.Errorf("nothing to warn of: %s", stderr)
	}
}

// TestImportTTL imports times to live that no store takes.
func TestImportTTL(t *testing.T) {
	for _, field := range []string{`"ttl":9223372036854775807`, `"ttl":9300000000`, `"expiration":"9999-12-31T23:59:59Z"`} {
		f := newFakeStore(t, http.StatusCreated, aNode)
		code, _, stderr := ctl(t, `{"node":{"key":"/x","value":"v",`+field+`}}`, nil, "-C", f.url, "import")
		if code != exitOK || f.seen() != "PUT /v2/keys/x?ttl=3153600000 value=v" {
			t.Errorf("%s: exit code %d, asked %s\n%s", field, code, f.seen(), stderr)
		}
	}
	f := newFakeStore(t, http.StatusCreated, aNode)
	if code, stdout, _ := ctl(t, `{"node":{"key":"/x","value":"v","ttl":-9223372036854775808}}`, nil, "-C", f.url, "import"); code != exitOK || f.seen() != "" {
		t.Errorf("a negative ttl: exit code %d, asked %s\n%s", code, f.seen(), stdout)
	}
}

// TestImportDirectory imports a directory to where there is something.
func TestImportDirectory(t *testing.T) {
	const copied = `{"node":{"dir":true,"nodes":[{"key":"/d","dir":true}]}}`
	for _, test := range []struct {
		there, flags string
		code         int
	}{
		{`{"key":"/d","dir":true}`, "", exitOK},
		{`{"key":"/d","value":"v"}`, "", ctlFailure},
		{`{"key":"/d","value":"v"}`, "--keep", exitOK},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				io.WriteString(w, `{"action":"get","node":`+test.there+`}`)
				return
			}
			if r.URL.Query().Get("prevExist") != "false" {
				t.Errorf("asked to change it: %s", r.URL)
			}
			w.WriteHeader(http.StatusPreconditionFailed)
			io.WriteString(w, `{"errorCode":105,"message":"Key already exists","cause":"/d","index":3}`)
		}))
		code, _, stderr := ctl(t, copied, nil, append([]string{"-C", server.URL, "import"}, strings.Fields(test.flags)...)...)
		server.Close()
		if code != test.code || code != exitOK && !strings.Contains(stderr, `writing "/d": the copy has a directory there, the store a value`) {
			t.Errorf("%s %s: exit code %d: %s", test.there, test.flags, code, stderr)
		}
	}
}
