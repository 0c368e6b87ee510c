// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package v2http

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"confd/raftkv"
)

// inCrowd starts a server all of whose connections join a crowd, and returns a client of it that
// has.
func inCrowd(t *testing.T, h *Handler) *rawClient {
	t.Helper()
	client, ours := tcpPair(t)
	srv := newClientServer(h, nil, 1)
	_ = srv.Serve(&oneListener{conn: ours}) // errOneListener
	t.Cleanup(func() {
		client.Close()
		srv.Close()
	})
	c := &rawClient{t, client, bufio.NewReader(client)}
	for range 10 {
		c.send("GET /v2/keys/nothing HTTP/1.1")
		c.body(c.head())
	}
	return c
}

// form sends a form, and returns the answer without the head but for its status and what is ours.
func (c *rawClient) form(method, target, form string, headers ...string) string {
	c.t.Helper()
	head := append([]string{"Content-Type: " + formType, fmt.Sprintf("Content-Length: %d", len(form))}, headers...)
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s", method, target, strings.Join(head, "\r\n"), form); err != nil {
		c.t.Fatal(err)
	}
	resp := c.head()
	var ours []string
	for _, name := range []string{"Content-Type", "Location", "Vary", "Access-Control-Allow-Origin", "X-Etcd-Cluster-Id", "X-Etcd-Index", "X-Raft-Index"} {
		ours = append(ours, resp.Header.Get(name))
	}
	return fmt.Sprint(resp.StatusCode, ours, c.body(resp))
}

// TestBegunWrites: what a crowd begins has the answer that it has elsewhere, and is counted; and
// only what anybody may do, and nothing that is refused before the node is asked, is begun.
func TestBegunWrites(t *testing.T) {
	large, long := strings.Repeat("x", 100), strings.Repeat("x", maxQuick+1)
	for name, test := range map[string]struct {
		opts    Options
		change  func(*Handler, *fakeNode)
		method  string // PUT if empty
		target  string // /v2/keys/a if empty
		form    string
		headers []string
		begun   int // of two
	}{
		"a set":              {form: "value=x", begun: 2},
		"of two parts":       {form: "value=x&ttl=5", target: "/v2/keys/d/b", begun: 2},
		"no value":           {form: "value=x&noValueOnSuccess=true", begun: 2},
		"in order":           {method: "POST", target: "/v2/keys/q", form: "value=x", begun: 2},
		"a delete":           {method: "DELETE", target: "/v2/keys/a?recursive=true", begun: 2},
		"refused by tree":    {form: "value=x&prevExist=true", target: "/v2/keys/none", begun: 2},
		"compared":           {form: "value=y&prevValue=other", begun: 2},
		"a wrong parameter":  {form: "value=x&ttl=no"},
		"a wrong form":       {form: "value=%zz"},
		"unclean":            {form: "value=x", target: "/v2/keys//a"},
		"too large":          {opts: Options{MaxValue: 99}, form: "value=" + large},
		"too large to match": {opts: Options{MaxValue: 99}, form: "value=x&prevValue=" + large},
		"with an origin":     {opts: Options{CORS: []string{"http://a"}}, form: "value=x", headers: []string{"Origin: http://a"}},
		"without one":        {opts: Options{CORS: []string{"http://a"}}, form: "value=x", begun: 2},
		"redirected":         {opts: Options{RedirectWrites: true}, form: "value=x"},
		"by a guest":         {form: "value=x", change: func(h *Handler, _ *fakeNode) { enableAuth(t, h) }},
		"by root":            {form: "value=x", headers: []string{"Authorization: Basic cm9vdDpw"}, change: func(h *Handler, _ *fakeNode) { enableAuth(t, h) }},
		"a long answer":      {method: "DELETE", begun: 1, change: func(_ *Handler, n *fakeNode) { put(t, n, "/a", long) }},
		"a long set":         {form: "value=x", begun: 1, change: func(_ *Handler, n *fakeNode) { put(t, n, "/a", long) }},
		"kept long":          {form: "refresh=true&prevExist=true&ttl=5", begun: 1, change: func(_ *Handler, n *fakeNode) { put(t, n, "/a", long) }},
		"not shown":          {form: "value=x&noValueOnSuccess=true", begun: 2, change: func(_ *Handler, n *fakeNode) { put(t, n, "/a", long) }},
		"removed, but shown": {method: "DELETE", target: "/v2/keys/a?noValueOnSuccess=true", begun: 1, change: func(_ *Handler, n *fakeNode) { put(t, n, "/a", long) }},
		"no leader": {form: "value=x", begun: 2, change: func(_ *Handler, n *fakeNode) {
			n.fail = fmt.Errorf("%w: %w", raftkv.ErrNotProposed, raftkv.ErrNoLeader)
		}},
		"a failure": {form: "value=x", begun: 2, change: func(_ *Handler, n *fakeNode) { n.fail = errors.New("some reason") }},
	} {
		t.Run(name, func(t *testing.T) {
			method, target := test.method, test.target
			if method == "" {
				method = "PUT"
			}
			if target == "" {
				target = "/v2/keys/a"
			}
			var answers [2]string
			for i := range answers {
				h, node := newTestHandler(test.opts)
				put(t, node, "/a", "old")
				var c *rawClient
				if i == 0 {
					c = dialTest(t, startServer(t, h))
				} else {
					c = inCrowd(t, h)
				}
				if test.change != nil {
					test.change(h, node)
				}
				for range 2 {
					answers[i] += c.form(method, target, test.form, test.headers...) + "\n"
				}
				if got, want := int(node.started.Load()), test.begun*i; got != want {
					t.Errorf("%d were begun, want %d", got, want)
				}
				if got, want := bodyOf(t, do(t, h, http.MethodGet, "/metrics", "")), fmt.Sprintf(`{method=%q,route="keys"`, method); !strings.Contains(got, want) {
					t.Errorf("the metrics have no %s", want)
				}
			}
			if answers[0] != answers[1] {
				t.Errorf("got\n%swant\n%s", answers[1], answers[0])
			}
		})
	}
}
