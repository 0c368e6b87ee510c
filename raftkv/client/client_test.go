// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"confd/integration/freeport"
)

func TestEndpoints(t *testing.T) {
	tests := []struct {
		in   []string
		tls  bool
		want string // URLs, or part of the error
	}{
		{[]string{"127.0.0.1:4001"}, false, "http://127.0.0.1:4001"},
		{[]string{"127.0.0.1:4001"}, true, "https://127.0.0.1:4001"},
		{[]string{"http://h:1/", " h:1 ", "https://x", "[::1]:2"}, false, "http://h:1 https://x http://[::1]:2"},
		{nil, false, "no endpoint"},
		{[]string{""}, false, "empty"},
		{[]string{"host"}, false, `"host:4001"`},
		{[]string{"ftp://h:1"}, false, `"ftp"`},
		{[]string{"http://h:1/v2/keys"}, false, `did you mean "http://h:1"?`},
		{[]string{"http://:1"}, false, "no host"},
		{[]string{"http://h:1?x=y"}, false, "more than an address"},
		{[]string{"http://u:secret@h:1"}, false, "user name"},
		{[]string{"http://u:secret@h:1%zz"}, false, "user name"},
		{[]string{"h:1", "http://h:port", "x"}, false, `"http://h:port"`},
	}
	for _, tt := range tests {
		cfg := Config{Endpoints: tt.in}
		if tt.tls {
			cfg.TLS = &tls.Config{}
		}
		got := ""
		c, err := New(cfg)
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(c.Endpoints(), " ")
		}
		if c != nil && got != tt.want || err != nil && !strings.Contains(got, tt.want) || strings.Contains(got, "secret") {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// serve starts a server with this handler.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// event answers with an event whose node has this key.
func event(w http.ResponseWriter, key string) {
	w.Header().Set("X-Etcd-Index", "7")
	w.Header().Set("X-Raft-Index", "8")
	w.Header().Set("X-Etcd-Cluster-Id", "c1")
	fmt.Fprintf(w, `{"action":"get","node":{"key":%q,"value":"v","modifiedIndex":3}}`+"\n", key)
}

func newClient(t *testing.T, cfg Config, endpoints ...string) *Client {
	t.Helper()
	cfg.Endpoints = endpoints
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const (
	reads  = "read"
	writes = "write"
)

// call makes a read or a write of /k.
func call(c *Client, kind string) (*Response, error) {
	if kind == reads {
		return c.Get(context.Background(), "/k", GetOptions{})
	}
	return c.Set(context.Background(), "/k", "secret", SetOptions{})
}

// hang never answers. The end of a connection is noticed only after its body was read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// What is tried at the next endpoint, and what is not.
func TestFailover(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	tests := []struct {
		name, kind string
		first      http.HandlerFunc // nil: nobody listens
		second     bool             // the second endpoint is asked
		want       error            // nil: success
	}{
		{"nobody listens", reads, nil, true, nil},
		{"nobody listens", writes, nil, true, nil},
		{"500", reads, status(500, `{"errorCode":300,"message":"Raft Internal Error"}`), true, nil},
		{"500", writes, status(500, `{"errorCode":300,"message":"Raft Internal Error"}`), false, ErrOutcomeUnknown},
		{"502", reads, status(502, "bad gateway"), true, nil},
		{"cut", reads, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, nil},
		{"cut", writes, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, ErrOutcomeUnknown},
		{"hangs", reads, hang, true, nil},
		{"hangs", writes, hang, false, ErrOutcomeUnknown},
		{"not JSON", reads, status(200, "<html>"), true, nil},
		{"not JSON", writes, status(200, "<html>"), false, ErrOutcomeUnknown},
		{"standby", reads, status(400, `{"errorCode":402,"message":"Standby Internal Error"}`), true, nil},
		{"standby", writes, status(400, `{"errorCode":402,"message":"Standby Internal Error"}`), true, nil},
		{"redirect to nobody", writes, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/v2/keys/k")
			w.WriteHeader(307)
		}, true, nil},
		{"refused", reads, status(404, `{"errorCode":100,"message":"Key not found","cause":"/k","index":9}`), false, &Error{Code: 100}},
		{"refused", writes, status(412, `{"errorCode":101,"message":"Compare failed","cause":"[secret != x]"}`), false, &Error{Code: 101}},
		{"not of this API", reads, status(404, "404 page not found"), false, &Error{Code: 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.kind, func(t *testing.T) {
			first := "http://" + freeport.Addr(t)
			if tt.first != nil {
				first = serve(t, tt.first)
			}
			var asked atomic.Int64
			second := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				event(w, "/k")
			})
			c := newClient(t, Config{RequestTimeout: 200 * time.Millisecond}, first, second)
			r, err := call(c, tt.kind)
			if (asked.Load() == 1) != tt.second {
				t.Errorf("the second endpoint is asked %d times, want %v", asked.Load(), tt.second)
			}
			var refused *Error
			switch want := tt.want.(type) {
			case nil:
				if err != nil || r.Endpoint != second || r.Index != 7 || r.RaftIndex != 8 || r.ClusterID != "c1" {
					t.Errorf("got %+v, %v", r, err)
				}
				if again, err := call(c, tt.kind); err != nil || again.Endpoint != second {
					t.Errorf("the second call: %+v, %v, want it at the second endpoint", again, err)
				}
			case *Error:
				if !errors.As(err, &refused) || refused.Code != want.Code || errors.Is(err, ErrOutcomeUnknown) {
					t.Errorf("got %v, want an error with code %d", err, want.Code)
				}
			default:
				if !errors.Is(err, want) || !strings.Contains(err.Error(), first) {
					t.Errorf("got %v, want %v and %q", err, want, first)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the value: %v", err)
			}
		})
	}
}

func TestAllEndpointsFail(t *testing.T) {
	a, b := "http://"+freeport.Addr(t), "http://"+freeport.Addr(t)
	c := newClient(t, Config{}, a, b)
	for _, kind := range []string{reads, writes} {
		_, err := call(c, kind)
		if err == nil || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("%s: got %v, want an error with both endpoints and a known outcome", kind, err)
		}
	}
	_, err := c.CompareAndDelete(t.Context(), "/k", Compare{Value: "secret"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the value", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, "/k", GetOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// A 307 is followed with method, query and body, but without the password; a 301 is not.
func TestRedirects(t *testing.T) {
	got := make(chan string, 10)
	leader := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _, auth := r.BasicAuth()
		got <- fmt.Sprint(r.Method, " ", r.URL, " ", string(body), " ", auth)
		event(w, "/k")
	})
	status := 307
	follower := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != "pw" {
			t.Errorf("the endpoint got the password %q", p)
		}
		w.Header().Set("Location", leader+r.URL.String())
		w.WriteHeader(status)
	})
	c := newClient(t, Config{Username: "u", Password: "pw"}, follower)
	r, err := c.Set(t.Context(), "/k", "a b", SetOptions{TTL: 5})
	if err != nil || r.Endpoint != leader {
		t.Fatalf("got %+v, %v", r, err)
	}
	if want := "PUT /v2/keys/k?ttl=5 value=a+b false"; <-got != want {
		t.Errorf("the leader did not get %q", want)
	}
	status = 301
	if _, err := c.Set(t.Context(), "/k", "v", SetOptions{}); err == nil || len(got) != 0 {
		t.Errorf("301: %v", err)
	}
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.String())
		w.WriteHeader(307)
	})
	if _, err := newClient(t, Config{}, loop).Get(t.Context(), "/k", GetOptions{}); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("loop: %v", err)
	}
}

func TestLimits(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Etcd-Index", "1")
		fmt.Fprintf(w, `{"action":"set","node":{"key":"/k","value":%q,"modifiedIndex":2}}`, strings.Repeat("x", 1000))
	})
	c := newClient(t, Config{MaxResponse: 500}, url)
	if _, err := c.Get(t.Context(), "/k", GetOptions{}); err == nil || !strings.Contains(err.Error(), "longer than 500 bytes") {
		t.Errorf("Get: %v", err)
	}
	w, err := c.Watch(t.Context(), "/k", WatchOptions{Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than 500 bytes") {
		t.Errorf("Next: %v", err)
	}
}

// A body may take its time as long as it goes on.
func TestSlowBody(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for _, part := range slices.Concat(strings.Split(`{"action":"get",`, ""), []string{`"node":{"dir":true}}`}) {
			fmt.Fprint(w, part)
			w.(http.Flusher).Flush()
			<-tick.C
		}
	})
	if _, err := newClient(t, Config{RequestTimeout: 200 * time.Millisecond}, url).Get(t.Context(), "/", GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestKeyPath(t *testing.T) {
	at := func(dir string) *Client { return newClient(t, Config{KeysPath: dir}, "http://h:1") }
	if got := at("/").keyPath("/token/a"); got != "/token/a" {
		t.Errorf("at the root: %q", got)
	}
	for in, want := range map[string]string{"": "/v2/keys", "/": "/v2/keys", "a/b": "/v2/keys/a/b", "/a//b/": "/v2/keys/a/b", "/../x": "/v2/keys/x"} {
		if got := at("").keyPath(in); got != want {
			t.Errorf("keyPath(%q) = %q, want %q", in, got, want)
		}
	}
}

// What etcd 0.4 answers, and odd answers of others.
func TestClusterAnswers(t *testing.T) {
	answers := map[string]string{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, a)
	})
	c := newClient(t, Config{}, url)
	answers["/version"] = "etcd 0.4.9"
	answers["/v2/machines"] = "http://a:1, http://b:2"
	if v, err := c.Version(t.Context()); err != nil || v.Server != "0.4.9" {
		t.Errorf("Version: %+v, %v", v, err)
	}
	if m, err := c.Members(t.Context()); err != nil || len(m) != 2 || m[1].ClientURLs[0] != "http://b:2" {
		t.Errorf("Members: %+v, %v", m, err)
	}
	if h := c.Health(t.Context()); len(h) != 1 || h[0].Err != nil || h[0].Endpoint != url {
		t.Errorf("Health: %+v", h)
	}
	answers["/health"] = `{"health": "false"}`
	if h := c.Health(t.Context()); h[0].Err == nil {
		t.Errorf("Health: %+v, want an error", h)
	}
	answers["/health"] = `{"health": "true"}`
	if h := c.Health(t.Context()); h[0].Err != nil {
		t.Errorf("Health: %+v", h)
	}
	answers["/version"] = "nginx"
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("Version of something else: no error")
	}
}

// TestCloseEndsTheConnection closes a watch that nobody calls Next of.
func TestCloseEndsTheConnection(t *testing.T) {
	gone := make(chan struct{})
	c := newClient(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Etcd-Index", "7")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	w, err := c.Watch(t.Context(), "/a", WatchOptions{Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	w.Close()
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Error("the connection is open still")
	}
}
