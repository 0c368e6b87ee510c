// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// serveHealth tells whether this node can serve a linearizable read, which it can if it
// reaches a leader that a majority follows.
func (h *Handler) serveHealth(ctx context.Context, _ *request, resp *response) {
	if err := h.checkReady(ctx); err != nil {
		resp.answer(struct {
			Health string `json:"health"`
			Reason string `json:"reason"`
		}{"false", causeOf(err)})
		resp.contentType = typeText
		resp.status = 503
		return
	}
	resp.plain(`{"health":"true"}`)
}

// serveLive answers as long as the process does: whoever restarts a node that is not ready
// makes an outage of the majority longer.
func (h *Handler) serveLive(_ context.Context, _ *request, resp *response) {
	resp.plain("ok\n")
}

// serveReady tells the same as serveHealth, in a text and for those who know /readyz.
func (h *Handler) serveReady(ctx context.Context, _ *request, resp *response) {
	if err := h.checkReady(ctx); err != nil {
		resp.plain("not ready: " + causeOf(err) + "\n")
		resp.status = 503
		return
	}
	resp.plain("ok\n")
}

func (h *Handler) checkReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	_, err := h.node.Linearizable(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no leader has confirmed a read within %v", healthTimeout)
	}
	return err
}

// since returns the time from t to the handler's now, 0 for a zero t.
func (h *Handler) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return h.now().Sub(t)
}
