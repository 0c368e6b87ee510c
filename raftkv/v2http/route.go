// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"html"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// A handlerFunc answers a request whose method is allowed.
type handlerFunc func(h *Handler, ctx context.Context, r *request, resp *response)

const (
	keyMethods  = "HEAD,GET,PUT,POST,DELETE"
	getOrHead   = "GET,HEAD"
	getOnly     = "GET"
	anyMethod   = "*"
	anyMember   = "GET,POST,DELETE,PUT"
	newToken    = "GET,POST,PUT"
	membersPath = "/v2/members"
)

// route returns what serves a clean path, and the methods it allows in the words of the
// header Allow. The function is nil if nothing does.
func route(path string) (f handlerFunc, allow string) {
	if under(path, keysPath) {
		return (*Handler).serveKeys, keyMethods
	}
	if under(path, membersPath) {
		return (*Handler).serveMembers, anyMember
	}
	if under(path, authPath) {
		return routeAuth(path)
	}
	switch path {
	case "/version":
		return (*Handler).serveVersion, getOnly
	case "/health":
		return (*Handler).serveHealth, getOnly
	case "/livez":
		return (*Handler).serveLive, getOrHead
	case "/readyz":
		return (*Handler).serveReady, getOrHead
	case "/v2/stats/cluster":
		return (*Handler).serveClusterStats, getOnly
	case "/v2/stats/self":
		return (*Handler).serveSelfStats, getOnly
	case "/v2/stats/leader":
		return (*Handler).serveLeaderStats, getOnly
	case "/v2/stats/store":
		return (*Handler).serveStoreStats, getOnly
	case "/v2/machines":
		return (*Handler).serveMachines, getOrHead
	case "/v2/leader":
		return (*Handler).serveLeader, getOrHead
	case "/v2/peers":
		return (*Handler).servePeers, getOrHead
	case discoveryPath, "/new":
		return (*Handler).serveDiscovery, newToken
	case "/metrics":
		return (*Handler).serveMetrics, getOrHead
	case "/debug/vars":
		return (*Handler).serveVars, getOnly
	case backupPath:
		return (*Handler).serveBackup, getOnly
	}
	return nil, ""
}

// under reports whether path is dir or lies below it.
func under(path, dir string) bool {
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// allows reports whether method is in the comma-separated list.
func allows(list, method string) bool {
	for m := range strings.SplitSeq(list, ",") {
		if m == method || m == anyMethod {
			return true
		}
	}
	return false
}

// serve answers r. It is the core's one entry.
func (h *Handler) serve(ctx context.Context, r *request, resp *response) {
	if r.method == "OPTIONS" {
		resp.status = 200
		return
	}
	if r.path == "*" {
		resp.status = 400
		resp.closes = true
		return
	}
	if clean := cleanPath(r.path); clean != r.path && r.method != "CONNECT" {
		redirect(r, clean, resp)
		return
	}
	f, allow := route(r.path)
	if r.peer {
		f, allow = routePeer(r.method, r.path)
	}
	switch {
	case f == nil:
		resp.text(404, "404 page not found")
	case !allows(allow, r.method):
		resp.allow = allow
		resp.text(405, "Method Not Allowed")
	default:
		f(h, ctx, r, resp)
	}
}

// bodyLimit returns how many bytes of r's body are to be read before serve is called,
// 0 if the body is not looked at.
func (h *Handler) bodyLimit(r *request) int {
	switch {
	case r.method != "PUT" && r.method != "POST":
		return 0
	case r.peer:
		return peerBodyLimit(r.path)
	case under(r.path, membersPath), under(r.path, authPath), r.path == discoveryPath, r.path == "/new":
		return maxSmallBody
	case !under(r.path, keysPath):
		return 0
	}
	if ok, _ := isForm(r.contentType); !ok {
		return 0
	}
	return h.maxForm()
}

// maxForm returns how many bytes of a form are read that writes a key.
func (h *Handler) maxForm() int { return 3*h.maxValue + 64<<10 }

// cleanPath returns p without empty, "." and ".." components, and with the slash at its
// end if p has one, as Go's request router does.
func cleanPath(p string) string {
	if p == "" {
		return "/"
	}
	if p[0] != '/' {
		p = "/" + p
	}
	clean := path.Clean(p)
	if p[len(p)-1] == '/' && clean != "/" {
		if len(p) == len(clean)+1 && strings.HasPrefix(p, clean) {
			return p
		}
		return clean + "/"
	}
	return clean
}

// redirect sends the client to the clean path, query kept, in the words of Go's router.
func redirect(r *request, clean string, resp *response) {
	to := (&url.URL{Path: clean, RawQuery: r.query}).String()
	resp.status = 301
	resp.location = escapeNonASCII(to)
	switch r.method {
	case "GET":
		resp.contentType = typeHTML
		resp.body = append(resp.body[:0], `<a href="`+html.EscapeString(to)+"\">Moved Permanently</a>.\n\n"...)
	case "HEAD":
		resp.contentType = typeHTML
	}
}

// escapeNonASCII percent-encodes the bytes of s that a header may not hold.
func escapeNonASCII(s string) string {
	var b []byte
	for i := range len(s) {
		if s[i] < 0x80 {
			b = append(b, s[i])
			continue
		}
		b = append(b, '%')
		b = strconv.AppendUint(b, uint64(s[i]), 16)
	}
	return string(b)
}
