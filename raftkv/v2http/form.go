// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"errors"
	"mime"
	"net/url"
	"strings"
)

// A param is a parameter that a key request knows.
type param uint8

const (
	paramValue param = iota
	paramDir
	paramTTL
	paramPrevValue
	paramPrevIndex
	paramPrevExist
	paramRecursive
	paramSorted
	paramWait
	paramWaitIndex
	paramStream
	paramQuorum
	paramRefresh
	paramNoValueOnSuccess
	paramConsistent
	numParams
)

// paramNames holds the names in the order of their constants.
var paramNames = [numParams]string{
	"value", "dir", "ttl", "prevValue", "prevIndex", "prevExist", "recursive", "sorted",
	"wait", "waitIndex", "stream", "quorum", "refresh", "noValueOnSuccess",
	"consistent",
}

// paramOf returns the parameter of that name, numParams if there is none.
func paramOf(name string) param {
	for p, n := range paramNames {
		if n == name {
			return param(p)
		}
	}
	return numParams
}

// A form holds the parameters of a request.
type form struct {
	given uint32 // bit per param
	text  [numParams]string
}

// has reports whether p was given, be it empty.
func (f *form) has(p param) bool { return f.given&(1<<p) != 0 }

// add sets p unless it was given before.
func (f *form) add(p param, text string) {
	if p < numParams && !f.has(p) {
		f.given |= 1 << p
		f.text[p] = text
	}
}

const formType = "application/x-www-form-urlencoded"

// isForm reports whether the content type is that of a form. The error is that of a
// header that cannot be parsed.
func isForm(contentType string) (bool, error) {
	switch contentType {
	case formType:
		return true, nil
	case "":
		return false, nil
	}
	t, _, err := mime.ParseMediaType(contentType)
	return t == formType, err
}

// parseForm takes the parameters from the body, where the method has one and its type is
// that of a form, and from the query. The body comes first, so it wins. The error is the
// one that net/http's ParseForm gives.
func parseForm(f *form, r *request) error {
	var err error
	if r.method == "PUT" || r.method == "POST" {
		var ok bool
		ok, err = isForm(r.contentType)
		if err == nil {
			err = r.bodyErr
		}
		if ok {
			if e := parseQuery(f, r.body); err == nil {
				err = e
			}
		}
	}
	if e := parseQuery(f, r.query); err == nil {
		err = e
	}
	return err
}

// maxParams is how many parameters net/url accepts.
const maxParams = 10000

var (
	errTooManyParams = errors.New("number of URL query parameters exceeded limit")
	errSemicolon     = errors.New("invalid semicolon separator in query")
)

// parseQuery adds the parameters of a query or a form body to f: those that f does not
// have yet, the first of each name. It finds what url.ParseQuery finds, errors included,
// without making a map of it.
func parseQuery(f *form, query string) error {
	if len(query) >= maxParams && strings.Count(query, "&") >= maxParams {
		return errTooManyParams
	}
	var err error
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if strings.Contains(pair, ";") {
			err = errSemicolon
			continue
		}
		if pair == "" {
			continue
		}
		name, text, _ := strings.Cut(pair, "=")
		name, e := unescape(name)
		if e == nil {
			text, e = unescape(text)
		}
		if e != nil {
			if err == nil {
				err = e
			}
			continue
		}
		f.add(paramOf(name), text)
	}
	return err
}

// unescape is url.QueryUnescape, which looks at each byte by itself, where nothing is to be
// decoded.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, nil
	}
	return url.QueryUnescape(s)
}
