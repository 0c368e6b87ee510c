// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"confd/raftkv"
)

// The peer port: what other members ask there over HTTP, and the admin API of etcd 0.4.
const (
	adminConfigPath   = "/v2/admin/config"
	adminMachinesPath = "/v2/admin/machines"
)

// Peer returns the handler of the peer port: /v2/admin of etcd 0.4, /version, /name and
// /members. Everything else is 404. Changes need the role root if authentication is on.
func (h *Handler) Peer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serveHTTP(w, r, true) })
}

// routePeer is route for the peer port. Methods that the admin API does not have are
// 404, as in 0.4.
func routePeer(method, path string) (f handlerFunc, allow string) {
	switch path {
	case "/version":
		return (*Handler).serveVersion, getOnly
	case "/name":
		return (*Handler).serveName, getOnly
	case "/members":
		return (*Handler).servePeerMembers, getOnly
	case adminConfigPath:
		switch method {
		case "GET":
			return (*Handler).serveConfig, method
		case "PUT":
			return (*Handler).putConfig, method
		}
		return nil, ""
	case adminMachinesPath:
		if method == "GET" {
			return (*Handler).serveAdminMachines, method
		}
		return nil, ""
	}
	name, ok := strings.CutPrefix(path, adminMachinesPath+"/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return nil, ""
	}
	switch method {
	case "GET":
		return (*Handler).serveAdminMachine, method
	case "DELETE":
		return (*Handler).deleteMachine, method
	}
	return nil, ""
}

// peerBodyLimit is bodyLimit for the peer port.
func peerBodyLimit(path string) int {
	if path == adminConfigPath {
		return maxSmallBody
	}
	return 0
}

func (h *Handler) serveName(_ context.Context, _ *request, resp *response) {
	resp.plain(h.node.Status().Name)
}

// servePeerMembers answers /members as a member of 2.x does for those that join.
func (h *Handler) servePeerMembers(_ context.Context, _ *request, resp *response) {
	type peerMember struct {
		ID         uint64   `json:"id"`
		PeerURLs   []string `json:"peerURLs"`
		Name       string   `json:"name,omitempty"`
		ClientURLs []string `json:"clientURLs,omitempty"`
	}
	members := []peerMember{}
	for _, m := range h.node.Members() {
		id, err := strconv.ParseUint(m.ID, 16, 64)
		if err != nil {
			continue // no id of ours
		}
		members = append(members, peerMember{id, memberOf(m).PeerURLs, m.Name, m.ClientURLs})
	}
	resp.clusterID = h.node.ClusterID()
	resp.answer(members)
	resp.body = append(resp.body, '\n')
}

// clusterConfig is the JSON of /v2/admin/config; times are in seconds.
type clusterConfig struct {
	ActiveSize   int     `json:"activeSize"`
	RemoveDelay  float64 `json:"removeDelay"`
	SyncInterval float64 `json:"syncInterval"`
}

func answerConfig(resp *response, c raftkv.ClusterConfig) {
	resp.answer(clusterConfig{c.ActiveSize, c.RemoveDelay.Seconds(), c.SyncInterval.Seconds()})
	resp.body = append(resp.body, '\n')
}

func (h *Handler) serveConfig(_ context.Context, _ *request, resp *response) {
	answerConfig(resp, h.node.ClusterConfig())
}

// putConfig changes those fields of the configuration that are given as numbers.
func (h *Handler) putConfig(ctx context.Context, r *request, resp *response) {
	if !h.requireRoot(r, resp) {
		return
	}
	if r.bodyTooLarge {
		bodyTooLarge(resp)
		return
	}
	fields, err := configFields(r)
	if err != nil {
		resp.text(500, err.Error())
		return
	}
	if h.redirect && h.sendToLeaderPeer(r, resp) {
		answerConfig(resp, h.node.ClusterConfig()) // the one that still is, as 0.4
		resp.status = 307
		return
	}
	c, err := h.node.SetClusterConfig(ctx, func(c *raftkv.ClusterConfig) {
		if v, ok := fields["activeSize"].(float64); ok {
			c.ActiveSize = int(min(max(v, 0), math.MaxInt32))
		}
		if v, ok := fields["removeDelay"].(float64); ok {
			c.RemoveDelay = seconds(v)
		}
		if v, ok := fields["syncInterval"].(float64); ok {
			c.SyncInterval = seconds(v)
		}
	})
	if err != nil {
		h.log.WarnContext(ctx, "changing the cluster's configuration", "err", err)
		resp.message(500, causeOf(err))
		return
	}
	answerConfig(resp, c)
}

// sendToLeaderPeer makes resp a redirect to the leader's peer port if that is another node.
func (h *Handler) sendToLeaderPeer(r *request, resp *response) bool {
	leader, ok := h.leader()
	if !ok || leader.ID == h.node.Status().ID || len(leader.PeerURLs) == 0 {
		return false
	}
	to := url.URL{Path: r.path, RawQuery: r.query}
	resp.status = 307
	resp.location = leader.PeerURLs[0] + escapeNonASCII(to.String())
	return true
}

// configFields returns the fields of the JSON object that is the body, or that a form in
// the body has as its value. What the content type says does not count: curl -d calls
// everything a form.
func configFields(r *request) (map[string]any, error) {
	if r.bodyErr != nil {
		return nil, r.bodyErr
	}
	text := r.body
	var f form
	if !strings.HasPrefix(strings.TrimSpace(text), "{") && parseQuery(&f, text) == nil && f.has(paramValue) {
		text = f.text[paramValue]
	}
	var fields map[string]any
	// A decoder, since its errors are those that 0.4 gives.
	err := json.NewDecoder(strings.NewReader(text)).Decode(&fields)
	return fields, err
}

// seconds returns a duration of at most 292 years.
func seconds(s float64) time.Duration {
	const most = math.MaxInt64 / int64(time.Second)
	if s >= float64(most) {
		return time.Duration(most) * time.Second
	}
	return time.Duration(max(s, 0) * float64(time.Second))
}

// A machine is a member as the admin API of 0.4 shows it.
type machine struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	ClientURL string `json:"clientURL"`
	PeerURL   string `json:"peerURL"`

	id string
}

// machines returns the members that have started, sorted by name. 0.4 knows no others, nor
// those that stand by; here their state says it.
func (h *Handler) machines() []machine {
	roles := h.node.Roles()
	machines := []machine{}
	for _, m := range h.node.Members() {
		if !m.Started() {
			continue
		}
		mc := machine{Name: m.Name, State: cmp.Or(roles[m.ID], raftkv.RoleStandby), id: m.ID}
		if len(m.ClientURLs) > 0 {
			mc.ClientURL = m.ClientURLs[0]
		}
		if len(m.PeerURLs) > 0 {
			mc.PeerURL = m.PeerURLs[0]
		}
		machines = append(machines, mc)
	}
	slices.SortFunc(machines, func(a, b machine) int { return strings.Compare(a.Name, b.Name) })
	return machines
}

// machine returns the machine that the path names, or answers that there is none.
func (h *Handler) machine(r *request, resp *response) (machine, bool) {
	name := strings.TrimPrefix(r.path, adminMachinesPath+"/")
	for _, m := range h.machines() {
		if m.Name == name {
			return m, true
		}
	}
	resp.message(404, "No such machine: "+name)
	return machine{}, false
}

func (h *Handler) serveAdminMachines(_ context.Context, _ *request, resp *response) {
	resp.answer(h.machines())
	resp.body = append(resp.body, '\n')
}

func (h *Handler) serveAdminMachine(_ context.Context, r *request, resp *response) {
	if m, ok := h.machine(r, resp); ok {
		resp.answer(m)
		resp.body = append(resp.body, '\n')
	}
}

// deleteMachine removes a member. The body of a success is what 0.4 sends: the commit
// index as a varint in 8 bytes.
func (h *Handler) deleteMachine(ctx context.Context, r *request, resp *response) {
	if !h.requireRoot(r, resp) {
		return
	}
	m, ok := h.machine(r, resp)
	if !ok || h.redirect && h.sendToLeaderPeer(r, resp) {
		return
	}
	err := h.node.RemoveMember(ctx, m.id)
	switch {
	case errors.Is(err, raftkv.ErrMemberNotFound), errors.Is(err, raftkv.ErrMemberRemoved):
		resp.message(404, "No such machine: "+m.Name) // somebody else was faster
	case err != nil:
		h.memberFailed(ctx, resp, m.id, err)
	default:
		var b [binary.MaxVarintLen64]byte
		binary.PutUvarint(b[:], h.node.RaftIndex())
		resp.status = 200
		resp.contentType = "application/octet-stream"
		resp.body = append(resp.body[:0], b[:8]...)
	}
}
