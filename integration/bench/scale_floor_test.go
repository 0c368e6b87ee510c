// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestScaleFloor has the floor list a store, and write a file for each key twice.
func TestScaleFloor(t *testing.T) {
	const templates = 40
	var listed, written atomic.Int64
	s := floorSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			written.Add(1)
			return
		}
		listed.Add(1)
	})
	var m scaled
	if err := s.scaleFloor(t.Context(), &m, templates); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "floor", "r*"))
	if err != nil || len(files) != templates {
		t.Errorf("there are %d files (%v), want %d", len(files), err, templates)
	}
	if listed.Load() != 1 || written.Load() != templates {
		t.Errorf("the store was listed %d times and written to %d times, want 1 and %d", listed.Load(), written.Load(), templates)
	}
	if m.startFloor <= 0 || m.settledFloor < 0 {
		t.Errorf("measured %v s and %v ms", m.startFloor, m.settledFloor)
	}
}

// TestScaleFloorRefused has the floor end with what the store says, and not wait for files
// that nothing is written for.
func TestScaleFloorRefused(t *testing.T) {
	s := floorSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusInsufficientStorage)
		}
	})
	var m scaled
	err := s.scaleFloor(t.Context(), &m, 40)
	if err == nil || !strings.Contains(err.Error(), "507") {
		t.Errorf("the error is %v, want the store's status", err)
	}
}

func floorSite(t *testing.T, store http.HandlerFunc) *site {
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	return &site{b: &bench{http: server.Client()}, dir: t.TempDir(), client: server.Listener.Addr().String()}
}
