// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"slices"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
	"confd/raftkv/v2http/http1"
)

// A begunWrite is a write for whose outcome no goroutine waits, as its client shares one with
// others.
type begunWrite struct {
	h       *Handler
	method  string
	began   time.Time
	noValue bool
	slot    http1.Slot

	event *tree.Event
	err   error
}

var (
	_ raftkv.Waiter = (*begunWrite)(nil)
	_ http1.Answer  = (*begunWrite)(nil)
)

// Begin begins to carry out a write, if it is one that anybody may do, and valid; see http1.Config.
// All others are refused in the words of Serve.
func (p *plain) Begin(r *http1.Request, slot http1.Slot) bool {
	h := p.front.Keys()
	if h == nil || h.auth.Enabled() || h.redirect || h.cors != nil && r.Origin != nil {
		return false
	}
	req := request{method: r.Method, path: string(r.Path), query: string(r.Query), contentType: contentTypeOf(r), body: string(r.Body)}
	var k keyRequest
	if cleanPath(req.path) != req.path || parseKey(&req, &k) != nil || len(k.value) > h.maxValue || len(k.prevValue) > h.maxValue {
		return false
	}
	w := h.writes.Get().(*begunWrite)
	w.method, w.began, w.noValue, w.slot = r.Method, r.Began, k.noValueOnSuccess, slot
	h.node.Start(k.op(), w)
	return true
}

// Done has the answer sent.
func (w *begunWrite) Done(e *tree.Event, err error) {
	w.event, w.err = e, err
	w.slot.Fill(w)
}

// Long reports whether the answer has a value that is not sent while others wait.
func (w *begunWrite) Long() bool {
	e := w.event
	if w.err != nil || w.noValue && isPut(e.Action) {
		return false
	}
	return len(e.Node.Value) > maxQuick || e.Prev != nil && len(e.Prev.Value) > maxQuick
}

// Append appends the answer, and w is another write's from then on.
func (w *begunWrite) Append(r *http1.Request, b []byte) []byte {
	h := w.h
	x := h.exchanges.Get().(*exchange)
	defer func() {
		x.reset()
		h.exchanges.Put(x)
		*w = begunWrite{h: h}
		h.writes.Put(w)
	}()
	x.req = request{method: w.method, path: keysPath}
	x.resp.clusterID = h.node.ClusterID()
	if w.err != nil {
		h.failed(context.Background(), &x.resp, w.err)
	} else {
		h.written(w.noValue, &x.resp, w.event)
	}
	h.meters.observe(&x.req, &x.resp, time.Since(w.began))
	b = slices.Grow(h.appendHead(b, r, &x.resp), x.resp.size())
	for part := range x.resp.pieces(0) {
		b = append(b, part...)
	}
	return b
}
