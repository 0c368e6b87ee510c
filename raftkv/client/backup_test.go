// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestBackup(t *testing.T) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.RequestURI())
		w.(http.Flusher).Flush()
		if r.URL.RawQuery != "" {
			select { // and then nothing
			case <-r.Context().Done():
			case <-ended:
			}
		}
	}))
	defer server.Close()
	defer close(ended)
	c, err := New(Config{Endpoints: []string{server.URL}, RequestTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	read := func(stale bool) (string, error) {
		body, err := c.Backup(t.Context(), stale)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		b, err := io.ReadAll(body)
		return string(b), err
	}
	if text, err := read(false); text != "/v2/admin/backup" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := read(true); text != "/v2/admin/backup?stale=true" || !errors.Is(err, errStuck) {
		t.Errorf("%q, %v", text, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	body, err := c.Backup(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(body); err == nil {
		t.Error("went on after its context had ended")
	}
	body.Close()
	old := httptest.NewServer(http.NotFoundHandler())
	defer old.Close()
	c2, err := New(Config{Endpoints: []string{old.URL}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if _, err := c2.Backup(t.Context(), false); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("a server that has none: %v", err)
	}
}
