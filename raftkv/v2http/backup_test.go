// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"confd/raftkv"
	"confd/raftkv/raftkvtest"
	"confd/raftkv/tree"
)

func getBackup(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestBackup(t *testing.T) {
	node := raftkvtest.Open(t)
	if _, err := node.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", Value: strings.Repeat("v", 1<<20)}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(New(node, Options{Program: "test"}))
	defer server.Close()
	for _, query := range []string{"", "?stale=true", "?stale=false"} {
		status, body, err := getBackup(t, server.URL+backupPath+query)
		if status != 200 || err != nil {
			t.Fatalf("%s: %d, %v", query, status, err)
		}
		if c, err := raftkv.VerifyBackup(strings.NewReader(body)); err != nil || c.Keys != 1 || c.Program != "test" {
			t.Errorf("%s: %+v, %v", query, c, err)
		}
	}
}

func TestBackupRefusals(t *testing.T) {
	node := newFakeNode()
	h := New(node, Options{})
	server := httptest.NewServer(h)
	defer server.Close()
	check := func(query string, status int, text string) {
		t.Helper()
		got, body, err := getBackup(t, server.URL+backupPath+query)
		if got != status || err != nil || !strings.Contains(body, text) {
			t.Errorf("%s: %d %.100s, %v; want %d %s", query, got, body, err, status, text)
		}
	}
	check("", 200, "backup")
	check("?stale=maybe", 400, "want true or false")
	check("?%zz", 400, "message")
	node.fail = raftkv.ErrNoLeader
	check("", 503, "stale=true")
	check("?stale=true", 200, "backup")
	node.fail = nil

	// Both places are taken, and free again afterwards.
	h.backups <- struct{}{}
	h.backups <- struct{}{}
	check("", 503, "other backups")
	<-h.backups
	check("", 200, "backup")
	check("", 200, "backup")
	<-h.backups

	rec := httptest.NewRecorder()
	h.Peer().ServeHTTP(rec, httptest.NewRequest("GET", backupPath, nil))
	if rec.Code != 404 {
		t.Errorf("peer port: %d", rec.Code)
	}
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("POST", backupPath, nil))
	if rec.Code != 405 {
		t.Errorf("POST: %d", rec.Code)
	}

	// With users only root may, and nobody while authentication is off.
	meta := map[string][]byte{
		"auth/user/root": []byte(`{"hash":"$2a$10$JrMrTvr4IDbmhd2sg0vpDeY0H6Oe6wZXmPCbGWpuVnGgTDPO0vWR6","roles":["root"]}`),
	}
	node.meta.Store(&meta)
	check("", 403, "authentication is off")
	check("?stale=true", 403, "authentication is off")
	on := map[string][]byte{"auth/user/root": meta["auth/user/root"], "auth/enabled": []byte("true")}
	node.meta.Store(&on)
	check("", 401, insufficient)
}

// TestBackupCutOff makes sure that a client cannot take half a backup for a whole one.
func TestBackupCutOff(t *testing.T) {
	node := newFakeNode()
	node.backup = func(context.Context) error { return errors.New("the disk is gone") }
	h := New(node, Options{})
	server := httptest.NewServer(h)
	defer server.Close()
	for range maxBackups + 1 {
		status, body, err := getBackup(t, server.URL+backupPath)
		if status != 200 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d, %d bytes, %v", status, len(body), err)
		}
	}

	// A client that goes away ends its backup.
	gone := make(chan error, 1)
	node.backup = func(ctx context.Context) error { <-ctx.Done(); gone <- ctx.Err(); return ctx.Err() }
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+backupPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, 100); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
