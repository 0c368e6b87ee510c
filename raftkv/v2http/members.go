// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// maxSmallBody is the longest body of the paths that take no values.
const maxSmallBody = 64 << 10

// A member is a node of the cluster as /v2/members shows it.
type member struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

// memberOf returns m with empty lists where there are none: JSON would have null.
func memberOf(m raftkv.Member) member {
	if m.PeerURLs == nil {
		m.PeerURLs = []string{}
	}
	if m.ClientURLs == nil {
		m.ClientURLs = []string{}
	}
	return member{m.ID, m.Name, m.PeerURLs, m.ClientURLs}
}

// leader returns the member that leads, if this node knows it.
func (h *Handler) leader() (raftkv.Member, bool) {
	id := h.node.Status().LeaderID
	for _, m := range h.node.Members() {
		if m.ID == id {
			return m, true
		}
	}
	return raftkv.Member{}, false
}

// serveMachines lists the client URLs.
func (h *Handler) serveMachines(_ context.Context, _ *request, resp *response) {
	var urls []string
	for _, m := range h.node.Members() {
		urls = append(urls, m.ClientURLs...)
	}
	slices.Sort(urls)
	resp.plain(strings.Join(urls, ", "))
}

// servePeers lists the peer URLs of the members that have started, the leader's first.
func (h *Handler) servePeers(_ context.Context, _ *request, resp *response) {
	leader, _ := h.leader()
	urls := slices.Clone(leader.PeerURLs)
	for _, m := range h.node.Members() {
		if m.Started() && m.ID != leader.ID {
			urls = append(urls, m.PeerURLs...)
		}
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

// serveMembers answers /v2/members and what is below it. Its method is one of anyMember.
func (h *Handler) serveMembers(ctx context.Context, r *request, resp *response) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.path, membersPath), "/")
	if r.method == "GET" {
		resp.clusterID = h.node.ClusterID()
		h.getMembers(name, resp)
		return
	}
	if !h.requireRoot(r, resp) {
		return
	}
	resp.clusterID = h.node.ClusterID()
	if r.method == "POST" {
		h.addMember(ctx, r, resp)
		return
	}
	if name == "" {
		resp.text(405, "Method Not Allowed")
		return
	}
	id, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		resp.message(404, "No such member: "+name)
		return
	}
	name = strconv.FormatUint(id, 16)
	if r.method == "DELETE" {
		h.removeMember(ctx, name, resp)
		return
	}
	h.updateMember(ctx, r, name, resp)
}

func (h *Handler) getMembers(name string, resp *response) {
	switch name {
	case "":
		members := []member{}
		for _, m := range h.node.Members() {
			members = append(members, memberOf(m))
		}
		resp.answer(struct {
			Members []member `json:"members"`
		}{members})
		resp.body = append(resp.body, '\n')
	case "leader":
		m, ok := h.leader()
		if !ok {
			resp.message(503, "During election")
			return
		}
		resp.answer(memberOf(m))
		resp.body = append(resp.body, '\n')
	default:
		resp.message(404, "Not found")
	}
}

func (h *Handler) addMember(ctx context.Context, r *request, resp *response) {
	urls, ok := peerURLs(r, resp)
	if !ok {
		return
	}
	m, err := h.node.AddMember(ctx, urls)
	if err != nil {
		h.memberFailed(ctx, resp, "", err)
		return
	}
	resp.answer(memberOf(m))
	resp.body = append(resp.body, '\n')
	resp.status = 201
}

func (h *Handler) updateMember(ctx context.Context, r *request, id string, resp *response) {
	urls, ok := peerURLs(r, resp)
	if !ok {
		return
	}
	err := h.node.UpdateMember(ctx, id, urls)
	switch {
	case err == nil:
		resp.status = 204
	case errors.Is(err, raftkv.ErrMemberRemoved):
		resp.message(500, "Internal Server Error") // as etcd
	default:
		h.memberFailed(ctx, resp, id, err)
	}
}

func (h *Handler) removeMember(ctx context.Context, id string, resp *response) {
	if err := h.node.RemoveMember(ctx, id); err != nil {
		h.memberFailed(ctx, resp, id, err)
		return
	}
	resp.status = 204
}

// peerURLs reads the peer URLs out of the body, or answers why not.
func peerURLs(r *request, resp *response) (urls []string, ok bool) {
	if t, _, _ := strings.Cut(r.contentType, ";"); t != typeJSON {
		resp.message(415, "Bad Content-Type "+t+", accept "+typeJSON)
		return nil, false
	}
	if r.bodyTooLarge {
		bodyTooLarge(resp)
		return nil, false
	}
	var body struct {
		PeerURLs []string `json:"peerURLs"`
	}
	err := r.bodyErr
	if err == nil {
		err = json.Unmarshal([]byte(r.body), &body)
	}
	if err == nil {
		urls, err = raftkv.ParsePeerURLs(body.PeerURLs)
	}
	if err != nil {
		resp.message(400, err.Error())
		return nil, false
	}
	return urls, true
}

// bodyTooLarge refuses a body above maxSmallBody.
func bodyTooLarge(resp *response) {
	resp.message(413, "the body is larger than "+strconv.Itoa(maxSmallBody)+" bytes")
	resp.closes = true
}

// memberFailed makes resp the answer of an error about a member. id is how the client
// knows it.
func (h *Handler) memberFailed(ctx context.Context, resp *response, id string, err error) {
	switch {
	case errors.Is(err, raftkv.ErrMemberNotFound):
		resp.message(404, "No such member: "+id)
	case errors.Is(err, raftkv.ErrMemberRemoved):
		resp.message(410, "Member permanently removed: "+id)
	case errors.Is(err, raftkv.ErrPeerURLExists):
		resp.message(409, "membership: peerURL exists")
	case errors.Is(err, raftkv.ErrLastMember):
		resp.message(409, raftkv.ErrLastMember.Error())
	case errors.Is(err, raftkv.ErrQuorum), errors.Is(err, raftkv.ErrTooManyMembers):
		resp.message(409, strings.TrimSuffix(err.Error(), " ("+raftkv.ErrNotProposed.Error()+")"))
	default:
		h.log.WarnContext(ctx, "changing the members", "err", err)
		resp.message(500, "Internal Server Error")
	}
}
