// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Permissions are the patterns of the keys that may be read and written. A nil list was
// never set.
type Permissions struct {
	Read, Write []string
}

// Empty reports whether p allows nothing.
func (p Permissions) Empty() bool { return len(p.Read)+len(p.Write) == 0 }

// A Role is a set of permissions with a name.
type Role struct {
	Name string
	Permissions
}

// rootRole is what the role root looks like; it is not what allows everything.
var rootRole = Role{Root, Permissions{Read: []string{"/*"}, Write: []string{"/*"}}}

// clone returns a copy of r that may be changed.
func (r *Role) clone() Role {
	return Role{r.Name, Permissions{slices.Clone(r.Read), slices.Clone(r.Write)}}
}

// Roles returns all roles, sorted by name, with root.
func (a *Auth) Roles() []Role {
	st := a.load()
	names := slices.Sorted(maps.Keys(st.roles))
	if i, found := slices.BinarySearch(names, Root); !found {
		names = slices.Insert(names, i, Root)
	}
	roles := make([]Role, len(names))
	for i, name := range names {
		roles[i] = st.role(name).clone()
	}
	return roles
}

// Role returns the role of that name. The error is NotFound.
func (a *Auth) Role(name string) (Role, error) {
	r := a.load().role(name)
	if r == nil {
		return Role{}, refuse(NotFound, "Role %s does not exist.", name)
	}
	return r.clone(), nil
}

// CreateRole makes a role. The error is Forbidden for root, Conflict if it exists.
func (a *Auth) CreateRole(ctx context.Context, r Role) error {
	return a.changeRole(ctx, r.Name, func(st *state) ([]byte, error) {
		if st.roles[r.Name] != nil {
			return nil, refuse(Conflict, "Role %s already exists.", r.Name)
		}
		return encode(roleRecord(r.Permissions)), nil
	})
}

// UpdateRole adds and then takes away permissions, and returns the role with sorted lists.
// Taking away what is not there does nothing. The error is Forbidden for root, NotFound,
// Conflict for granting what was granted before, Invalid if nothing changes.
func (a *Auth) UpdateRole(ctx context.Context, name string, grant, revoke Permissions) (Role, error) {
	var r Role
	err := a.changeRole(ctx, name, func(st *state) ([]byte, error) {
		old := st.roles[name]
		if old == nil {
			return nil, refuse(NotFound, "Role %s does not exist.", name)
		}
		r = Role{Name: name}
		var err error
		if r.Read, err = regrant("read", old.Read, grant.Read, revoke.Read); err != nil {
			return nil, err
		}
		if r.Write, err = regrant("write", old.Write, grant.Write, revoke.Write); err != nil {
			return nil, err
		}
		if same(r.Read, old.Read) && same(r.Write, old.Write) {
			return nil, refuse(Invalid, "Role not updated. Use grant/revoke to update the role.")
		}
		return encode(roleRecord(r.Permissions)), nil
	})
	return r, err
}

// regrant returns the list with what is granted and without what is revoked, sorted.
func regrant(what string, list, grant, revoke []string) ([]string, error) {
	list = append([]string{}, list...)
	for _, p := range grant {
		if slices.Contains(list, p) {
			return nil, refuse(Conflict, "Granting duplicate %s permission %s", what, p)
		}
		list = append(list, p)
	}
	slices.Sort(list)
	list = slices.Compact(list) // a new role may have been given duplicates
	return slices.DeleteFunc(list, func(p string) bool { return slices.Contains(revoke, p) }), nil
}

// same reports whether two lists would look the same in an answer: null is not [].
func same(a, b []string) bool {
	return slices.Equal(a, b) && (a == nil) == (b == nil)
}

// DeleteRole removes a role; users may still hold it by name. The error is Forbidden for
// root, NotFound.
func (a *Auth) DeleteRole(ctx context.Context, name string) error {
	return a.changeRole(ctx, name, func(st *state) ([]byte, error) {
		if st.roles[name] == nil {
			return nil, refuse(NotFound, "Role %s doesn't exist.", name)
		}
		return nil, nil
	})
}

// changeRole is change for a role that is not root.
func (a *Auth) changeRole(ctx context.Context, name string, f func(*state) ([]byte, error)) error {
	if name == Root {
		return refuse(Forbidden, "Cannot modify role %s: is root role.", name)
	}
	return a.change(ctx, rolePrefix+name, f)
}

// An Access is something to be done with a key.
type Access struct {
	Key       string // clean: no slash at its end, "/" is the root
	Write     bool
	Recursive bool // with everything below
}

// allows reports whether the role allows acc.
func (r *Role) allows(acc Access) bool {
	if r.Name == Root {
		return true
	}
	list := r.Read
	if acc.Write {
		list = r.Write
	}
	for _, pattern := range list {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			if strings.HasPrefix(acc.Key, prefix) {
				return true
			}
		} else if pattern == acc.Key && !acc.Recursive {
			return true
		}
	}
	return false
}
