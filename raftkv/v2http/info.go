// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"encoding/json"
	"time"
)

// What /version says: the version of etcd whose v2 API this is.
const (
	serverVersion  = "3.4.23"
	clusterVersion = "3.4.0"
)

// appendJSON appends v as JSON. It is for values of this package's own types, which
// always have a JSON form.
func appendJSON(dst []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a type of this package that has no JSON form
	}
	return append(dst, b...)
}

// answer makes resp a 200 with v as JSON.
func (resp *response) answer(v any) {
	resp.status = 200
	resp.contentType = typeJSON
	resp.body = appendJSON(resp.body[:0], v)
}

// plain makes resp a 200 with a text.
func (resp *response) plain(text string) {
	resp.status = 200
	resp.contentType = typeText
	resp.body = append(resp.body[:0], text...)
}

func (h *Handler) serveVersion(_ context.Context, _ *request, resp *response) {
	resp.answer(struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
	}{serverVersion, clusterVersion})
}

// serveHealth tells whether this node can serve a linearizable read.
func (h *Handler) serveHealth(ctx context.Context, _ *request, resp *response) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if _, err := h.node.Linearizable(ctx); err != nil {
		resp.plain(`{"health":"false"}`)
		resp.status = 503
		return
	}
	resp.plain(`{"health":"true"}`)
}

// since returns the time from t to the handler's now, 0 for a zero t.
func (h *Handler) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return h.now().Sub(t)
}
