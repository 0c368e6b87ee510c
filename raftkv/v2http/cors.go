// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cors tells browsers which pages may use the API.
type cors struct {
	any     bool
	origins []string
}

// newCORS returns nil if no origin is allowed.
func newCORS(origins []string) *cors {
	if len(origins) == 0 {
		return nil
	}
	return &cors{any: slices.Contains(origins, "*"), origins: slices.Clone(origins)}
}

// ParseCORS splits a list of origins as in the flag -cors: separated by commas, each an
// URL of a scheme and a host, or "*".
func ParseCORS(list string) ([]string, error) {
	var origins []string
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		if text != "*" {
			u, err := url.Parse(text)
			if err != nil || u.Scheme == "" || u.Host == "" || text != u.Scheme+"://"+u.Host {
				return nil, fmt.Errorf("CORS origin %q is not of the form http://HOST[:PORT] nor *", text)
			}
		}
		origins = append(origins, text)
	}
	return origins, nil
}

// The values of the header fields, shared by all answers.
var (
	corsMethods = []string{"POST, GET, OPTIONS, PUT, DELETE"}
	corsHeaders = []string{"accept, content-type, authorization"}
	varyOrigin  = []string{"Origin"}
)

// writeHeader sets the fields of the answer hd to a request with those header fields.
func (c *cors) writeHeader(hd, request http.Header) {
	if !c.any {
		// Whether the fields are there depends on the origin, so a cache must ask.
		hd["Vary"] = varyOrigin
	}
	var origin string
	if o := request["Origin"]; len(o) == 1 {
		origin = o[0]
	}
	if origin = c.allowed(origin); origin != "" {
		hd["Access-Control-Allow-Origin"] = []string{origin}
		hd["Access-Control-Allow-Methods"] = corsMethods
		hd["Access-Control-Allow-Headers"] = corsHeaders
	}
}

// allowed returns the origin whose pages may have the answer to a request with that
// header Origin, "" if none.
func (c *cors) allowed(origin string) string {
	switch {
	case c.any:
		return "*"
	case slices.Contains(c.origins, origin):
		return origin
	}
	return ""
}
