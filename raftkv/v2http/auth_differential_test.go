// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// TestAuthSameAsEtcd sends the same requests about users, roles and permissions to etcd 3.4
// and to our handler and compares statuses, headers and bodies. Indexes are not compared,
// since in etcd users take them as well. It needs Debian's etcd-server.
func TestAuthSameAsEtcd(t *testing.T) {
	theirs, ours, _ := startSides(t)
	for _, part := range []struct{ name, script string }{
		{"users", authUsers}, {"roles", authRoles}, {"enforcement", authEnforcement}, {"guest", authGuest}, {"off", authOff},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, step := range authSteps(t, part.script) {
				step.login(theirs, ours)
				want, got := withoutIndexes(theirs.normal(theirs.send(t, step.call))), withoutIndexes(ours.normal(ours.send(t, step.call)))
				same(t, step.String(), want, got)
			}
		})
	}
	t.Run("intended differences", func(t *testing.T) { compareAuthIntended(t, theirs, ours) })
}

// An authStep is a call and who makes it: nobody, or NAME:PASSWORD, or a whole header.
type authStep struct {
	who string
	call
}

func (s authStep) String() string { return s.who + " " + s.call.String() }

// login makes both sides send the step's credentials.
func (s authStep) login(sides ...*side) {
	header := s.who
	if strings.Contains(header, ":") {
		header = "Basic " + base64.StdEncoding.EncodeToString([]byte(header))
	}
	for _, side := range sides {
		side.authorization = header
	}
}

// authSteps reads lines of the form "[@WHO] METHOD target body". A body is a form for keys,
// JSON for everything else; in WHO a _ stands for a blank.
func authSteps(t *testing.T, script string) []authStep {
	t.Helper()
	var steps []authStep
	for line := range strings.SplitSeq(script, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var s authStep
		if who, rest, ok := strings.Cut(line, " "); ok && strings.HasPrefix(who, "@") {
			s.who, line = strings.ReplaceAll(who[1:], "_", " "), rest
		}
		words := strings.SplitN(line, " ", 3)
		if len(words) < 2 {
			t.Fatalf("line %q is not a request", line)
		}
		s.method, s.target = words[0], words[1]
		if len(words) == 3 {
			s.body = words[2]
		}
		if under(s.target, keysPath) && s.body != "" {
			s.contentType = formType
		}
		steps = append(steps, s)
	}
	return steps
}

var (
	anyIndex = regexp.MustCompile(`"(modifiedIndex|createdIndex|index)":\+?[1-9]\d*`)
	anyOrder = regexp.MustCompile(`/\+\d+"`) // an in-order name, made relative
)

// withoutIndexes takes out the indexes that are not 0.
func withoutIndexes(a answer) answer {
	a.body = anyIndex.ReplaceAllString(a.body, `"$1":(n)`)
	a.body = anyOrder.ReplaceAllString(a.body, `/(n)"`)
	if v := a.header["X-Etcd-Index"]; v != nil && v[0] != "0" {
		a.header["X-Etcd-Index"] = []string{"(n)"}
	}
	return a
}

const authUsers = `
GET /v2/auth
GET /v2/auth/
GET /v2/authx
GET /v2/auth/nope
GET /v2/auth/usersx
GET /v2/auth/enable
GET /v2/auth/enable/
HEAD /v2/auth/enable
POST /v2/auth/enable
PATCH /v2/auth/enable
OPTIONS /v2/auth/enable
PUT /v2/auth/enable
DELETE /v2/auth/enable
GET /v2/auth/users
GET /v2/auth/users/
HEAD /v2/auth/users
PUT /v2/auth/users
DELETE /v2/auth/users/
FOO /v2/auth/users
GET /v2/auth/users/x
GET /v2/auth/users/x/
GET /v2/auth/users/x/y
GET /v2/auth/users/x/y/
POST /v2/auth/users/x/y
FOO /v2/auth/users/x/y
POST /v2/auth/users/x
HEAD /v2/auth/users/x
GET /v2/auth/users//x
GET /v2/auth/users/../roles
PUT /v2/auth/users/x
PUT /v2/auth/users/x {
PUT /v2/auth/users/x []
PUT /v2/auth/users/x null
PUT /v2/auth/users/x "x"
PUT /v2/auth/users/x {"user":5}
PUT /v2/auth/users/x {"user":"y"}
PUT /v2/auth/users/x {"user":"x"}
PUT /v2/auth/users/x {"user":"x","roles":["r"]}
PUT /v2/auth/users/x {"user":"x","grant":["r"]}
PUT /v2/auth/users/x {"user":"x","revoke":["r"]}
PUT /v2/auth/users/x {"user":"x","password":"p","grant":["r"]}
DELETE /v2/auth/users/x
PUT /v2/auth/users/x {"user":"x","password":"p"}
GET /v2/auth/users/x
PUT /v2/auth/users/x {"user":"x"}
PUT /v2/auth/users/x {"user":"x"}
PUT /v2/auth/users/x {"user":"x","password":"p"}
PUT /v2/auth/users/x {"user":"x","password":"q","roles":["a"]}
PUT /v2/auth/users/x {"user":"x","roles":["a"]}
PUT /v2/auth/users/x {"user":"x","roles":["a"],"grant":["b"]}
PUT /v2/auth/users/x {"user":"x","roles":[],"grant":["b"]}
PUT /v2/auth/users/x {"user":"x","grant":["b"]}
PUT /v2/auth/users/x {"user":"x","grant":["c","a"],"password":"p2"}
PUT /v2/auth/users/x {"user":"x","grant":["d","d"]}
PUT /v2/auth/users/x {"user":"x","grant":["d"],"revoke":["d"]}
PUT /v2/auth/users/x {"user":"x","revoke":["zz"]}
PUT /v2/auth/users/x {"user":"x","revoke":["a","a"]}
PUT /v2/auth/users/x {"user":"x","revoke":["a","b"]}
GET /v2/auth/users/x
PUT /v2/auth/users/x {"user":"x","revoke":["c"]}
GET /v2/auth/users/x
GET /v2/auth/users
PUT /v2/auth/users/y {"user":"y","password":"p","roles":["b","a","a"]}
PUT /v2/auth/users/y {"user":"y","grant":["c"]}
PUT /v2/auth/users/z {"USER":"z","Password":"p","unknown":1} trailing
PUT /v2/auth/users/a%20b {"user":"a b","password":"p"}
PUT /v2/auth/users/%C3%A9%3C {"user":"é<","password":"p"}
GET /v2/auth/users/%C3%A9%3C
GET /v2/auth/users
DELETE /v2/auth/users/y
DELETE /v2/auth/users/y/
DELETE /v2/auth/users/a%20b
DELETE /v2/auth/users/%C3%A9%3C
PUT /v2/auth/users/root {"user":"root","password":"p","roles":["x"]}
GET /v2/auth/users
PUT /v2/auth/users/root {"user":"root","revoke":["root"]}
PUT /v2/auth/users/root {"user":"root","revoke":["root"]}
PUT /v2/auth/users/root {"user":"root","grant":["root"]}
PUT /v2/auth/users/root {"user":"root","revoke":["x"]}
PUT /v2/auth/users/root {"user":"root"}
GET /v2/auth/users/root
DELETE /v2/auth/users/root
PUT /v2/auth/users/root {"user":"root","password":"p"}
PUT /v2/auth/users/root {"user":"root"}
`

const authRoles = `
GET /v2/auth/roles
GET /v2/auth/roles/
POST /v2/auth/roles
GET /v2/auth/roles/root
GET /v2/auth/roles/none
GET /v2/auth/roles/a/b
PUT /v2/auth/roles/root {"role":"root"}
PUT /v2/auth/roles/root {"role":"root","grant":{"kv":{"read":["/x"]}}}
PUT /v2/auth/roles/root {"role":"toor"}
DELETE /v2/auth/roles/root
DELETE /v2/auth/roles/none
PUT /v2/auth/roles/none {"role":"none","grant":{"kv":{"read":["/x"]}}}
PUT /v2/auth/roles/none {"role":"none","revoke":{"kv":{"read":["/x"]}}}
PUT /v2/auth/roles/r
PUT /v2/auth/roles/r {"role":5}
PUT /v2/auth/roles/r {"role":"q"}
PUT /v2/auth/roles/r {"role":"r"}
PUT /v2/auth/roles/r {"role":"r"}
GET /v2/auth/roles/r
GET /v2/auth/roles/r/
POST /v2/auth/roles/r
PUT /v2/auth/roles/r {"role":"r","permissions":{"kv":{"read":["/x"]}},"grant":{"kv":{"read":["/x"]}}}
PUT /v2/auth/roles/r {"role":"r","grant":{"kv":{"read":["/b","/a"]}}}
PUT /v2/auth/roles/r {"role":"r","grant":{"kv":{"read":["/a"]}}}
PUT /v2/auth/roles/r {"role":"r","grant":{"kv":{"write":["/w","/w"]}}}
PUT /v2/auth/roles/r {"role":"r","grant":{"kv":{"write":["/w"]}},"revoke":{"kv":{"read":["/a","/q"]}}}
PUT /v2/auth/roles/r {"role":"r","revoke":{"kv":{"read":["/q"]}}}
PUT /v2/auth/roles/r {"role":"r","grant":{"kv":{"read":["/n"]}},"revoke":{"kv":{"read":["/n"]}}}
PUT /v2/auth/roles/r {"role":"r","revoke":{"kv":{"read":["/b"],"write":["/w"]}}}
GET /v2/auth/roles/r
PUT /v2/auth/roles/s {"role":"s","permissions":{"kv":{"read":["/z*","/a"],"write":["/y"]}}}
PUT /v2/auth/roles/s {"role":"s","permissions":{"kv":{"read":["/z*","/a"]}}}
PUT /v2/auth/roles/s {"ROLE":"s","GRANT":{"KV":{"READ":["/more"]}}} trailing
PUT /v2/auth/roles/t {"role":"t","permissions":{"kv":{"read":[],"write":["/x","/x"]}}}
PUT /v2/auth/roles/t {"role":"t","grant":{"kv":{"write":["/y"]}}}
PUT /v2/auth/roles/u {"role":"u","grant":{"kv":{}},"revoke":{}}
DELETE /v2/auth/roles/u
GET /v2/auth/roles
PUT /v2/auth/users/x {"user":"x","grant":["s","r"]}
GET /v2/auth/users/x
GET /v2/auth/users
DELETE /v2/auth/roles/r
DELETE /v2/auth/roles/r
GET /v2/auth/users/x
GET /v2/auth/users
DELETE /v2/auth/roles/s/
DELETE /v2/auth/roles/t
PUT /v2/auth/users/x {"user":"x","revoke":["s","r"]}
`

const authEnforcement = `
# Credentials are not looked at while off.
@x:wrong PUT /v2/keys/e/a value=1
@Nonsense GET /v2/auth/users
PUT /v2/keys/e/b value=1
PUT /v2/keys/e/dir/c value=1
PUT /v2/keys/ex value=1
PUT /v2/auth/roles/reader {"role":"reader","permissions":{"kv":{"read":["/e/*"]}}}
PUT /v2/auth/roles/writer {"role":"writer","permissions":{"kv":{"write":["/e/a","/e/dir*"]}}}
PUT /v2/auth/roles/exact {"role":"exact","permissions":{"kv":{"read":["/e"],"write":["/e"]}}}
PUT /v2/auth/users/ann {"user":"ann","password":"secret:with:colons","roles":["reader","missing"]}
PUT /v2/auth/users/bob {"user":"bob","password":"b","roles":["writer"]}
PUT /v2/auth/users/eve {"user":"eve","password":"e","roles":["exact"]}
PUT /v2/auth/users/adm {"user":"adm","password":"a","roles":["root"]}
PUT /v2/auth/enable
GET /v2/auth/enable
@x:wrong GET /v2/auth/enable
PUT /v2/auth/enable
DELETE /v2/auth/enable
@root:p PUT /v2/auth/enable
@adm:a PUT /v2/auth/enable
@bob:b DELETE /v2/auth/enable
GET /v2/auth/users
GET /v2/auth/users/ann
GET /v2/auth/roles
GET /v2/auth/roles/root
PUT /v2/auth/users/new {"user":"new","password":"p"}
PUT /v2/auth/users/new nonsense
POST /v2/auth/users/ann
GET /v2/auth/users/a/b
@ann:secret:with:colons GET /v2/auth/users/ann
@root:p GET /v2/auth/users/adm
@adm:a GET /v2/auth/roles
@root:p DELETE /v2/auth/users/root
@root:p GET /v2/keys/e?recursive=true&sorted=true
@adm:a PUT /v2/keys/e/a value=2
@root: GET /v2/keys/e/a
@root:wrong GET /v2/keys/e/a
@root:wrong GET /v2/auth/users
@root:wrong PUT /v2/members/abc {}
@nobody:p GET /v2/keys/e/a
@Basic_ GET /v2/keys/e/a
@Basic_!!! GET /v2/keys/e/a
@Basic_cm9vdA== GET /v2/keys/e/a
@Bearer_cm9vdDpw GET /v2/keys/e/a
@basic_cm9vdDpw GET /v2/keys/e/a
@BASIC__cm9vdDpw GET /v2/keys/e/a
@ann:secret:with:colons GET /v2/keys/e/a
@ann:secret:with:colons HEAD /v2/keys/e/a
@ann:secret:with:colons GET /v2/keys/e/a?quorum=true
@ann:secret:with:colons GET /v2/keys/e/dir?recursive=true
@ann:secret:with:colons GET /v2/keys/e
@ann:secret:with:colons GET /v2/keys/e?recursive=true
@ann:secret:with:colons GET /v2/keys/ex
@ann:secret:with:colons GET /v2/keys/
@ann:secret:with:colons GET /v2/keys
@ann:secret:with:colons GET /v2/keys/e/none
@ann:secret:with:colons GET /v2/keys/e/a?wait=true&waitIndex=1&recursive=true
@ann:secret:with:colons PUT /v2/keys/e/a value=3
@ann:secret:with:colons PUT /v2/keys/e/a?ttl=x value=3
@ann:secret:with:colons PUT /v2/keys/ex?prevValue=1 value=3
@ann:secret:with:colons POST /v2/keys/e value=3
@ann:secret:with:colons DELETE /v2/keys/e/a
@bob:b GET /v2/keys/e/a
@bob:b GET /v2/keys/e/a?wait=true
@bob:b PUT /v2/keys/e/a value=4
@bob:b PUT /v2/keys/e/a?recursive=true value=4
@bob:b PUT /v2/keys/e/b value=4
@bob:b POST /v2/keys/e/dir value=4
@bob:b PUT /v2/keys/e/dirx value=4
@bob:b DELETE /v2/keys/e/dirx
@bob:b DELETE /v2/keys/e/dir?recursive=true
@bob:b DELETE /v2/keys/e/a?recursive=true
@bob:b DELETE /v2/keys/e/a
@eve:e GET /v2/keys/e
@eve:e GET /v2/keys/e?recursive=true
@eve:e GET /v2/keys/e?recursive=false
@eve:e DELETE /v2/keys/e?recursive=true
@eve:e DELETE /v2/keys/e?dir=true
@eve:e GET /v2/keys/e/b
@x:p2 GET /v2/keys/e/b
@x:p2 GET /v2/stats/self
GET /v2/members
@bob:b GET /v2/members
@bob:b POST /v2/members {}
@bob:b PUT /v2/members/abc {}
@bob:b DELETE /v2/members/abc
DELETE /v2/members/abc
@bob:b GET /v2/machines
@bob:b GET /version
@bob:b GET /health
@bob:b GET /v2/stats/store
@bob:b GET /v2/keys//e
@bob:b PATCH /v2/keys/e
# A change is seen at once.
@root:p PUT /v2/auth/users/bob {"user":"bob","password":"b2"}
@bob:b PUT /v2/keys/e/a value=5
@bob:b2 PUT /v2/keys/e/a value=5
@root:p PUT /v2/auth/users/bob {"user":"bob","revoke":["writer"]}
@bob:b2 PUT /v2/keys/e/a value=5
@root:p PUT /v2/auth/users/bob {"user":"bob","grant":["writer"]}
@bob:b2 PUT /v2/keys/e/a value=5
@root:p DELETE /v2/auth/roles/writer
@bob:b2 PUT /v2/keys/e/a value=5
@root:p DELETE /v2/auth/users/bob
@bob:b2 PUT /v2/keys/e/a value=5
@root:p PUT /v2/auth/users/adm {"user":"adm","revoke":["root"]}
@adm:a GET /v2/auth/users
`

const authGuest = `
GET /v2/keys/e/b
PUT /v2/keys/g value=1
GET /v2/keys/?recursive=true&sorted=true
DELETE /v2/keys/g
@root:p GET /v2/auth/roles/guest
@root:p PUT /v2/auth/roles/guest {"role":"guest","revoke":{"kv":{"write":["/*"]}}}
GET /v2/keys/e/b
PUT /v2/keys/g value=1
@ann:secret:with:colons GET /v2/keys/ex
@root:p PUT /v2/auth/roles/guest {"role":"guest","revoke":{"kv":{"read":["/*"]}},"grant":{"kv":{"read":["/e/b"],"write":["/g/*"]}}}
GET /v2/keys/e/b
GET /v2/keys/ex
PUT /v2/keys/g/1 value=1
PUT /v2/keys/g value=1
DELETE /v2/keys/g/1
@root:p DELETE /v2/auth/roles/guest
GET /v2/keys/e/b
PUT /v2/keys/g/1 value=1
GET /v2/keys/e/b?ttl=x
GET /v2/auth/enable
`

const authOff = `
@ann:secret:with:colons DELETE /v2/auth/enable
@root:p DELETE /v2/auth/enable
@root:p DELETE /v2/auth/enable
GET /v2/auth/enable
GET /v2/auth/users
PUT /v2/keys/g value=1
@root:wrong PUT /v2/keys/g value=1
PUT /v2/auth/enable
GET /v2/keys/g
@root:p GET /v2/auth/roles
@root:p DELETE /v2/auth/enable
DELETE /v2/auth/users/root
PUT /v2/auth/enable
GET /v2/auth/users
`
