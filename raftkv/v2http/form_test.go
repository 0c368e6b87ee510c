// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"net/url"
	"strings"
	"testing"
)

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{
		"", "value=x", "value=x&value=y", "value", "=x", "&&value=1&", "value=%zz", "%zz=1", "a;b", "%zz&a;b",
		"a;b&%zz", "value=a+b%20c", "v%61lue=x", "value=%00%ff", "prevValue=&dir=true&wait=1", "value=a=b", "Value=x",
		"value=%4", "value=%", "+value=1", "wait%3Dtrue", "noValueOnSuccess=t&refresh=T",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		want, wantErr := url.ParseQuery(query)
		var got form
		err := parseQuery(&got, query)
		if text(err) != text(wantErr) {
			t.Fatalf("%q: got error %v, want %v", query, err, wantErr)
		}
		for p := range numParams {
			values, ok := want[paramNames[p]]
			if got.has(p) != ok {
				t.Errorf("%q: %s is there: got %v, want %v", query, paramNames[p], got.has(p), ok)
			}
			if ok && got.text[p] != values[0] {
				t.Errorf("%q: %s: got %q, want %q", query, paramNames[p], got.text[p], values[0])
			}
		}
	})
}

// text returns the error's text, "" for nil.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTooManyParameters(t *testing.T) {
	for _, n := range []int{maxParams - 1, maxParams} {
		query := strings.Repeat("&", n)
		_, want := url.ParseQuery(query)
		if got := parseQuery(new(form), query); text(got) != text(want) {
			t.Errorf("%d ampersands: got %v, want %v", n, got, want)
		}
	}
}

// FuzzRequest sends any request through the core: whatever comes in, the answer has a
// known status, and a key that reaches the store is clean.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v2/keys/a", "recursive=true&sorted=true", "", "")
	f.Add("PUT", "/v2/keys/a/", "prevExist=false", formType, "value=x&ttl=5")
	f.Add("POST", "/v2/keys", "", formType+"; charset=utf-8", "value=%zz")
	f.Add("DELETE", "/v2/keys/a//b", "prevIndex=7", "text/", "")
	f.Add("PUT", "/v2/keys/../x", "é", ";", "a;b")
	f.Add("HEAD", "*", "", "", "")
	f.Add("PUT", "/v2/keys/_h\x00\xff", "", formType, "value=%00%ff&dir=true")
	f.Fuzz(func(t *testing.T, method, path, query, contentType, body string) {
		r := &request{method: method, path: path, query: query, contentType: contentType}
		h, node := newTestHandler(Options{MaxValue: 1 << 10})
		if limit := h.bodyLimit(r); limit > 0 {
			if r.bodyTooLarge = len(body) > limit; !r.bodyTooLarge {
				r.body = body
			}
		}
		var resp response
		h.serve(t.Context(), r, &resp)
		switch resp.status {
		case 200, 201, 301, 400, 403, 404, 405, 412, 413:
		default:
			t.Errorf("got status %d", resp.status)
		}
		if resp.watcher != nil {
			resp.watcher.Close()
		}
		for key := range node.tree.View().Files("") {
			if key != keyOf(keysPath+cleanPath(key)) {
				t.Errorf("%q is stored, which is not clean", key)
			}
		}
	})
}

func TestFormComesFromBodyThenQuery(t *testing.T) {
	tests := []struct {
		name                             string
		method, query, contentType, body string
		want, wantErr                    string
	}{
		{"query", "PUT", "value=q", "", "", "q", ""},
		{"body", "PUT", "", formType, "value=b", "b", ""},
		{"body wins", "PUT", "value=q", formType, "value=b", "b", ""},
		{"empty body value wins", "PUT", "value=q", formType, "value=", "", ""},
		{"first wins", "PUT", "value=q&value=r", "", "", "q", ""},
		{"charset", "PUT", "value=q", formType + "; charset=utf-8", "value=b", "b", ""},
		{"go-etcd's type", "PUT", "value=q", formType + "; param=value", "value=b", "b", ""},
		{"upper case type", "PUT", "value=q", "Application/X-WWW-Form-Urlencoded", "value=b", "b", ""},
		{"other type", "PUT", "value=q", "text/plain", "value=b", "q", ""},
		{"json", "PUT", "", "application/json", `{"value":"b"}`, "", ""},
		{"no type", "PUT", "value=q", "", "value=b", "q", ""},
		{"delete has no body", "DELETE", "value=q", formType, "value=b", "q", ""},
		{"get has no body", "GET", "value=q", formType, "value=b", "q", ""},
		{"bad type on delete", "DELETE", "value=q", ";", "", "q", ""},
		{"bad type", "PUT", "value=q", ";", "", "q", "mime: no media type"},
		{"bad type parameter", "PUT", "value=q", formType + "; x", "value=b", "b", "mime: invalid media parameter"},
		{"body error first", "PUT", "a=%xx", formType, "b=%yy", "", `invalid URL escape "%yy"`},
		{"query error", "PUT", "a=%xx", formType, "value=b", "b", `invalid URL escape "%xx"`},
		{"plus", "PUT", "value=a+b%2Bc", "", "", "a b+c", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var f form
			err := parseForm(&f, &request{method: test.method, query: test.query, contentType: test.contentType, body: test.body})
			if text(err) != test.wantErr {
				t.Errorf("got error %v, want %q", err, test.wantErr)
			}
			if got := f.text[paramValue]; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
