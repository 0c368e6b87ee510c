// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strconv"
)

// Discovery: members of etcd find each other through keys below registryKey/TOKEN, which
// they read and write with the plain key API. Only to make a token needs more.
const (
	discoveryPath = "/discovery/new"
	registryKey   = "/_etcd/registry/"

	defaultDiscoverySize = 3
	maxDiscoverySize     = 1000
)

// serveDiscovery makes a token for a cluster of that size and answers its URL, as the
// public discovery service did under /new. It is a write of a key like another, and is
// allowed to whom that would be.
func (h *Handler) serveDiscovery(ctx context.Context, r *request, resp *response) {
	size, ok := discoverySize(r, resp)
	if !ok {
		return
	}
	var token [16]byte
	rand.Read(token[:]) // never fails
	path := keysPath + registryKey + hex.EncodeToString(token[:])
	write := *r
	write.method, write.path = "PUT", path+"/_config/size"
	write.query = "prevExist=false&value=" + strconv.Itoa(size)
	write.contentType, write.body = "", ""
	h.serveKeys(ctx, &write, resp)
	if resp.status != 201 {
		return
	}
	*resp = response{body: resp.body[:0]}
	resp.plain(h.baseURL(r) + path)
}

// discoverySize returns the size that the query or a form asks for, or answers what is
// wrong with it.
func discoverySize(r *request, resp *response) (size int, ok bool) {
	if r.bodyTooLarge {
		bodyTooLarge(resp)
		return 0, false
	}
	texts := []string{r.query}
	if ok, _ := isForm(r.contentType); ok {
		texts = []string{r.body, r.query}
	}
	for _, text := range texts {
		values, err := url.ParseQuery(text)
		if err != nil {
			resp.text(400, err.Error())
			return 0, false
		}
		if !values.Has("size") {
			continue
		}
		n, err := strconv.Atoi(values.Get("size"))
		if err != nil || n < 1 || n > maxDiscoverySize {
			resp.text(400, "size is not a number from 1 to "+strconv.Itoa(maxDiscoverySize))
			return 0, false
		}
		return n, true
	}
	return defaultDiscoverySize, true
}

// baseURL returns the URL by which the client reached this node, the advertised one if
// the client has not said.
func (h *Handler) baseURL(r *request) string {
	switch {
	case r.host == "":
		return h.node.Status().ClientURL
	case r.tls:
		return "https://" + r.host
	}
	return "http://" + r.host
}
