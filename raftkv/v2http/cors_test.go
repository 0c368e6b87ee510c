// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func TestCORS(t *testing.T) {
	const a, b = "http://a.example", "https://b.example:8080"
	requests := []struct{ method, target string }{
		{"GET", "/version"},
		{"PUT", "/v2/keys/a"},
		{"GET", "/v2/keys/none"},
		{"GET", "/nope"},
		{"GET", "/v2//keys"},
		{"PATCH", "/v2/keys/a"},
		{"OPTIONS", "/v2/keys/a"},
		{"GET", "/v2/members"},
		{"GET", "/v2/keys/a?wait=true&waitIndex=1"},
	}
	tests := []struct {
		cors    []string
		origin  string
		allowed string
		vary    bool
	}{
		{nil, "", "", false},
		{nil, a, "", false},
		{[]string{"*"}, "", "*", false},
		{[]string{"*"}, a, "*", false},
		{[]string{a, "*"}, b, "*", false},
		{[]string{a, b}, a, a, true},
		{[]string{a, b}, b, b, true},
		{[]string{a, b}, "", "", true},
		{[]string{a, b}, "http://b.example:8080", "", true},
		{[]string{a, b}, "http://a.example.evil", "", true},
		{[]string{a, b}, "null", "", true},
	}
	for _, test := range tests {
		h, _ := newTestHandler(Options{CORS: test.cors})
		for _, req := range requests {
			r := httptest.NewRequest(req.method, req.target, http.NoBody)
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			w := record(t, h, r)
			want := http.Header{}
			if test.allowed != "" {
				want.Set("Access-Control-Allow-Origin", test.allowed)
				want.Set("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE")
				want.Set("Access-Control-Allow-Headers", "accept, content-type, authorization")
			}
			if test.vary {
				want.Set("Vary", "Origin")
			}
			for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Vary"} {
				if got := w.Header().Values(name); !slices.Equal(got, want.Values(name)) {
					t.Errorf("%q, %s %s from %q: %s: got %q, want %q", test.cors, req.method, req.target, test.origin, name, got, want.Values(name))
				}
			}
			if req.method == "OPTIONS" && w.Code != 200 {
				t.Errorf("OPTIONS: got %d", w.Code)
			}
		}
	}
}

func TestParseCORS(t *testing.T) {
	for _, test := range []struct {
		list string
		want []string
		err  string
	}{
		{"", nil, "<nil>"},
		{"*", []string{"*"}, "<nil>"},
		{" http://a , https://b:8080,,", []string{"http://a", "https://b:8080"}, "<nil>"},
		{"a.example", nil, `CORS origin "a.example" is not of the form http://HOST[:PORT] nor *`},
		{"http://a/", nil, `CORS origin "http://a/" is not of the form http://HOST[:PORT] nor *`},
		{"http://a,http://%zz", nil, `CORS origin "http://%zz" is not of the form http://HOST[:PORT] nor *`},
		{"http://*.a/b", nil, `CORS origin "http://*.a/b" is not of the form http://HOST[:PORT] nor *`},
	} {
		got, err := ParseCORS(test.list)
		if !slices.Equal(got, test.want) || fmt.Sprint(err) != test.err {
			t.Errorf("%q: got %q, %v, want %q, %s", test.list, got, err, test.want, test.err)
		}
	}
}
