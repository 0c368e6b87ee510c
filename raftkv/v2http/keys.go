// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"net/url"

	"confd/raftkv/tree"
)

// serveKeys answers a request for a key. Its method is one of keyMethods.
func (h *Handler) serveKeys(ctx context.Context, r *request, resp *response) {
	resp.clusterID = h.node.ClusterID()
	switch {
	case r.bodyTooLarge:
		h.valueTooLarge(resp)
		resp.closes = true
		return
	case r.denied:
		h.refused(resp, refuse(tree.CodeUnauthorized, insufficient))
		resp.closes = true
		return
	}
	var k keyRequest
	if err := parseKey(r, &k); err != nil {
		h.refused(resp, err)
		return
	}
	if len(k.value) > h.maxValue || len(k.prevValue) > h.maxValue {
		h.valueTooLarge(resp)
		return
	}
	if r.quick {
		h.getQuick(&k, resp)
		return
	}
	if !h.mayAccess(ctx, r, &k, resp) {
		return
	}
	if h.redirect && h.sendToLeader(r, &k, resp) {
		return
	}
	h.runKey(ctx, &k, resp)
}

// runKey carries out a valid request. Whoever calls it has decided that the client may.
func (h *Handler) runKey(ctx context.Context, k *keyRequest, resp *response) {
	switch {
	case k.method != "GET" && k.method != "HEAD":
		h.write(ctx, k, resp)
	case !k.quorum && !k.consistent && !h.isReady():
		// What it could show is what it had some time before it was stopped.
		h.refused(resp, refuse(tree.CodeRaftInternal, causeNoLeader))
	case k.wait && !k.quorum:
		h.watch(ctx, k, resp)
	default:
		h.get(ctx, k, resp)
	}
}

// sendToLeader makes resp a redirect to the leader if that is another node and must do what
// is asked, as etcd 0.4 did. A leader that is not known is not waited for.
func (h *Handler) sendToLeader(r *request, k *keyRequest, resp *response) bool {
	reads := k.method == "GET" || k.method == "HEAD"
	if reads && !k.consistent {
		return false
	}
	leader, ok := h.leader()
	switch {
	case !ok:
		h.refused(resp, &tree.Error{Code: tree.CodeRaftInternal, Cause: causeNoLeader, Index: h.node.View().Index()})
		return true
	case leader.ID == h.node.Status().ID || len(leader.ClientURLs) == 0:
		return false
	}
	resp.status = 307
	to := url.URL{Path: r.path, RawQuery: r.query}
	resp.location = leader.ClientURLs[0] + escapeNonASCII(to.String())
	return true
}

// isReady reports whether the node has everything acknowledged before it was started.
func (h *Handler) isReady() bool {
	select {
	case <-h.node.Ready():
		return true
	default:
		return false
	}
}

// get answers from one view, so that the index in the header is that of the body.
func (h *Handler) get(ctx context.Context, k *keyRequest, resp *response) {
	view := h.node.View()
	if k.quorum || k.consistent {
		v, err := h.node.Linearizable(ctx)
		if err != nil {
			h.failed(ctx, resp, err)
			return
		}
		view = v
	}
	resp.buffers = &h.buffers
	body, err := view.AppendGetIn(resp, resp.body[:0], k.key, k.recursive, h.node.Now())
	h.node.Tree().CountGet(err == nil)
	if err != nil {
		h.failed(ctx, resp, err)
		return
	}
	resp.body = append(body, '\n')
	h.succeeded(resp, 200, view.Index())
}

// getQuick is get for a key that is a small file, or not there, without parameters but for
// quorum. Of anything else, if it has to be asked who may read it, and if a quorum has to be waited
// for, resp says that it would take long.
func (h *Handler) getQuick(k *keyRequest, resp *response) {
	current := h.isReady() // first: a view from before may be older
	view := h.node.View()
	if k.quorum {
		view, current = h.node.LinearizableNow()
	}
	if resp.slow = !current || h.auth.Enabled(); resp.slow {
		return
	}
	body, ok, err := view.AppendGetFile(resp.body[:0], k.key, maxQuick, h.node.Now())
	if resp.slow = !ok; resp.slow {
		return
	}
	h.node.Tree().CountGet(err == nil)
	if err != nil {
		h.failed(context.Background(), resp, err)
		return
	}
	resp.body = append(body, '\n')
	h.succeeded(resp, 200, view.Index())
}

// watch begins a watch: from here on its watcher holds every event.
func (h *Handler) watch(ctx context.Context, k *keyRequest, resp *response) {
	w, err := h.node.Tree().Watch(k.key, k.recursive, k.stream, k.waitIndex)
	if err != nil {
		h.failed(ctx, resp, err)
		return
	}
	resp.watcher = w
	resp.stream = k.stream
	h.succeeded(resp, 200, w.Start)
}

// write proposes the operation and answers with its event.
func (h *Handler) write(ctx context.Context, k *keyRequest, resp *response) {
	e, err := h.node.Do(ctx, k.op())
	if err != nil {
		h.failed(ctx, resp, err)
		return
	}
	h.written(k.noValueOnSuccess, resp, e)
}

// written answers a write with its event, or without the value that it has stored.
func (h *Handler) written(noValue bool, resp *response, e *tree.Event) {
	resp.done = true
	status := 200
	if e.Action == tree.Create || e.Action == tree.Set && e.Prev == nil {
		status = 201
	}
	if noValue && isPut(e.Action) {
		resp.body = append(resp.body[:0], `{"action":"`...)
		resp.body = append(resp.body, e.Action.String()...)
		resp.body = append(resp.body, `"}`...)
	} else {
		h.appendEvent(resp, e)
	}
	resp.body = append(resp.body, '\n')
	h.succeeded(resp, status, e.Index())
}

// appendEvent makes e the body. Long values are not copied if they can go as they are; for
// others the room is made at once.
func (h *Handler) appendEvent(resp *response, e *tree.Event) {
	n := len(e.Node.Value)
	if e.Prev != nil {
		n += len(e.Prev.Value)
	}
	if n <= maxKept/2 {
		resp.body = tree.AppendEvent(resp.body[:0], e)
		return
	}
	if n = e.Copied(); n > cap(resp.body)/2 && n > maxKept/2 {
		resp.buffers = &h.buffers
		resp.body = resp.Grow(resp.body[:0], max(n+n/8, maxKept)+1<<10)
	}
	resp.body = tree.AppendEventAround(resp.body[:0], e, resp.insert)
}

// isPut reports whether the action stored something that the client has just sent.
func isPut(a tree.Action) bool {
	return a == tree.Set || a == tree.Create || a == tree.Update || a == tree.CompareAndSwap
}

// op returns the operation that a PUT, POST or DELETE asks for, with those of its
// parameters that the operation looks at.
func (k *keyRequest) op() *tree.Op {
	compare := k.prevIndex != 0 || k.prevValue != ""
	op := &tree.Op{Key: k.key}
	switch {
	case k.method == "DELETE" && compare:
		op.Action = tree.CompareAndDelete
		op.PrevValue, op.PrevIndex = k.prevValue, k.prevIndex
		return op
	case k.method == "DELETE":
		op.Action = tree.Delete
		op.Dir, op.Recursive = k.dir, k.recursive
		return op
	case k.method == "POST":
		op.Action = tree.Create
		op.InOrder = true
		op.Dir = k.dir
	case k.hasPrevExist && !k.prevExist:
		op.Action = tree.Create
		op.Dir = k.dir
	case compare:
		op.Action = tree.CompareAndSwap
		op.PrevValue, op.PrevIndex = k.prevValue, k.prevIndex
		op.Refresh = k.refresh
	case k.hasPrevExist:
		op.Action = tree.Update
		op.Refresh = k.refresh
	default:
		op.Action = tree.Set
		op.Dir = k.dir
		op.Refresh = k.refresh
	}
	if !op.Dir {
		op.Value = k.value
	}
	op.TTL, op.HasTTL = k.ttl, k.hasTTL
	return op
}
