// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"strconv"
	"strings"

	"confd/raftkv/tree"
)

// A keyRequest is a request for a key whose parameters are valid.
type keyRequest struct {
	method string
	key    string // clean, "/" is the root

	value     string
	prevValue string
	prevIndex uint64
	waitIndex uint64
	ttl       uint64
	hasTTL    bool

	hasPrevExist bool
	prevExist    bool

	dir, recursive, quorum bool
	wait, stream           bool
	refresh                bool
	noValueOnSuccess       bool

	consistent bool // 0.4's name for quorum; a watch takes no notice
}

// keysPath is where the keys are.
const keysPath = "/v2/keys"

// keyOf returns the key that a path below keysPath names. The path is clean but for a
// slash at its end.
func keyOf(path string) string {
	key := strings.TrimSuffix(path[len(keysPath):], "/")
	if key == "" {
		return "/"
	}
	return key
}

// maxTTL is the longest time to live in seconds. etcd takes more and overflows.
const maxTTL = 1 << 32

// parseKey validates the parameters of r, all of them for every method, in etcd's order:
// the first that fails decides the error.
func parseKey(r *request, k *keyRequest) *tree.Error {
	var p parser
	f := &p.form
	if err := parseForm(f, r); err != nil {
		return refuse(tree.CodeInvalidForm, err.Error())
	}
	k.method = r.method
	k.key = keyOf(r.path)
	k.value = f.text[paramValue]
	k.prevValue = f.text[paramPrevValue]

	k.prevIndex = p.number(paramPrevIndex)
	k.waitIndex = p.number(paramWaitIndex)
	k.recursive = p.bool(paramRecursive)
	p.bool(paramSorted) // listings always are
	k.wait = p.bool(paramWait)
	k.dir = p.bool(paramDir)
	k.quorum = p.bool(paramQuorum)
	k.stream = p.bool(paramStream)
	if k.wait && r.method != "GET" {
		p.fail(tree.CodeInvalidField, `"wait" can only be used with GET requests`)
	}
	if f.has(paramPrevValue) && k.prevValue == "" {
		p.fail(tree.CodePrevValueEmpty, `"prevValue" cannot be empty`)
	}
	k.noValueOnSuccess = p.bool(paramNoValueOnSuccess)
	k.ttl, k.hasTTL = p.ttl()
	k.prevExist, k.hasPrevExist = p.unquoted(paramPrevExist)
	k.refresh, _ = p.unquoted(paramRefresh)
	if f.has(paramConsistent) {
		k.consistent, _ = strconv.ParseBool(f.text[paramConsistent]) // in 2.x it is ignored, whatever it says
	}
	if k.refresh && k.value != "" {
		p.fail(tree.CodeRefreshValue, "A value was provided on a refresh")
	}
	if k.refresh && !k.hasTTL {
		p.fail(tree.CodeRefreshTTL, "No TTL value set")
	}
	return p.err
}

// refuse returns an error of a request that never reached the store: its index is 0.
func refuse(code tree.Code, cause string) *tree.Error {
	return &tree.Error{Code: code, Cause: cause}
}

// A parser turns parameters into values and keeps the first error.
type parser struct {
	form form
	err  *tree.Error
}

func (p *parser) fail(code tree.Code, cause string) {
	if p.err == nil {
		p.err = refuse(code, cause)
	}
}

// number returns the unsigned decimal number of a parameter, 0 if it was not given.
func (p *parser) number(n param) uint64 {
	if !p.form.has(n) {
		return 0
	}
	v, err := strconv.ParseUint(p.form.text[n], 10, 64)
	if err != nil {
		p.fail(tree.CodeIndexNaN, `invalid value for "`+paramNames[n]+`"`)
	}
	return v
}

// bool returns the truth of a parameter, false if it was not given.
func (p *parser) bool(n param) bool {
	if !p.form.has(n) {
		return false
	}
	v, err := strconv.ParseBool(p.form.text[n])
	if err != nil {
		p.fail(tree.CodeInvalidField, `invalid value for "`+paramNames[n]+`"`)
	}
	return v
}

// unquoted is as bool, for the two parameters whose cause has no quotes; given tells
// whether the parameter was there.
func (p *parser) unquoted(n param) (v, given bool) {
	if !p.form.has(n) {
		return false, false
	}
	v, err := strconv.ParseBool(p.form.text[n])
	if err != nil {
		p.fail(tree.CodeInvalidField, "invalid value for "+paramNames[n])
	}
	return v, true
}

// ttl returns the time to live in seconds; given is false if it was absent or empty.
func (p *parser) ttl() (seconds uint64, given bool) {
	text := p.form.text[paramTTL]
	if text == "" {
		return 0, false
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil || v > maxTTL {
		p.fail(tree.CodeTTLNaN, `invalid value for "ttl"`)
	}
	return v, true
}
