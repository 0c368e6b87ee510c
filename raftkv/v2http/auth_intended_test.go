// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"fmt"
	"strings"
	"testing"
)

// compareAuthIntended holds the answers that are not etcd's on purpose. The texts are
// beginnings or parts of "STATUS BODY".
func compareAuthIntended(t *testing.T, theirs, ours *side) {
	long := strings.Repeat("x", 73)
	for _, step := range authSteps(t, `
PUT /v2/auth/users/root {"user":"root","password":"p"}
PUT /v2/auth/users/tom {"user":"tom","password":"t","roles":["tree"]}
PUT /v2/auth/users/_hidden {"user":"_hidden","password":"t"}
PUT /v2/auth/roles/_hidden {"role":"_hidden"}
PUT /v2/auth/roles/empty {"role":"empty","grant":{}}
PUT /v2/auth/roles/tree {"role":"tree","permissions":{"kv":{"read":["/bar"],"write":["/foo/*"]}}}
DELETE /v2/auth/roles/guest
PUT /v2/auth/roles/guest {"role":"guest","permissions":{"kv":{"read":["/bar"],"write":["/bar"]}}}
PUT /v2/keys/bar/baz value=1
PUT /v2/keys/foo?dir=true
PUT /v2/auth/enable
`) {
		step.login(theirs, ours)
		theirs.send(t, step.call)
		ours.send(t, step.call)
	}
	tests := []struct{ step, theirs, ours, reason string }{
		{`@root:p GET /v2/auth/users?x=%zz`, "500 ", `200 {"users":`, "the query is not looked at"},
		{`@root:p GET /v2/auth/users`, `"users":[{"user":"adm"`, `"users":[{"user":"_hidden"}`, "in etcd a user is a key, and those with _ are hidden"},
		{`@root:p GET /v2/auth/roles`, `"roles":[{"role":"empty",`, `"roles":[{"role":"_hidden",`, "the same"},
		{`@root:p GET /v2/auth/roles/empty`, `"grant":`, `"permissions":{"kv":{"read":null,"write":null}}}`, "etcd stores and shows an empty grant"},
		{`@root:p PUT /v2/auth/users/long {"user":"long","password":"` + long + `"}`, "", `400 {"message":"auth: Passwords have at most 72 bytes"}`, "bcrypt looks at no more"},
		{`@tom:t GET /v2/keys/bar/`, "401 ", "200 ", "the key that is checked is the clean one"},
		{`@tom:t DELETE /v2/keys/foo/?dir=true`, "200 ", "401 ", "the key that is checked is the clean one"},
		{`GET /v2/keys/bar?recursive=true`, "200 ", "401 ", "recursive needs a prefix pattern, for guests as well"},
		{`DELETE /v2/keys/bar?recursive=true`, "200 ", "401 ", "the same"},
	}
	for _, test := range tests {
		step := authSteps(t, test.step)[0]
		step.login(theirs, ours)
		for _, s := range []*side{theirs, ours} {
			wanted, unwanted := test.theirs, test.ours
			if s == ours {
				wanted, unwanted = unwanted, wanted
			}
			a := s.send(t, step.call)
			got := fmt.Sprintf("%d %s", a.status, a.body)
			if !strings.Contains(got, wanted) || unwanted != "" && strings.Contains(got, unwanted) {
				t.Errorf("%s: %s (%s): got %.300s, want %s, not %s", s.name, step, test.reason, got, wanted, unwanted)
			}
		}
	}
}
