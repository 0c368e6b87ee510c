// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

const (
	line = "GET /v2/keys/a?b=c HTTP/1.1\r\n"
	host = "Host: x\r\n"
	end  = "\r\n"
)

// TestParse: what is clean, and what is read of it.
func TestParse(t *testing.T) {
	for _, test := range []struct {
		head string
		want Request
	}{
		{line + host + end, Request{Method: "GET", Path: []byte("/v2/keys/a"), Query: []byte("b=c")}},
		{"HEAD / HTTP/1.1\r\nHOST:[::1]:80\t \r\n" + end, Request{Method: "HEAD", Path: []byte("/")}},
		{"DELETE /a? HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + end, Request{Method: "DELETE", Path: []byte("/a")}},
		{"PUT /a HTTP/1.1\r\n" + host + "content-length: 69632\r\nConnection: Close\r\n" + end, Request{Method: "PUT", Path: []byte("/a"), Length: MaxBody, Close: true}},
		{
			"POST /a HTTP/1.1\r\n" + host + "Content-Type:  x/y; z=\"#\" \r\nAUTHORIZATION: Basic eDp5\r\nOrigin: http://a\r\nConnection: keep-alive\r\nX-Empty:\r\nX-Empty:\r\n" + end,
			Request{Method: "POST", Path: []byte("/a"), ContentType: []byte(`x/y; z="#"`), Authorization: []byte("Basic eDp5"), Origin: []byte("http://a")},
		},
	} {
		var r Request
		n, v := r.parse([]byte(test.head + "rest"))
		if v != clean || n != len(test.head) {
			t.Errorf("%q: got %d, verdict %d, want %d, clean", test.head, n, v, len(test.head))
		}
		r.seen = 0
		if got, want := show(&r), show(&test.want); got != want {
			t.Errorf("%q: got %s, want %s", test.head, got, want)
		}
	}
}

// show returns what r holds.
func show(r *Request) string {
	return strings.Join([]string{
		r.Method, string(r.Path), string(r.Query), string(r.ContentType), string(r.Authorization), string(r.Origin),
		strings.Repeat("x", r.Length%100), map[bool]string{true: "close"}[r.Close],
	}, "|")
}

// TestStrange: what is handed over, and not only when the whole head is there.
func TestStrange(t *testing.T) {
	for _, head := range []string{
		"get / HTTP/1.1\r\n", "PATCH / HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "\r\n", "\n", " GET", "0\n", "GEX", "\x16\x03\x01", "\x00",
		"GET  / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET /  HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET / HTTP/1.0\r\n", "GET / HTTP/1.1\n",
		"GET / HTTP/2.0\r\n", "GET /\r\n", "GET HTTP/1.1\r\n", "GET * HTTP/1.1\r\n", "GET http://x/ HTTP/1.1\r\n", "GET x HTTP/1.1\r\n",
		"GET /%41 HTTP/1.1\r\n", "GET /a#b HTTP/1.1\r\n", "GET /?a#b HTTP/1.1\r\n", "GET /\x00 HTTP/1.1\r\n", "GET /\xff HTTP/1.1\r\n",
		"GET /? HTTP/1.1\r\n" + end, // no host
		line + "Host:\r\n", line + host + host, line + "Host: a b\r\n", line + "Host: a,b\r\n",
		line + " X: y\r\n", line + ": y\r\n", line + "X : y\r\n", line + "X\r\n", line + "X_Y: z\r\n", line + "X\x00: y\r\n",
		line + "\n", line + host + "\n", line + host + "\r\r", line + "X: y\n", line + "X: y\rZ: a\r\n", line + "X: \x01\r\n", line + "X: \x7f\r\n", line + "X: \xe9\r\n", line + "X: y\r\n z\r\n",
		line + host + "Content-Length: 1\r\n" + end, // of a GET
		line + "Content-Length:\r\n", line + "Content-Length: 0\r\nContent-Length: 0\r\n", line + "Content-Length: +1\r\n", line + "Content-Length: 01\r\n",
		line + "Content-Length: 1,1\r\n", line + "Content-Length: 0x1\r\n", line + "Content-Length: 69633\r\n", line + "Content-Length: 18446744073709551617\r\n",
		line + "Transfer-Encoding: chunked\r\n", line + "transfer-encoding:\r\n", line + "Expect: 100-continue\r\n", line + "Upgrade: h2c\r\n",
		line + "Trailer: X\r\n", line + "TE: trailers\r\n", line + "Connection: close, x\r\n", line + "Connection:\r\n",
		line + "Connection: close\r\nConnection: close\r\n", line + "Connection: close\r\nConnection: keep-alive\r\n",
		line + "Content-Type: a\r\nContent-Type: a\r\n", line + "Content-Type:\r\n", line + "Origin: a\r\nOrigin: a\r\n", line + "Authorization: a\r\nAuthorization: a\r\n",
	} {
		var r Request
		if _, v := r.parse([]byte(head)); v != strange {
			t.Errorf("%q: got verdict %d, want strange", head, v)
		}
	}
}

// FuzzParse: what is clean net/http reads in the same way, and all that comes before its
// end is not decided yet; what is strange stays so with more behind it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(line+host+end), []byte("x"))
	f.Add([]byte("PUT /a HTTP/1.1\r\n"+host+"Content-Length: 3\r\nContent-Type: x\r\nConnection: close\r\n"+end), []byte("\r\n"))
	f.Add([]byte(line+host+"Content-Length: 1\r\n"+end), []byte(""))
	f.Add([]byte(line+host+"X: y\r\n z\r\n"+end), []byte("\n"))
	f.Fuzz(func(t *testing.T, head, rest []byte) {
		var r Request
		n, v := r.parse(head)
		longer := append(head[:len(head):len(head)], rest...)
		switch v {
		case more:
			return
		case strange:
			if _, v := new(Request).parse(longer); v != strange {
				t.Errorf("%q is strange, and with %q it is %d", head, rest, v)
			}
			return
		}
		if m, v := new(Request).parse(longer); m != n || v != clean {
			t.Errorf("%q is clean and has %d bytes, with %q it is %d and has %d", head, n, rest, v, m)
		}
		for i := range n {
			if _, v := new(Request).parse(head[:i]); v != more {
				t.Errorf("%q is clean, its first %d bytes are %d", head, i, v)
			}
		}
		sameAsNetHTTP(t, head[:n], &r)
	})
}

// sameAsNetHTTP checks that net/http reads r in head too.
func sameAsNetHTTP(t *testing.T, head []byte, r *Request) {
	t.Helper()
	want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		t.Fatalf("%q is clean, and to net/http it is %v", head, err)
	}
	if r.Method != want.Method || string(r.Path) != want.URL.Path || string(r.Query) != want.URL.RawQuery || int64(r.Length) != want.ContentLength ||
		r.Close != want.Close || len(want.TransferEncoding) > 0 || want.Host == "" || want.ProtoMajor != 1 || want.ProtoMinor != 1 {
		t.Errorf("%q: got %s, net/http has %+v", head, show(r), want)
	}
	for name, got := range map[string][]byte{"Content-Type": r.ContentType, "Authorization": r.Authorization, "Origin": r.Origin} {
		if values := want.Header[name]; len(values) > 1 || strings.Join(values, "") != string(got) {
			t.Errorf("%q: %s: got %q, net/http has %q", head, name, got, values)
		}
	}
}
