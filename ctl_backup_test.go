// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackup copies a store through a file into another one.
func TestBackup(t *testing.T) {
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	f := newFakeStore(t, http.StatusOK, fmt.Sprintf(`{"action":"get","node":{"dir":true,"nodes":[
		{"key":"/empty","dir":true},
		{"key":"/d","dir":true,"nodes":[{"key":"/d/a","value":"1"}]},
		{"key":"/old","value":"x","expiration":"2001-01-01T00:00:00Z"},
		{"key":"/t","value":"2","expiration":%q,"ttl":3600}]}}`, expires))
	file := filepath.Join(t.TempDir(), "keys.json")
	code, _, stderr := ctl(t, "", nil, "-C", f.url, "backup", "--file", file)
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
