// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"sync/atomic"

	"confd/raftkv/v2http"
)

// A door is what serves the client ports: it says that the node is not there yet until it
// is, since a node may wait for others for hours, and a client or a load balancer that
// gets no answer at all learns nothing. What it says is what the API says of a node
// without a leader.
type door struct {
	handler atomic.Pointer[v2http.Handler]
}

// open has the handler serve from now on.
func (d *door) open(h *v2http.Handler) { d.handler.Store(h) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := d.handler.Load()
	if h != nil {
		h.ServeHTTP(w, r)
		return
	}
	const waiting = "this node is not there yet: it starts, or waits for other nodes of its cluster, and its log says for which"
	body, status := `{"errorCode":300,"message":"Raft Internal Error","cause":"`+waiting+`","index":0}`, http.StatusInternalServerError
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/livez":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		body, status = "ok\n", http.StatusOK
	case "/readyz":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		body, status = "not ready: "+waiting+"\n", http.StatusServiceUnavailable
	case "/health":
		body, status = `{"health":"false","reason":"`+waiting+`"}`, http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a client that has gone does not care
}

// Keys returns the handler, nil while there is none.
func (d *door) Keys() *v2http.Handler { return d.handler.Load() }

// EndWatches ends the watches, if there can be any.
func (d *door) EndWatches() {
	if h := d.handler.Load(); h != nil {
		h.EndWatches()
	}
}
