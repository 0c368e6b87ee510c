// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"strings"
	"testing"
)

// TestParse feeds answers byte by byte, and all at once.
func TestParse(t *testing.T) {
	long := strings.Repeat("0123456789", 5000)
	for _, test := range []struct{ name, in, body string }{
		{"length", "HTTP/1.1 200 OK\r\ncontent-Length: 5\r\nX-Etcd-Index: 42\r\n\r\nhello", "hello"},
		{"no body", "HTTP/1.1 200 OK\r\nX-ETCD-Index: 42\r\nContent-Length: 0\r\n\r\n", ""},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Etcd-Index: 42\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"},
		{"large chunk", "HTTP/1.1 200 OK\r\nX-Etcd-Index: 42\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + long + "\r\n0\r\n\r\n", long},
	} {
		for _, step := range []int{1, 7, len(test.in)} {
			var r reader
			for range 2 { // the second answer must not see the first
				done := false
				for at := 0; at < len(test.in); at += step {
					if done {
						t.Fatalf("%s in steps of %d: complete at %d", test.name, step, at)
					}
					for part := test.in[at:min(at+step, len(test.in))]; part != ""; {
						n := copy(r.space(), part)
						r.in, part = r.in[:len(r.in)+n], part[n:]
					}
					var err error
					if done, err = r.parse(); err != nil {
						t.Fatalf("%s: %v", test.name, err)
					}
				}
				if !done || r.resp.Status != 200 || r.resp.Index != 42 || string(r.resp.Body) != test.body {
					t.Errorf("%s in steps of %d: %v, %d, %d, %.20q", test.name, step, done, r.resp.Status, r.resp.Index, r.resp.Body)
				}
				r.reset()
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"SSH-2.0-something else\r\n\r\n",
		"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
	} {
		r := reader{in: []byte(in)}
		if done, err := r.parse(); done || err == nil {
			t.Errorf("%q: %v, %v", in, done, err)
		}
	}
}
