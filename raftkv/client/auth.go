// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"net/http"
)

const (
	enablePath = "/v2/auth/enable"
	usersPath  = "/v2/auth/users"
	rolesPath  = "/v2/auth/roles"
)

// A User is one of the users that authentication knows. Etcd 0.4 has none.
type User struct {
	Name  string
	Roles []string // names, in the server's order
}

// A Role is a set of permissions.
type Role struct {
	Name        string
	Permissions Permissions
}

// Permissions are patterns of keys: a trailing "*" stands for any rest.
type Permissions struct {
	Read  []string
	Write []string
}

// EnableAuth makes the servers ask for user names and passwords. There must be a user
// root.
func (c *Client) EnableAuth(ctx context.Context) error {
	return c.callJSON(ctx, &request{method: http.MethodPut, path: enablePath}, nil)
}

// DisableAuth ends what EnableAuth began.
func (c *Client) DisableAuth(ctx context.Context) error {
	return c.callJSON(ctx, &request{method: http.MethodDelete, path: enablePath}, nil)
}

// AuthEnabled tells whether the servers ask for user names and passwords.
func (c *Client) AuthEnabled(ctx context.Context) (bool, error) {
	var state struct{ Enabled bool }
	err := c.callJSON(ctx, &request{method: http.MethodGet, path: enablePath}, &state)
	return state.Enabled, err
}

// Users returns all users. Roles that do not exist are left out of theirs.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	var list struct{ Users []wireUser }
	if err := c.callJSON(ctx, &request{method: http.MethodGet, path: usersPath}, &list); err != nil {
		return nil, err
	}
	users := make([]User, len(list.Users))
	for i, u := range list.Users {
		users[i] = u.user()
	}
	return users, nil
}

// User returns one user. It fails with status 404 also if the user holds a role that
// does not exist.
func (c *Client) User(ctx context.Context, name string) (User, error) {
	path, err := below(usersPath, name)
	if err != nil {
		return User{}, err
	}
	var u wireUser
	err = c.callJSON(ctx, &request{method: http.MethodGet, path: path}, &u)
	return u.user(), err
}

// PutUser creates a user, or changes the password of the one that is there.
func (c *Client) PutUser(ctx context.Context, name, password string) error {
	return c.putUser(ctx, userChange{User: name, Password: password})
}

// GrantRoles gives roles to a user who exists. The roles need not exist.
func (c *Client) GrantRoles(ctx context.Context, name string, roles []string) error {
	return c.putUser(ctx, userChange{User: name, Grant: roles})
}

// RevokeRoles takes roles from a user.
func (c *Client) RevokeRoles(ctx context.Context, name string, roles []string) error {
	return c.putUser(ctx, userChange{User: name, Revoke: roles})
}

// DeleteUser removes a user.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	path, err := below(usersPath, name)
	if err != nil {
		return err
	}
	return c.callJSON(ctx, &request{method: http.MethodDelete, path: path}, nil)
}

// Roles returns all roles, root included.
func (c *Client) Roles(ctx context.Context) ([]Role, error) {
	var list struct{ Roles []wireRole }
	if err := c.callJSON(ctx, &request{method: http.MethodGet, path: rolesPath}, &list); err != nil {
		return nil, err
	}
	roles := make([]Role, len(list.Roles))
	for i, r := range list.Roles {
		roles[i] = r.role()
	}
	return roles, nil
}

// Role returns one role.
func (c *Client) Role(ctx context.Context, name string) (Role, error) {
	path, err := below(rolesPath, name)
	if err != nil {
		return Role{}, err
	}
	var r wireRole
	err = c.callJSON(ctx, &request{method: http.MethodGet, path: path}, &r)
	return r.role(), err
}

// CreateRole makes a role without permissions. It must not exist.
func (c *Client) CreateRole(ctx context.Context, name string) error {
	return c.putRole(ctx, wireRole{Role: name})
}

// GrantPermissions adds patterns to a role; none of them may be there already.
func (c *Client) GrantPermissions(ctx context.Context, name string, p Permissions) error {
	return c.putRole(ctx, wireRole{Role: name, Grant: p.wire()})
}

// RevokePermissions takes patterns from a role; one of them at least must be there.
func (c *Client) RevokePermissions(ctx context.Context, name string, p Permissions) error {
	return c.putRole(ctx, wireRole{Role: name, Revoke: p.wire()})
}

// DeleteRole removes a role.
func (c *Client) DeleteRole(ctx context.Context, name string) error {
	path, err := below(rolesPath, name)
	if err != nil {
		return err
	}
	return c.callJSON(ctx, &request{method: http.MethodDelete, path: path}, nil)
}

func (c *Client) putUser(ctx context.Context, u userChange) error {
	path, err := below(usersPath, u.User)
	if err != nil {
		return err
	}
	req, err := jsonRequest(http.MethodPut, path, u)
	if err != nil {
		return err
	}
	req.secret = u.Password != ""
	return c.callJSON(ctx, req, nil)
}

func (c *Client) putRole(ctx context.Context, r wireRole) error {
	path, err := below(rolesPath, r.Role)
	if err != nil {
		return err
	}
	req, err := jsonRequest(http.MethodPut, path, r)
	if err != nil {
		return err
	}
	return c.callJSON(ctx, req, nil)
}

// The JSON forms.

type userChange struct {
	User     string   `json:"user"`
	Password string   `json:"password,omitempty"`
	Grant    []string `json:"grant,omitempty"`
	Revoke   []string `json:"revoke,omitempty"`
}

type wireUser struct {
	User  string         `json:"user"`
	Roles []wireRoleName `json:"roles"`
}

func (u wireUser) user() User {
	user := User{Name: u.User}
	for _, r := range u.Roles {
		user.Roles = append(user.Roles, string(r))
	}
	return user
}

// A wireRoleName is a role in a user's list: its name, or the whole of it.
type wireRoleName string

func (n *wireRoleName) UnmarshalJSON(text []byte) error {
	var whole wireRole
	if json.Unmarshal(text, &whole) == nil {
		*n = wireRoleName(whole.Role)
		return nil
	}
	return json.Unmarshal(text, (*string)(n))
}

type wireRole struct {
	Role        string           `json:"role"`
	Permissions *wirePermissions `json:"permissions,omitempty"`
	Grant       *wirePermissions `json:"grant,omitempty"`
	Revoke      *wirePermissions `json:"revoke,omitempty"`
}

func (r wireRole) role() Role {
	role := Role{Name: r.Role}
	if r.Permissions != nil {
		role.Permissions = Permissions{Read: r.Permissions.KV.Read, Write: r.Permissions.KV.Write}
	}
	return role
}

type wirePermissions struct {
	KV struct {
		Read  []string `json:"read"`
		Write []string `json:"write"`
	} `json:"kv"`
}

func (p Permissions) wire() *wirePermissions {
	w := &wirePermissions{}
	w.KV.Read, w.KV.Write = p.Read, p.Write
	return w
}
