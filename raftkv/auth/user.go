// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/bcrypt"
)

// A User is somebody with a password, which nobody gets to see.
type User struct {
	Name  string
	Roles []string // names, also of roles that do not exist; nil was never set
}

// clone returns a copy of u that may be changed.
func (u *User) clone() User { return User{u.Name, slices.Clone(u.Roles)} }

// maxPassword is how many bytes of a password bcrypt looks at.
const maxPassword = 72

// withRoot returns the roles of that user: root has the role root.
func withRoot(name string, roles []string) []string {
	if name != Root || slices.Contains(roles, Root) {
		return roles
	}
	return append(slices.Clone(roles), Root)
}

// Users returns all users, sorted by name.
func (a *Auth) Users() []User {
	st := a.load()
	users := make([]User, 0, len(st.users))
	for _, name := range slices.Sorted(maps.Keys(st.users)) {
		users = append(users, st.users[name].clone())
	}
	return users
}

// User returns the user of that name. The error is NotFound.
func (a *Auth) User(name string) (User, error) {
	u := a.load().users[name]
	if u == nil {
		return User{}, refuse(NotFound, "User %s does not exist.", name)
	}
	return u.clone(), nil
}

// CreateUser makes a user; the roles need not exist. The error is Invalid for an empty or
// too long password, Conflict if the user exists.
func (a *Auth) CreateUser(ctx context.Context, name, password string, roles []string) (User, error) {
	u := User{name, withRoot(name, roles)}
	if password == "" {
		return u, refuse(Invalid, "Cannot create user %s with an empty password", name)
	}
	hash, err := a.hasher(ctx, password)
	if err != nil {
		return u, err
	}
	err = a.change(ctx, userPrefix+name, func(st *state) ([]byte, error) {
		if st.users[name] != nil {
			return nil, refuse(Conflict, "User %s already exists.", name)
		}
		h, err := hash()
		return encode(userRecord{h, u.Roles}), err
	})
	return u, err
}

// UpdateUser sets the password, if it is not empty, adds and then takes away roles, and
// returns the user with sorted roles. The error is NotFound, Conflict for granting what was
// granted before or revoking what was not, Invalid for a too long password or if nothing
// changes.
func (a *Auth) UpdateUser(ctx context.Context, name, password string, grant, revoke []string) (User, error) {
	var u User
	hash, err := a.hasher(ctx, password)
	if err != nil {
		return u, err
	}
	err = a.change(ctx, userPrefix+name, func(st *state) ([]byte, error) {
		old := st.users[name]
		if old == nil {
			return nil, refuse(NotFound, "User %s does not exist.", name)
		}
		roles := append([]string{}, old.Roles...)
		for _, r := range grant {
			if slices.Contains(roles, r) {
				return nil, refuse(Conflict, "Granting duplicate role %s for user %s", r, name)
			}
			roles = append(roles, r)
		}
		slices.Sort(roles)
		roles = slices.Compact(roles) // a new user may have been given duplicates
		for _, r := range revoke {
			i, found := slices.BinarySearch(roles, r)
			if !found {
				return nil, refuse(Conflict, "Revoking ungranted role %s for user %s", r, name)
			}
			roles = slices.Delete(roles, i, i+1)
		}
		if password == "" && same(roles, old.Roles) {
			return nil, refuse(Invalid, "User not updated. Use grant/revoke/password to update the user.")
		}
		u = User{name, roles}
		h := string(old.hash)
		if password != "" {
			var err error
			if h, err = hash(); err != nil {
				return nil, err
			}
		}
		return encode(userRecord{h, roles}), nil
	})
	return u, err
}

// DeleteUser removes a user. The error is NotFound, Forbidden for root while enabled.
func (a *Auth) DeleteUser(ctx context.Context, name string) error {
	errRoot := refuse(Forbidden, "Cannot delete root user while auth is enabled.")
	key := userPrefix + name
	var old []byte
	err := a.change(ctx, key, func(st *state) ([]byte, error) {
		switch {
		case name == Root && st.enabled:
			return nil, errRoot
		case st.users[name] == nil:
			return nil, refuse(NotFound, "User %s does not exist", name)
		}
		old = (*st.meta)[key]
		return nil, nil
	})
	if err != nil || name != Root || !a.Enabled() {
		return err
	}
	// It has just been enabled through another node.
	err = a.store.SetMeta(ctx, key, nil, old)
	if err != nil && !errors.Is(err, a.changed) { // else there is another root already
		return fmt.Errorf("restoring %q: %w", key, err)
	}
	return errRoot
}

// hasher returns a function that makes the hash of password, when it is first called.
func (a *Auth) hasher(ctx context.Context, password string) (func() (string, error), error) {
	if len(password) > maxPassword {
		return nil, refuse(Invalid, "Passwords have at most %d bytes", maxPassword)
	}
	var hash string
	return func() (string, error) {
		if hash != "" {
			return hash, nil
		}
		if !a.acquire(ctx) {
			return "", errBusy
		}
		defer a.release()
		b, err := bcrypt.GenerateFromPassword([]byte(password), a.cost)
		if err != nil {
			return "", errors.New("hashing a password failed") // bcrypt's error need not be safe to show
		}
		hash = string(b)
		return hash, nil
	}, nil
}
