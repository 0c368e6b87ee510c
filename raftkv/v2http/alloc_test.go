// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

// With the race detector a sync.Pool forgets at random, so allocations cannot be counted.

package v2http

import (
	"net/http"
	"testing"
)

// TestAllocations guards the plain path: none of our own beyond these counts.
func TestAllocations(t *testing.T) {
	h, _ := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/some/key", "value=x")
	get, err := http.NewRequest("GET", "/v2/keys/some/key?quorum=false&recursive=false", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	w := &recorder{header: make(http.Header)}
	got := testing.AllocsPerRun(100, func() {
		clear(w.header)
		w.body.Reset()
		h.ServeHTTP(w, get)
	})
	if got > 4 {
		t.Errorf("a get allocates %v times, want at most 4", got)
	}
}
