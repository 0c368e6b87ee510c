// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
	"confd/raftkv/tree"
	"confd/raftkv/v2http"
)

// TestBackupMistakes makes sure that what is not a whole backup does not replace one.
func TestBackupMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.backup")
	if err := os.WriteFile(file, []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		status int
		answer string
		code   int
		want   string
	}{
		{http.StatusNotFound, "404 page not found", ctlRefused, "confd export copies the keys of any"},
		{http.StatusForbidden, `{"message":"there are users"}`, ctlRefused, "error: there are users"},
		{http.StatusServiceUnavailable, `{"message":"no leader"}`, ctlRefused, "no leader"},
		{http.StatusOK, "confdbak", ctlNoServer, "not a whole backup"},
		{http.StatusOK, "", ctlNoServer, "not a whole backup"},
	} {
		f := newFakeStore(t, test.status, test.answer)
		code, stdout, stderr := ctl(t, "", nil, "-C", f.url, "backup", "--file", file)
		if code != test.code || !strings.Contains(stderr, test.want) || stdout != "" || readFile(file) != "the one before" {
			t.Errorf("%d %q: exit code %d, the file has %q: %s", test.status, test.answer, code, readFile(file), stderr)
		}
	}
	for _, args := range [][]string{
		{"backup", "--verify", file}, {"backup", "--verify", "/no/such/file"}, {"restore", "--file", "/no/such/file"},
		{"restore"}, {"restore", "--file", file, "--peer-addr", "nonsense"}, {"recover", "--data-dir", t.TempDir(), "--yes"},
		{"recover", "--peers-json", "/no/such/file"},
	} {
		if code, stdout, stderr := ctl(t, "", nil, args...); code != ctlFailure || !strings.HasPrefix(stderr, "confd: error: ") || stdout != "" {
			t.Errorf("%q: exit code %d: %s%s", args, code, stdout, stderr)
		}
	}
}

// TestBackupToOtherPlaces sends a backup to standard output, which import refuses.
func TestBackupToOtherPlaces(t *testing.T) {
	node := raftkvtest.Open(t)
	if _, err := node.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: "v"}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(v2http.New(node, v2http.Options{}))
	defer server.Close()
	code, stdout, stderr := ctl(t, "", nil, "-C", server.URL, "backup", "--stale")
	if code != exitOK || !strings.HasPrefix(stderr, "confd: made a backup of 1 key at index 1: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if c, err := raftkv.VerifyBackup(strings.NewReader(stdout)); err != nil || c.Keys != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if code, _, stderr := ctl(t, stdout, nil, "-C", server.URL, "import"); code != ctlFailure || !strings.Contains(stderr, "confd restore what confd backup writes") {
		t.Errorf("import: exit code %d: %s", code, stderr)
	}
}

// TestMegabytes pins how sizes are told.
func TestMegabytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 9_999: "9999 bytes", 10_000: "10.0 kB", 12_345_678: "12.3 MB"} {
		if got := megabytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
