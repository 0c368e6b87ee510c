// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"confd/raftkv"
	"confd/raftkv/auth"
)

// doAs is do for somebody: NAME:PASSWORD. Without a name it sends no credentials.
func doAs(t testing.TB, h http.Handler, who, method, target, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", formType)
	}
	if name, password, ok := strings.Cut(who, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	w := record(t, h, r)
	return w.Result()
}

// enableAuth makes root (p) and ann (secret), who may read below /app, takes everything from
// guests, and enables.
func enableAuth(t testing.TB, h *Handler) {
	t.Helper()
	for _, step := range []struct{ who, method, target, body string }{
		{"", "PUT", "/v2/auth/users/root", `{"user":"root","password":"p"}`},
		{"", "PUT", "/v2/auth/users/ann", `{"user":"ann","password":"secret","roles":["reader"]}`},
		{"", "PUT", "/v2/auth/roles/reader", `{"role":"reader","permissions":{"kv":{"read":["/app/*"]}}}`},
		{"", "PUT", "/v2/auth/roles/guest", `{"role":"guest"}`},
		{"", "PUT", "/v2/auth/enable", ""},
	} {
		if resp := doAs(t, h, step.who, step.method, step.target, step.body); resp.StatusCode/100 != 2 {
			t.Fatalf("%s %s: got %d %s", step.method, step.target, resp.StatusCode, bodyOf(t, resp))
		}
	}
}

// TestLargeBodyNeedsPermission: the body of a client who may not write is not read.
func TestLargeBodyNeedsPermission(t *testing.T) {
	h, node := newTestHandler(Options{})
	enableAuth(t, h)
	for _, tt := range []struct {
		who  string
		size int
		want int
		read bool
	}{
		{"", 1 << 20, 401, false},
		{"ann:secret", 1 << 20, 401, false},
		{"", 1 << 10, 401, true},
		{"root:p", 1 << 20, 201, true},
	} {
		body := strings.NewReader("value=" + strings.Repeat("x", tt.size))
		r := httptest.NewRequest("PUT", "/v2/keys/big", body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if name, password, ok := strings.Cut(tt.who, ":"); ok {
			r.SetBasicAuth(name, password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if read := body.Len() == 0; w.Code != tt.want || read != tt.read {
			t.Errorf("%q, %d bytes: got %d, body read: %v; want %d, %v", tt.who, tt.size, w.Code, read, tt.want, tt.read)
		}
	}
	if got := node.tree.View().Len(); got != 1 {
		t.Errorf("got %d keys, want the one of root", got)
	}
}

func TestParseBasic(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	tests := []struct {
		header, name, password string
		ok                     bool
	}{
		{"Basic " + encode("ann:secret"), "ann", "secret", true},
		{"bASIC " + encode("ann:a:b"), "ann", "a:b", true},
		{"Basic " + encode(":"), "", "", true},
		{"Basic " + encode("ann"), "", "", false},
		{"Basic  " + encode("ann:x"), "", "", false},
		{"Basic", "", "", false},
		{"Basic ", "", "", false},
		{"Basic !", "", "", false},
		{"Bearer " + encode("ann:x"), "", "", false},
	}
	for _, test := range tests {
		name, password, ok := parseBasic(test.header)
		if ok != test.ok || ok && (name != test.name || password != test.password) {
			t.Errorf("%q: got %q, %q, %v", test.header, name, password, ok)
		}
		// The standard library agrees, as it does for etcd.
		r := http.Request{Header: http.Header{"Authorization": {test.header}}}
		if n, p, o := r.BasicAuth(); o != ok || o && (n != name || p != password) {
			t.Errorf("%q: net/http says %q, %q, %v", test.header, n, p, o)
		}
	}
}

// TestCertificateNamesUser: the name of a client certificate that was verified is a user,
// unless the request says another; the names of those who signed it are not.
func TestCertificateNamesUser(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/app/a", "x")
	enableAuth(t, h)
	chain := func(names ...string) [][]*x509.Certificate {
		var c []*x509.Certificate
		for _, n := range names {
			c = append(c, &x509.Certificate{Subject: pkix.Name{CommonName: n}})
		}
		return [][]*x509.Certificate{c}
	}
	tests := []struct {
		name   string
		state  *tls.ConnectionState
		header string
		status int
	}{
		{"user", &tls.ConnectionState{VerifiedChains: chain("ann", "authority")}, "", 200},
		{"nobody", &tls.ConnectionState{VerifiedChains: chain("zoe", "root")}, "", 401},
		{"no name", &tls.ConnectionState{VerifiedChains: chain("")}, "", 401},
		{"header wins", &tls.ConnectionState{VerifiedChains: chain("ann")}, "Basic bm9ib2R5Og==", 401},
		{"not verified", &tls.ConnectionState{PeerCertificates: chain("ann")[0]}, "", 401},
		{"no TLS", nil, "", 401},
	}
	for _, test := range tests {
		r := httptest.NewRequest("GET", "/v2/keys/app/a", nil)
		r.TLS = test.state
		if test.header != "" {
			r.Header.Set("Authorization", test.header)
		}
		w := record(t, h, r)
		if w.Code != test.status {
			t.Errorf("%s: got %d, want %d", test.name, w.Code, test.status)
		}
	}
}

// TestCredentialsOfOneRequest: what one request has sent is not there for the next one.
func TestCredentialsOfOneRequest(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/app/a", "x")
	enableAuth(t, h)
	for i := range 20 {
		if resp := doAs(t, h, "ann:secret", "GET", "/v2/keys/app/a", ""); resp.StatusCode != 200 {
			t.Fatalf("%d: got %d", i, resp.StatusCode)
		}
		if resp := doAs(t, h, "", "GET", "/v2/keys/app/a", ""); resp.StatusCode != 401 {
			t.Fatalf("%d: without credentials: got %d", i, resp.StatusCode)
		}
	}
}

// TestNothingHappensWhenRefused: a refused request changes nothing, reads nothing and opens
// no watch.
func TestNothingHappensWhenRefused(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/app/a", "x")
	enableAuth(t, h)
	index, meta, stats := node.tree.View().Index(), node.Meta(), node.tree.Stats()
	for _, who := range []string{"", "ann:secret", "ann:wrong"} {
		for _, r := range []struct{ method, target, body string }{
			{"PUT", "/v2/keys/app/a", "value=y"},
			{"POST", "/v2/keys/app", "value=y"},
			{"DELETE", "/v2/keys/app/a?prevValue=x", ""},
			{"GET", "/v2/keys/other", ""},
			{"HEAD", "/v2/keys/other?quorum=true", ""},
			{"GET", "/v2/keys/other?wait=true", ""},
			{"GET", "/v2/keys/?wait=true&recursive=true&stream=true", ""},
			{"PUT", "/v2/auth/users/ann", `{"user":"ann","password":"new"}`},
			{"DELETE", "/v2/auth/users/ann", ""},
			{"PUT", "/v2/auth/roles/guest", `{"role":"guest","grant":{"kv":{"read":["/*"]}}}`},
			{"DELETE", "/v2/auth/roles/reader", ""},
			{"DELETE", "/v2/auth/enable", ""},
			{"POST", "/v2/members", `{}`},
			{"POST", "/discovery/new", ""},
		} {
			if resp := doAs(t, h, who, r.method, r.target, r.body); resp.StatusCode != 401 {
				t.Errorf("%q: %s %s: got %d, want 401", who, r.method, r.target, resp.StatusCode)
			}
		}
	}
	if node.tree.View().Index() != index || node.Meta() != meta || node.tree.Stats() != stats || len(node.changes) > 0 {
		t.Error("something has happened")
	}
}

// TestUsersAreCurrent: what a node has not applied yet is waited for before users and roles
// are changed; to read them it is not.
func TestUsersAreCurrent(t *testing.T) {
	h, node := newTestHandler(Options{})
	node.fail = raftkv.ErrNoLeader
	for _, r := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"PUT", "/v2/auth/users/ann", `{"user":"ann","grant":["x"]}`, 500, `{"message":"Internal Server Error"}`},
		{"DELETE", "/v2/auth/users/ann", "", 500, `{"message":"Internal Server Error"}`},
		{"PUT", "/v2/auth/roles/r", `{"role":"r"}`, 500, `{"message":"Internal Server Error"}`},
		{"DELETE", "/v2/auth/roles/r", "", 500, `{"message":"Internal Server Error"}`},
		{"PUT", "/v2/auth/enable", "", 500, `{"message":"Internal Server Error"}`},
		{"GET", "/v2/auth/users", "", 200, `{"users":null}` + "\n"},
		{"GET", "/v2/auth/enable", "", 200, `{"enabled":false}` + "\n"},
	} {
		resp := do(t, h, r.method, r.target, r.body)
		if got := bodyOf(t, resp); resp.StatusCode != r.status || got != r.want {
			t.Errorf("%s %s: got %d %s, want %d %s", r.method, r.target, resp.StatusCode, got, r.status, r.want)
		}
	}
}

// failingNode is a node whose metadata cannot be written.
type failingNode struct {
	*fakeNode
	write error // what SetMeta returns, if not nil
}

func (n *failingNode) SetMeta(ctx context.Context, key string, prev, value []byte) error {
	if n.write != nil {
		return n.write
	}
	return n.fakeNode.SetMeta(ctx, key, prev, value)
}

// TestNothingSecretIsLogged: neither passwords nor their hashes are in logs or answers.
func TestNothingSecretIsLogged(t *testing.T) {
	for _, fail := range []error{nil, raftkv.ErrTimeout, fmt.Errorf("metadata: %w", raftkv.ErrTooLarge)} {
		var logged bytes.Buffer
		node := &failingNode{fakeNode: newFakeNode()}
		h := New(node, Options{Log: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		h.auth = auth.New(auth.Config{Store: node, Changed: raftkv.ErrMetaChanged, Cost: 4})
		do(t, h, "PUT", "/v2/auth/users/root", `{"user":"root","password":"secret-root"}`)
		do(t, h, "PUT", "/v2/auth/enable", "")
		node.write = fail
		said := ""
		for _, r := range []struct{ who, method, target, body string }{
			{"root:secret-root", "PUT", "/v2/auth/users/ann", `{"user":"ann","password":"secret-ann"}`},
			{"root:secret-root", "PUT", "/v2/auth/users/ann", `{"user":"ann","password":"secret-new","grant":["r"]}`},
			{"root:secret-root", "PUT", "/v2/auth/users/ann", `{"user":"ann","password":"secret-broken}`},
			{"root:secret-root", "GET", "/v2/auth/users", ""},
			{"root:secret-root", "GET", "/v2/auth/users/root", ""},
			{"root:secret-wrong", "GET", "/v2/keys/a", ""},
			{"root:secret-wrong", "GET", "/v2/auth/users", ""},
		} {
			resp := doAs(t, h, r.who, r.method, r.target, r.body)
			said += fmt.Sprint(resp.StatusCode, resp.Header, bodyOf(t, resp))
		}
		for _, secret := range []string{"secret", "$2a$", base64.StdEncoding.EncodeToString([]byte("root:secret"))[:12]} {
			if strings.Contains(logged.String()+said, secret) {
				t.Errorf("%v: %q in the log or in an answer:\n%s\n%s", fail, secret, &logged, said)
			}
		}
	}
}

// TestAuthBodyTooLong: a body that is too long is refused, not cut.
func TestAuthBodyTooLong(t *testing.T) {
	h, node := newTestHandler(Options{})
	body := `{"user":"ann","password":"x"}` + strings.Repeat(" ", maxSmallBody)
	resp := do(t, h, "PUT", "/v2/auth/users/ann", body)
	if resp.StatusCode != 413 || len(*node.Meta()) != 0 {
		t.Errorf("got %d %s and %d users, want 413", resp.StatusCode, bodyOf(t, resp), len(*node.Meta()))
	}
}

// BenchmarkGetAs is BenchmarkGet for a user who has logged in before.
func BenchmarkGetAs(b *testing.B) {
	h, _ := newTestHandler(Options{})
	do(b, h, "PUT", "/v2/keys/app/key", "value=x")
	enableAuth(b, h)
	r, err := http.NewRequest("GET", "/v2/keys/app/key", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.SetBasicAuth("ann", "secret")
	w := &recorder{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		w.body.Reset()
		h.ServeHTTP(w, r)
	}
	if w.status != 200 {
		b.Fatal(w.status)
	}
}
