// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestRefusals: each change that is refused, with its kind and text, changes nothing.
func TestRefusals(t *testing.T) {
	a, store := newTestAuth()
	ctx := t.Context()
	mustCreate(t, a, "ann", "r", "s")
	role := Role{"r", Permissions{Read: []string{"/a"}, Write: []string{"/b"}}}
	if err := a.CreateRole(ctx, role); err != nil {
		t.Fatal(err)
	}
	update := func(name string, grant, revoke []string) error {
		_, err := a.UpdateUser(ctx, name, "", grant, revoke)
		return err
	}
	updateRole := func(name string, grant, revoke Permissions) error {
		_, err := a.UpdateRole(ctx, name, grant, revoke)
		return err
	}
	create := func(name, password string) error {
		_, err := a.CreateUser(ctx, name, password, nil)
		return err
	}
	get := func(name string) error {
		_, err := a.User(name)
		return err
	}
	getRole := func(name string) error {
		_, err := a.Role(name)
		return err
	}
	list := func(s ...string) []string { return s }
	tests := []struct {
		name string
		got  error
		kind Kind
		text string
	}{
		{"enable without root", a.Enable(ctx), Conflict, "auth: No root user available, please create one"},
		{"disable", a.Disable(ctx), Conflict, "auth: already disabled"},
		{"no password", create("new", ""), Invalid, "auth: Cannot create user new with an empty password"},
		{"long password", create("new", strings.Repeat("x", 73)), Invalid, "auth: Passwords have at most 72 bytes"},
		{"user exists", create("ann", "x"), Conflict, "auth: User ann already exists."},
		{"no user", get("new"), NotFound, "auth: User new does not exist."},
		{"no user to update", update("new", nil, nil), NotFound, "auth: User new does not exist."},
		{"no user to delete", a.DeleteUser(ctx, "new"), NotFound, "auth: User new does not exist"},
		{"granted", update("ann", list("r"), nil), Conflict, "auth: Granting duplicate role r for user ann"},
		{"granted twice", update("ann", list("x", "x"), nil), Conflict, "auth: Granting duplicate role x for user ann"},
		{"not granted", update("ann", nil, list("x")), Conflict, "auth: Revoking ungranted role x for user ann"},
		{"revoked twice", update("ann", nil, list("r", "r")), Conflict, "auth: Revoking ungranted role r for user ann"},
		{"no change", update("ann", list("x"), list("x")), Invalid, "auth: User not updated. Use grant/revoke/password to update the user."},
		{"role exists", a.CreateRole(ctx, role), Conflict, "auth: Role r already exists."},
		{"root", a.CreateRole(ctx, Role{Name: Root}), Forbidden, "auth: Cannot modify role root: is root role."},
		{"no role", getRole("new"), NotFound, "auth: Role new does not exist."},
		{"no role to update", updateRole("new", role.Permissions, Permissions{}), NotFound, "auth: Role new does not exist."},
		{"no role to delete", a.DeleteRole(ctx, "new"), NotFound, "auth: Role new doesn't exist."},
		{"delete root", a.DeleteRole(ctx, Root), Forbidden, "auth: Cannot modify role root: is root role."},
		{"update root", updateRole(Root, role.Permissions, Permissions{}), Forbidden, "auth: Cannot modify role root: is root role."},
		{"granted read", updateRole("r", Permissions{Read: list("/a")}, Permissions{}), Conflict, "auth: Granting duplicate read permission /a"},
		{"granted write", updateRole("r", Permissions{Write: list("/b")}, Permissions{}), Conflict, "auth: Granting duplicate write permission /b"},
		{"revoked nothing", updateRole("r", Permissions{}, Permissions{Read: list("/x")}), Invalid, "auth: Role not updated. Use grant/revoke to update the role."},
	}
	for _, test := range tests {
		wantRefusal(t, test.name, test.got, test.kind, test.text)
	}
	if store.writes != 2 {
		t.Errorf("got %d writes, want the 2 of the beginning", store.writes)
	}
	mustEnable(t, a)
	wantRefusal(t, "enabled", a.Enable(ctx), Conflict, "auth: already enabled")
	wantRefusal(t, "delete the user root", a.DeleteUser(ctx, Root), Forbidden, "auth: Cannot delete root user while auth is enabled.")
}

// TestChanges: what lists hold after changes, null and empty told apart.
func TestChanges(t *testing.T) {
	a, store := newTestAuth()
	ctx := t.Context()
	show := func(v any, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%#v", v)
	}
	want := func(got, want string) {
		t.Helper()
		if got = strings.NewReplacer("auth.", "", "[]string", "").Replace(got); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	list := func(s ...string) []string { return s }
	want(show(a.CreateUser(ctx, "ann", "p", nil)), `User{Name:"ann", Roles:(nil)}`)
	want(show(a.User("ann")), `User{Name:"ann", Roles:(nil)}`)
	want(show(a.UpdateUser(ctx, "ann", "", nil, nil)), `User{Name:"ann", Roles:{}}`)
	want(show(a.UpdateUser(ctx, "ann", "", list("b", "a"), nil)), `User{Name:"ann", Roles:{"a", "b"}}`)
	want(show(a.UpdateUser(ctx, "ann", "", nil, list("a", "b"))), `User{Name:"ann", Roles:{}}`)
	want(show(a.CreateUser(ctx, Root, "p", list("x"))), `User{Name:"root", Roles:{"x", "root"}}`)
	want(show(a.UpdateUser(ctx, Root, "", nil, list("root", "x"))), `User{Name:"root", Roles:{}}`)
	want(show(a.User(Root)), `User{Name:"root", Roles:{"root"}}`)
	if err := a.CreateRole(ctx, Role{"r", Permissions{Write: list("/x", "/x")}}); err != nil {
		t.Fatal(err)
	}
	want(show(a.Role("r")), `Role{Name:"r", Permissions:Permissions{Read:(nil), Write:{"/x", "/x"}}}`)
	want(show(a.UpdateRole(ctx, "r", Permissions{Write: list("/b", "/a")}, Permissions{Write: list("/x", "/q")})),
		`Role{Name:"r", Permissions:Permissions{Read:{}, Write:{"/a", "/b"}}}`)
	want(show(a.Users(), nil), `[]User{User{Name:"ann", Roles:{}}, User{Name:"root", Roles:{"root"}}}`)
	var names []string
	for _, r := range a.Roles() {
		names = append(names, r.Name)
	}
	want(show(names, nil), `{"r", "root"}`)

	// A second Auth, as in another node or after a restart, sees the same.
	b := New(Config{Store: store, Changed: errChanged})
	want(show(b.Users(), nil), `[]User{User{Name:"ann", Roles:{}}, User{Name:"root", Roles:{"root"}}}`)

	// What is returned is the caller's.
	r, err := a.Role(Root)
	if err != nil {
		t.Fatal(err)
	}
	r.Read[0] = "changed"
	want(show(a.Role(Root)), `Role{Name:"root", Permissions:Permissions{Read:{"/*"}, Write:{"/*"}}}`)
	if err := a.DeleteUser(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteRole(ctx, "r"); err != nil {
		t.Fatal(err)
	}
	if got := len(*store.Meta()); got != 1 {
		t.Errorf("got %d keys of metadata, want the user root alone", got)
	}
}

// TestStateIsDecodedOnce: the state is kept until the metadata change.
func TestStateIsDecodedOnce(t *testing.T) {
	a, store := newTestAuth()
	mustCreate(t, a, "ann")
	st := a.load()
	if a.load() != st {
		t.Error("the state was decoded again without a change")
	}
	store.set("member/1", []byte("x"))
	if a.load() == st {
		t.Error("the state is that of older metadata")
	}
}

// TestBrokenRecords: what cannot be decoded exists, allows nothing, and breaks nothing else.
func TestBrokenRecords(t *testing.T) {
	a, store := newTestAuth()
	mustEnable(t, a)
	mustCreate(t, a, "ann", "broken", Guest)
	store.set(userPrefix+"bob", []byte("{"))
	store.set(rolePrefix+"broken", []byte("null?"))
	store.set(enabledKey, []byte(""))
	if !a.Enabled() {
		t.Error("a strange value has turned authentication off")
	}
	if a.IsRoot(t.Context(), Basic("bob", "", "")) || a.Allows(t.Context(), Basic("bob", "", ""), Access{Key: "/a"}) {
		t.Error("a user without a hash may do something")
	}
	if !a.Allows(t.Context(), Basic("ann", "ann-pw", ""), Access{Key: "/a"}) {
		t.Error("a broken role takes away what another allows")
	}
	if _, err := a.CreateUser(t.Context(), "bob", "p", nil); err == nil {
		t.Error("a broken user was replaced by a new one")
	}
	if err := a.DeleteUser(t.Context(), "bob"); err != nil {
		t.Error(err)
	}
}

// TestConcurrentChanges: of many who do the same only one succeeds, and no grant is lost.
func TestConcurrentChanges(t *testing.T) {
	a, _ := newTestAuth()
	const n = 8
	var wg sync.WaitGroup
	created := make([]error, n)
	for i := range n {
		wg.Go(func() { _, created[i] = a.CreateUser(context.Background(), "ann", fmt.Sprint("p", i), nil) })
	}
	wg.Wait()
	ok := 0
	for _, err := range created {
		if err == nil {
			ok++
		} else {
			wantRefusal(t, "create", err, Conflict, "auth: User ann already exists.")
		}
	}
	if ok != 1 {
		t.Errorf("%d of %d have created the user", ok, n)
	}
	granted := make([]error, n)
	for i := range n {
		wg.Go(func() {
			_, granted[i] = a.UpdateUser(context.Background(), "ann", "", []string{fmt.Sprint("r", i)}, nil)
		})
	}
	wg.Wait()
	u, err := a.User("ann")
	if err := errors.Join(append(granted, err)...); err != nil {
		t.Fatal(err)
	}
	if len(u.Roles) != n {
		t.Errorf("got roles %q, want %d", u.Roles, n)
	}
}

// TestStoreFails: the store's errors come through, without secrets, and a change that
// others are always in the way of ends.
func TestStoreFails(t *testing.T) {
	a, store := newTestAuth()
	broken := errors.New("disk on fire")
	store.fail = func(string) error { return broken }
	_, err := a.CreateUser(t.Context(), "ann", "secret-password", nil)
	if !errors.Is(err, broken) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "$2a$") {
		t.Errorf("got %v", err)
	}
	if store.writes != 1 {
		t.Errorf("got %d writes, want 1: whether the first happened is not known", store.writes)
	}
	store.fail = func(string) error { return errChanged }
	if err := a.CreateRole(t.Context(), Role{Name: "r"}); !errors.Is(err, errChanged) {
		t.Errorf("got %v, want that it was changed", err)
	}
	if want := 1 + maxTries; store.writes != want {
		t.Errorf("got %d writes, want %d", store.writes, want)
	}
}

// TestHashesOnce: a password is hashed once, however often the change is tried.
func TestHashesOnce(t *testing.T) {
	a, store := newTestAuth()
	mustCreate(t, a, "ann")
	tries := 0
	store.before = func(key string) {
		if tries++; tries < 5 {
			store.set(key, encode(userRecord{"hash", []string{fmt.Sprint(tries)}}))
		}
	}
	hash, err := a.hasher(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	first, err := hash()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := hash(); err != nil || second != first {
		t.Errorf("got another hash: %v", err)
	}
	u, err := a.UpdateUser(t.Context(), "ann", "p", []string{"x"}, nil)
	if err != nil || !slices.Equal(u.Roles, []string{"4", "x"}) {
		t.Errorf("got %+v, %v, want the roles of the fifth try", u, err)
	}
	if got := a.load().users["ann"].hash; bcrypt.CompareHashAndPassword(got, []byte("p")) != nil {
		t.Errorf("the password was not set")
	}
}

// TestRootIsNeverLost: enabling and deleting root through two nodes at the same time do not
// end with nobody who could log in as root.
func TestRootIsNeverLost(t *testing.T) {
	t.Run("deleted while being enabled", func(t *testing.T) {
		a, store := newTestAuth()
		mustCreate(t, a, Root)
		store.before = func(key string) {
			if key == enabledKey {
				store.before = nil
				store.set(userPrefix+Root, nil)
			}
		}
		wantRefusal(t, "enable", a.Enable(t.Context()), Conflict, "auth: No root user available, please create one")
		if a.Enabled() {
			t.Error("enabled without the user root")
		}
	})
	t.Run("enabled while being deleted", func(t *testing.T) {
		a, store := newTestAuth()
		mustCreate(t, a, Root)
		store.before = func(string) {
			store.before = nil
			store.set(enabledKey, []byte("true"))
		}
		wantRefusal(t, "delete", a.DeleteUser(t.Context(), Root), Forbidden, "auth: Cannot delete root user while auth is enabled.")
		if !a.IsRoot(t.Context(), Basic(Root, "root-pw", "")) {
			t.Error("root cannot log in")
		}
	})
}

// TestEnableMakesGuest: enabling makes the role guest if there is none.
func TestEnableMakesGuest(t *testing.T) {
	a, _ := newTestAuth()
	mustEnable(t, a)
	r, err := a.Role(Guest)
	if err != nil || !slices.Equal(r.Read, []string{"/*"}) || !slices.Equal(r.Write, []string{"/*"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := errors.Join(a.DeleteRole(t.Context(), Guest), a.CreateRole(t.Context(), Role{Name: Guest}), a.Disable(t.Context()), a.Enable(t.Context())); err != nil {
		t.Fatal(err)
	}
	if r, err := a.Role(Guest); err != nil || !r.Empty() {
		t.Errorf("got %+v, %v, want the role that was there", r, err)
	}
}
