// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestAuthOfEtcd makes users and roles, turns authentication on and off, and looks
// after each step.
func TestAuthOfEtcd(t *testing.T) {
	s := newServer(t)
	s.start()
	ctx := context.Background()
	c := s.client()
	defer c.Close()
	root, err := New(Config{Endpoints: []string{s.url}, Username: "root", Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, step := range []struct {
		name   string
		do     func() error
		status int // of the refusal; 0 = success
	}{
		{"no root yet", func() error { return c.EnableAuth(ctx) }, 409},
		{"root", func() error { return c.PutUser(ctx, "root", "pw") }, 0},
		{"a user", func() error { return c.PutUser(ctx, "a b", "pw") }, 0},
		{"a role", func() error { return c.CreateRole(ctx, "r") }, 0},
		{"the same role", func() error { return c.CreateRole(ctx, "r") }, 409},
		{"a permission", func() error {
			return c.GrantPermissions(ctx, "r", Permissions{Read: []string{"/x*", "/y"}, Write: []string{"/y"}})
		}, 0},
		{"the same permission", func() error { return c.GrantPermissions(ctx, "r", Permissions{Read: []string{"/y"}}) }, 409},
		{"less permission", func() error { return c.RevokePermissions(ctx, "r", Permissions{Read: []string{"/y"}}) }, 0},
		{"a grant", func() error { return c.GrantRoles(ctx, "a b", []string{"r"}) }, 0},
		{"a grant to nobody", func() error { return c.GrantRoles(ctx, "nobody", []string{"r"}) }, 404},
		{"on", func() error { return c.EnableAuth(ctx) }, 0},
		{"without a password", func() error { return c.PutUser(ctx, "b", "pw") }, 401},
		{"a member without a password", func() error { return c.RemoveMember(ctx, "1f") }, 401},
		{"with it", func() error { return root.PutUser(ctx, "b", "pw") }, 0},
		{"off", func() error { return root.DisableAuth(ctx) }, 0},
		{"off again", func() error { return root.DisableAuth(ctx) }, 409},
		{"no such member", func() error { return c.RemoveMember(ctx, "1f") }, 404},
		{"no such member to change", func() error { return c.UpdateMember(ctx, "1f", []string{"http://127.0.0.1:1"}) }, 404},
		{"no address", func() error { _, err := c.AddMember(ctx, []string{"nowhere"}); return err }, 400},
		{"remove a user", func() error { return c.DeleteUser(ctx, "b") }, 0},
		{"remove him again", func() error { return c.DeleteUser(ctx, "b") }, 404},
	} {
		err := step.do()
		var e *Error
		switch {
		case step.status == 0 && err != nil:
			t.Fatalf("%s: %v", step.name, err)
		case step.status != 0 && (!errors.As(err, &e) || e.Status != step.status):
			t.Fatalf("%s: got %v, want status %d", step.name, err, step.status)
		}
	}
	users, err := c.Users(ctx)
	if err != nil || len(users) != 2 || users[0].Name != "a b" || !slices.Equal(users[0].Roles, []string{"r"}) {
		t.Errorf("users: %+v, %v", users, err)
	}
	if u, err := c.User(ctx, "root"); err != nil || !slices.Equal(u.Roles, []string{"root"}) {
		t.Errorf("root: %+v, %v", u, err)
	}
	if r, err := c.Role(ctx, "r"); err != nil || !slices.Equal(r.Permissions.Read, []string{"/x*"}) || !slices.Equal(r.Permissions.Write, []string{"/y"}) {
		t.Errorf("role: %+v, %v", r, err)
	}
	if roles, err := c.Roles(ctx); err != nil || len(roles) != 3 {
		t.Errorf("roles: %+v, %v", roles, err)
	}
	if on, err := c.AuthEnabled(ctx); err != nil || on {
		t.Errorf("enabled: %v, %v", on, err)
	}
	testMembersOfEtcd(ctx, t, c)
}

func testMembersOfEtcd(ctx context.Context, t *testing.T, c *Client) {
	t.Helper()
	members, err := c.Members(ctx)
	if err != nil || len(members) != 1 {
		t.Fatalf("members: %+v, %v", members, err)
	}
	if m, err := c.Leader(ctx); err != nil || m.ID != members[0].ID || m.Name != "n1" {
		t.Errorf("leader: %+v, %v", m, err)
	}
	if raw, err := c.Stats(ctx, "self"); err != nil || !strings.Contains(string(raw), members[0].ID) {
		t.Errorf("stats: %s, %v", raw, err)
	}
	added, err := c.AddMember(ctx, []string{"http://127.0.0.1:1"})
	if err != nil || added.ID == "" || added.Name != "" || !slices.Equal(added.PeerURLs, []string{"http://127.0.0.1:1"}) {
		t.Errorf("added: %+v, %v", added, err)
	}
}

func TestNamesStayInTheirPlace(t *testing.T) {
	c := newClient(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("asked %s", r.URL) }))
	for _, name := range []string{"", ".", "..", "a/b", "../roles/root"} {
		for _, err := range []error{
			c.DeleteUser(t.Context(), name), c.DeleteRole(t.Context(), name), c.RemoveMember(t.Context(), name),
			c.PutUser(t.Context(), name, "pw"), c.CreateRole(t.Context(), name), c.UpdateMember(t.Context(), name, nil),
		} {
			if !errors.Is(err, ErrBadName) {
				t.Errorf("%q: got %v", name, err)
			}
		}
	}
}

// TestTrace makes sure that a trace tells everything but passwords.
func TestTrace(t *testing.T) {
	var got []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		event(w, "/a")
	})
	c := newClient(t, Config{Username: "root", Password: "s3cret", Trace: func(method, u, body string) {
		got = append(got, method+" "+strings.TrimPrefix(u, url)+" "+body)
	}}, url)
	_, err1 := c.Set(t.Context(), "/a", "v", SetOptions{})
	err2 := c.PutUser(t.Context(), "u", "s3cret2")
	err3 := c.GrantRoles(t.Context(), "u", []string{"r"})
	want := []string{"PUT /v2/keys/a value=v", "PUT /v2/auth/users/u ", `PUT /v2/auth/users/u {"user":"u","grant":["r"]}`}
	if err := errors.Join(err1, err2, err3); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: got %q, want %q", err, got, want)
	}
}

// TestUnhealthy tells a server that says so from one that says nothing.
func TestUnhealthy(t *testing.T) {
	for _, test := range []struct {
		status    int
		body      string
		unhealthy bool
	}{
		{503, `{"health":"false"}`, true},
		{200, `{"health":"false"}`, true},
		{200, `nonsense`, false},
		{500, `{"health":"true"}`, false},
	} {
		c := newClient(t, Config{}, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}))
		if err := c.Health(t.Context())[0].Err; err == nil || errors.Is(err, ErrUnhealthy) != test.unhealthy {
			t.Errorf("%d %s: got %v", test.status, test.body, err)
		}
	}
}
