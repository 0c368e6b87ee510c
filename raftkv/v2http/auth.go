// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"confd/raftkv"
	"confd/raftkv/auth"
)

const (
	authPath   = "/v2/auth"
	enablePath = authPath + "/enable"
	usersPath  = authPath + "/users"
	rolesPath  = authPath + "/roles"

	// authMethods are those of one user, of one role and of enable.
	authMethods = "GET,PUT,DELETE"
)

// routeAuth is route for the paths below authPath.
func routeAuth(path string) (f handlerFunc, allow string) {
	if path == enablePath {
		return (*Handler).serveEnable, authMethods
	}
	for _, list := range []struct {
		path     string
		all, one handlerFunc
	}{
		{usersPath, (*Handler).serveUsers, (*Handler).serveUser},
		{rolesPath, (*Handler).serveRoles, (*Handler).serveRole},
	} {
		if !under(path, list.path) {
			continue
		}
		switch name := nameOf(path, list.path); {
		case name == "":
			return list.all, getOnly
		case strings.Contains(name, "/"):
			return (*Handler).serveInvalidPath, anyMethod
		}
		return list.one, authMethods
	}
	return nil, ""
}

// nameOf returns the name that a path below list has, empty for the list itself. The path
// is clean but for a slash at its end.
func nameOf(path, list string) string {
	return strings.TrimSuffix(strings.TrimPrefix(path[len(list):], "/"), "/")
}

func (h *Handler) serveInvalidPath(_ context.Context, _ *request, resp *response) {
	resp.message(400, "Invalid path")
}

// The bodies, as they are asked and answered. A list that is null is not one that is empty.
type (
	userBody struct {
		User     string   `json:"user"`
		Password string   `json:"password,omitempty"` // never in an answer
		Roles    []string `json:"roles"`
		Grant    []string `json:"grant,omitempty"`
		Revoke   []string `json:"revoke,omitempty"`
	}
	roleBody struct {
		Role        string       `json:"role"`
		Permissions permissions  `json:"permissions"`
		Grant       *permissions `json:"grant,omitempty"`
		Revoke      *permissions `json:"revoke,omitempty"`
	}
	permissions struct {
		KV struct {
			Read  []string `json:"read"`
			Write []string `json:"write"`
		} `json:"kv"`
	}

	// userRoles is a user with whole roles.
	userRoles struct {
		User  string     `json:"user"`
		Roles []roleBody `json:"roles,omitempty"`
	}
)

// roleOf returns r as the API shows it.
func roleOf(r auth.Role) roleBody {
	b := roleBody{Role: r.Name}
	b.Permissions.KV.Read, b.Permissions.KV.Write = r.Read, r.Write
	return b
}

// permissions returns p, which may be nil.
func (p *permissions) permissions() auth.Permissions {
	if p == nil {
		return auth.Permissions{}
	}
	return auth.Permissions(p.KV)
}

// mayManage reports whether the request may go on: its sender may administer the cluster
// and, if it is to change something, this node has seen all changes before. If not, resp is
// the refusal.
func (h *Handler) mayManage(ctx context.Context, r *request, resp *response) bool {
	if !h.requireRoot(r, resp) {
		return false
	}
	resp.clusterID = h.node.ClusterID()
	if r.method == "GET" {
		return true
	}
	if _, err := h.node.Linearizable(ctx); err != nil {
		h.authAnswer(ctx, resp, err)
		return false
	}
	return true
}

// authAnswer makes resp the answer of something that has no body if it succeeds.
func (h *Handler) authAnswer(ctx context.Context, resp *response, err error) {
	var refusal *auth.Error
	switch {
	case err == nil:
		resp.status = 200
		resp.contentType = typeJSON
	case errors.As(err, &refusal):
		resp.message(authStatus(refusal.Kind), refusal.Error())
	case errors.Is(err, raftkv.ErrTooLarge):
		resp.message(413, err.Error())
	default:
		h.log.WarnContext(ctx, "changing users or roles", "err", err)
		resp.message(500, "Internal Server Error")
	}
}

// authStatus returns the HTTP status that goes with a kind of refusal.
func authStatus(kind auth.Kind) int {
	switch kind {
	case auth.Forbidden:
		return 403
	case auth.NotFound:
		return 404
	case auth.Conflict:
		return 409
	}
	return 400
}

// answerLine is answer with a newline at the end.
func (resp *response) answerLine(v any) {
	resp.answer(v)
	resp.body = append(resp.body, '\n')
}

// decodeBody reads the first JSON value of the body, or answers why not. What follows it
// is not looked at, as in etcd.
func decodeBody(r *request, v any, resp *response) bool {
	if r.bodyTooLarge {
		bodyTooLarge(resp)
		return false
	}
	if r.bodyErr != nil || json.NewDecoder(strings.NewReader(r.body)).Decode(v) != nil {
		resp.message(400, "Invalid JSON in request body.")
		return false
	}
	return true
}

// serveEnable tells or sets whether authentication is on. Anybody may ask.
func (h *Handler) serveEnable(ctx context.Context, r *request, resp *response) {
	if r.method == "GET" {
		resp.clusterID = h.node.ClusterID()
		resp.answerLine(struct {
			Enabled bool `json:"enabled"`
		}{h.auth.Enabled()})
		return
	}
	if !h.mayManage(ctx, r, resp) {
		return
	}
	if r.method == "PUT" {
		h.authAnswer(ctx, resp, h.auth.Enable(ctx))
		return
	}
	h.authAnswer(ctx, resp, h.auth.Disable(ctx))
}

// serveUsers lists the users with their roles, without those that do not exist.
func (h *Handler) serveUsers(ctx context.Context, r *request, resp *response) {
	if !h.mayManage(ctx, r, resp) {
		return
	}
	var list struct {
		Users []userRoles `json:"users"`
	}
	for _, u := range h.auth.Users() {
		v := userRoles{User: u.Name}
		for _, name := range u.Roles {
			if role, err := h.auth.Role(name); err == nil {
				v.Roles = append(v.Roles, roleOf(role))
			}
		}
		list.Users = append(list.Users, v)
	}
	resp.answerLine(list)
}

// serveUser shows, changes or deletes one user.
func (h *Handler) serveUser(ctx context.Context, r *request, resp *response) {
	if !h.mayManage(ctx, r, resp) {
		return
	}
	name := nameOf(r.path, usersPath)
	switch r.method {
	case "GET":
		h.getUser(ctx, name, resp)
	case "PUT":
		h.putUser(ctx, r, name, resp)
	default:
		h.authAnswer(ctx, resp, h.auth.DeleteUser(ctx, name))
	}
}

// getUser shows a user. A role that does not exist is an error here.
func (h *Handler) getUser(ctx context.Context, name string, resp *response) {
	u, err := h.auth.User(name)
	v := userRoles{User: u.Name}
	for _, name := range u.Roles {
		var role auth.Role
		if role, err = h.auth.Role(name); err != nil {
			break
		}
		v.Roles = append(v.Roles, roleOf(role))
	}
	if err != nil {
		h.authAnswer(ctx, resp, err)
		return
	}
	resp.answerLine(v)
}

// putUser creates or changes a user.
func (h *Handler) putUser(ctx context.Context, r *request, name string, resp *response) {
	var b userBody
	if !decodeBody(r, &b, resp) {
		return
	}
	changes := len(b.Grant)+len(b.Revoke) > 0
	switch {
	case b.User != name:
		resp.message(400, "User JSON name does not match the name in the URL")
		return
	case changes && len(b.Roles) > 0:
		resp.message(400, "User JSON contains both roles and grant/revoke")
		return
	case !changes && len(b.Roles) == 0:
		_, err := h.auth.User(name)
		changes = err == nil
	}
	var u auth.User
	var err error
	if changes {
		u, err = h.auth.UpdateUser(ctx, name, b.Password, b.Grant, b.Revoke)
	} else {
		u, err = h.auth.CreateUser(ctx, name, b.Password, b.Roles)
	}
	if err != nil {
		h.authAnswer(ctx, resp, err)
		return
	}
	resp.answerLine(userBody{User: u.Name, Roles: u.Roles})
	if !changes && len(b.Roles) == 0 { // as in etcd; with roles it is 200
		resp.status = 201
	}
}

// serveRoles lists the roles.
func (h *Handler) serveRoles(ctx context.Context, r *request, resp *response) {
	if !h.mayManage(ctx, r, resp) {
		return
	}
	var list struct {
		Roles []roleBody `json:"roles"`
	}
	for _, role := range h.auth.Roles() {
		list.Roles = append(list.Roles, roleOf(role))
	}
	resp.answerLine(list)
}

// serveRole shows, changes or deletes one role.
func (h *Handler) serveRole(ctx context.Context, r *request, resp *response) {
	if !h.mayManage(ctx, r, resp) {
		return
	}
	name := nameOf(r.path, rolesPath)
	switch r.method {
	case "GET":
		role, err := h.auth.Role(name)
		if err != nil {
			h.authAnswer(ctx, resp, err)
			return
		}
		resp.answerLine(roleOf(role))
	case "PUT":
		h.putRole(ctx, r, name, resp)
	default:
		h.authAnswer(ctx, resp, h.auth.DeleteRole(ctx, name))
	}
}

// putRole creates or changes a role.
func (h *Handler) putRole(ctx context.Context, r *request, name string, resp *response) {
	var b roleBody
	if !decodeBody(r, &b, resp) {
		return
	}
	grant, revoke := b.Grant.permissions(), b.Revoke.permissions()
	given := b.Permissions.permissions()
	changes := !grant.Empty() || !revoke.Empty()
	switch {
	case b.Role != name:
		resp.message(400, "Role JSON name does not match the name in the URL")
	case changes && !given.Empty():
		resp.message(400, "Role JSON contains both permissions and grant/revoke")
	case changes:
		role, err := h.auth.UpdateRole(ctx, name, grant, revoke)
		if err != nil {
			h.authAnswer(ctx, resp, err)
			return
		}
		resp.answerLine(roleOf(role))
	default:
		if err := h.auth.CreateRole(ctx, auth.Role{Name: name, Permissions: given}); err != nil {
			h.authAnswer(ctx, resp, err)
			return
		}
		resp.answerLine(b)
		resp.status = 201
	}
}
