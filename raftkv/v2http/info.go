// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"confd/raftkv/tree"
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

// serveMachines lists the client URLs.
func (h *Handler) serveMachines(_ context.Context, _ *request, resp *response) {
	var urls []string
	for _, m := range h.members() {
		urls = append(urls, m.ClientURLs...)
	}
	resp.plain(strings.Join(urls, ", "))
}

// servePeers lists the peer URLs.
func (h *Handler) servePeers(_ context.Context, _ *request, resp *response) {
	var urls []string
	for _, m := range h.members() {
		urls = append(urls, m.PeerURLs...)
	}
	resp.plain(strings.Join(urls, ", "))
}

// serveLeader tells the leader's peer URL.
func (h *Handler) serveLeader(_ context.Context, _ *request, resp *response) {
	if m, ok := h.leader(); ok {
		resp.plain(strings.Join(m.PeerURLs, ", "))
		return
	}
	h.refused(resp, &tree.Error{Code: tree.CodeLeaderElect, Index: h.node.View().Index()})
}

// A member is a node of the cluster as /v2/members shows it.
type member struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

// members returns the members that this node knows, sorted by id.
func (h *Handler) members() []member {
	st := h.node.Status()
	return []member{{
		ID:         st.ID,
		Name:       st.Name,
		PeerURLs:   []string{"http://" + st.PeerAddr},
		ClientURLs: []string{st.ClientURL},
	}}
}

// leader returns the member that leads, if this node knows it.
func (h *Handler) leader() (member, bool) {
	id := h.node.Status().LeaderID
	for _, m := range h.members() {
		if m.ID == id {
			return m, true
		}
	}
	return member{}, false
}

func (h *Handler) serveMembers(_ context.Context, r *request, resp *response) {
	resp.clusterID = h.node.ClusterID()
	switch strings.TrimPrefix(strings.TrimPrefix(r.path, membersPath), "/") {
	case "":
		resp.answer(struct {
			Members []member `json:"members"`
		}{h.members()})
		resp.body = append(resp.body, '\n')
	case "leader":
		m, ok := h.leader()
		if !ok {
			resp.message(503, "During election")
			return
		}
		resp.answer(m)
		resp.body = append(resp.body, '\n')
	default:
		resp.message(404, "Not found")
	}
}

// since returns the time from t to the handler's now, 0 for a zero t.
func (h *Handler) since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return h.now().Sub(t)
}
