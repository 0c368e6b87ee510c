// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"encoding/base64"
	"strings"

	"confd/raftkv/auth"
	"confd/raftkv/tree"
)

// Who may do what: the rules are package auth's, here is where requests meet them.

// credentials are what a request says about who sends it.
type credentials struct {
	authorization string // the header Authorization
	certified     string // common name of a client certificate that TLS has verified
	from          string // the address it came from
}

// identity returns who c says to be.
func (c *credentials) identity() auth.Identity {
	switch {
	case c.authorization != "":
		name, password, ok := parseBasic(c.authorization)
		if !ok {
			return auth.Nobody()
		}
		return auth.Basic(name, password, c.from)
	case c.certified != "":
		return auth.Certified(c.certified)
	}
	return auth.Identity{}
}

// parseBasic returns the name and the password of a header Authorization.
func parseBasic(header string) (name, password string, ok bool) {
	const scheme = "Basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(header[len(scheme):])
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(b), ":")
}

// mayAccess reports whether who sent r may carry out k; if not, resp is the refusal.
func (h *Handler) mayAccess(ctx context.Context, r *request, k *keyRequest, resp *response) bool {
	if !h.auth.Enabled() {
		return true
	}
	access := auth.Access{Key: k.key, Write: k.method != "GET" && k.method != "HEAD", Recursive: k.recursive}
	if h.auth.Allows(ctx, r.credentials.identity(), access) {
		return true
	}
	h.refused(resp, refuse(tree.CodeUnauthorized, insufficient))
	return false
}

// mayUpload reports whether a large body of r is worth reading: not if who sent it may not
// write the key in any case. So nobody fills the memory who has no permission.
func (h *Handler) mayUpload(ctx context.Context, r *request) bool {
	if !under(r.path, keysPath) || !h.auth.Enabled() {
		return true
	}
	return h.auth.Allows(ctx, r.credentials.identity(), auth.Access{Key: keyOf(r.path), Write: true})
}

const insufficient = "Insufficient credentials"

// requireRoot reports whether who sent r may administer the cluster: anybody while
// authentication is off, else who has the role root. If not, resp is the refusal.
func (h *Handler) requireRoot(r *request, resp *response) bool {
	// Without the context of r: a login waits for its comparison 1.5 s at most.
	if h.auth.IsRoot(context.Background(), r.credentials.identity()) {
		return true
	}
	resp.message(401, insufficient)
	return false
}
