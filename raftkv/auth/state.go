// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/json"
	"strings"
)

// The keys of the metadata.
const (
	enabledKey = "auth/enabled" // there or not
	userPrefix = "auth/user/"
	rolePrefix = "auth/role/"
)

// A state is what the metadata say, decoded. It does not change.
type state struct {
	meta    *map[string][]byte
	enabled bool
	users   map[string]*user // :: name → user
	roles   map[string]*Role // :: name → role; root is not there
}

// A user is a User with what nobody gets to see.
type user struct {
	User
	hash []byte
}

// The records of the metadata. A list that was never set is null, one that was emptied is
// [], since etcd's answers tell them apart.
type (
	userRecord struct {
		Hash  string   `json:"hash"`
		Roles []string `json:"roles"`
	}
	roleRecord struct {
		Read  []string `json:"read"`
		Write []string `json:"write"`
	}
)

// load returns the state of now.
func (a *Auth) load() *state {
	meta := a.store.Meta()
	if st := a.state.Load(); st != nil && st.meta == meta {
		return st
	}
	st := decode(meta)
	a.state.Store(st)
	return st
}

func decode(meta *map[string][]byte) *state {
	st := &state{meta: meta, users: make(map[string]*user), roles: make(map[string]*Role)}
	for key, value := range *meta {
		if key == enabledKey {
			st.enabled = true
		} else if name, ok := strings.CutPrefix(key, userPrefix); ok {
			var r userRecord
			if json.Unmarshal(value, &r) != nil {
				r = userRecord{}
			}
			st.users[name] = &user{User{name, withRoot(name, r.Roles)}, []byte(r.Hash)}
		} else if name, ok := strings.CutPrefix(key, rolePrefix); ok {
			var r roleRecord
			if json.Unmarshal(value, &r) != nil {
				r = roleRecord{}
			}
			st.roles[name] = &Role{name, Permissions(r)}
		}
	}
	return st
}

// encode returns v, one of the records, as it is stored.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // lists of strings always have a JSON form
	}
	return b
}

// role returns the role of that name, nil if there is none. It must not be changed.
func (st *state) role(name string) *Role {
	if name == Root {
		return &rootRole
	}
	return st.roles[name]
}
