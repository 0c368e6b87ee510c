// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestNewToken(t *testing.T) {
	token := regexp.MustCompile(`^/_etcd/registry/[0-9a-f]{32}$`)
	tests := []struct {
		method, target, body string
		size                 string // "" if it is refused
	}{
		{"GET", "/discovery/new", "", "3"},
		{"GET", "/new", "", "3"},
		{"POST", "/discovery/new?size=5", "", "5"},
		{"PUT", "/new?size=1", "", "1"},
		{"POST", "/discovery/new", "size=7", "7"},
		{"POST", "/discovery/new?size=5", "size=7", "7"},
		{"GET", "/discovery/new?size=1000", "", "1000"},
		{"GET", "/discovery/new?size=1001", "", ""},
		{"GET", "/discovery/new?size=0", "", ""},
		{"GET", "/discovery/new?size=-3", "", ""},
		{"GET", "/discovery/new?size=", "", ""},
		{"GET", "/discovery/new?size=three", "", ""},
		{"GET", "/discovery/new?size=99999999999999999999", "", ""},
		{"GET", "/discovery/new?size=%zz", "", ""},
		{"POST", "/discovery/new", "size=" + strings.Repeat("1", maxSmallBody), ""},
	}
	seen := map[string]bool{}
	for _, test := range tests {
		h, node := newTestHandler(Options{})
		resp := do(t, h, test.method, test.target, test.body)
		got := bodyOf(t, resp)
		if test.size == "" {
			if resp.StatusCode != 400 && resp.StatusCode != 413 || node.tree.View().Len() > 0 {
				t.Errorf("%s %.50s: got %d %s and %d keys, want a refusal", test.method, test.target, resp.StatusCode, got, node.tree.View().Len())
			}
			continue
		}
		key, ok := strings.CutPrefix(got, "http://example.com/v2/keys")
		if resp.StatusCode != 200 || !ok || !token.MatchString(key) || resp.Header.Get("Content-Type") != typeText || resp.Header["X-Etcd-Index"] != nil {
			t.Errorf("%s %s: got %d %s %v", test.method, test.target, resp.StatusCode, got, resp.Header)
		}
		if seen[key] {
			t.Errorf("the same token twice: %s", key)
		}
		seen[key] = true
		if n, err := node.tree.View().Get(key + "/_config/size"); err != nil || n.Value != test.size {
			t.Errorf("%s %s: size is %v, %v, want %s", test.method, test.target, n, err, test.size)
		}
	}
	h, _ := newTestHandler(Options{})
	if resp := do(t, h, "DELETE", "/discovery/new", ""); resp.StatusCode != 405 || resp.Header.Get("Allow") != newToken {
		t.Errorf("DELETE: got %d, %v", resp.StatusCode, resp.Header)
	}
}

// TestTokenURL: the URL is the one by which the client has come, or the advertised one.
func TestTokenURL(t *testing.T) {
	h, _ := newTestHandler(Options{})
	for _, test := range []struct{ target, host, want string }{
		{"http://store.example:4001/new", "store.example:4001", "http://store.example:4001/v2/keys/_etcd/registry/"},
		{"https://store.example/new", "store.example", "https://store.example/v2/keys/_etcd/registry/"},
		{"http://x/new", "", "http://127.0.0.1:4001/v2/keys/_etcd/registry/"},
	} {
		r := httptest.NewRequest("GET", test.target, http.NoBody)
		r.Host = test.host
		w := record(t, h, r)
		if got := w.Body.String(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s…", test.target, got, test.want)
		}
	}
}

// TestTokenFails: what the store cannot write has no URL.
func TestTokenFails(t *testing.T) {
	h, node := newTestHandler(Options{})
	node.fail = http.ErrHandlerTimeout
	resp := do(t, h, "POST", "/discovery/new", "")
	if got := bodyOf(t, resp); resp.StatusCode != 500 || !strings.Contains(got, `"errorCode":300`) {
		t.Errorf("got %d %s", resp.StatusCode, got)
	}
}

// TestDiscoveryRequests sends what members of etcd 0.4 and 2.x send to bootstrap.
func TestDiscoveryRequests(t *testing.T) {
	h, _ := newTestHandler(Options{})
	const registry = "/v2/keys/_etcd/registry/t"
	steps := []struct {
		method, target, body string
		status               int
		want                 string // part of the answer
	}{
		// 0.4: the first machine, then the second.
		{"PUT", registry + "/a", "value=http%3A%2F%2Fa%3A7001&ttl=604800", 201, `"ttl":604800`},
		{"PUT", registry + "/_state?prevExist=false", "value=started", 201, `"action":"create"`},
		{"PUT", registry + "/b", "value=http%3A%2F%2Fb%3A7001&ttl=604800", 201, `"value":"http://b:7001"`},
		{"PUT", registry + "/_state?prevExist=false", "value=started", 412, `"errorCode":105`},
		{"GET", registry + "?consistent=true&recursive=true&sorted=false", "", 200, `"nodes":[{"key":"/_etcd/registry/t/a","value":"http://a:7001"`},
		{"PUT", registry + "/a", "value=http%3A%2F%2Fa%3A7001&ttl=604800", 200, `"prevNode"`},

		// 2.x: the operator, then two members. The lists do not show _config.
		{"GET", registry + "2/_config/size?quorum=false&recursive=false&sorted=false", "", 404, `"errorCode":100`},
		{"PUT", registry + "2/_config/size", "value=2", 201, `"value":"2"`},
		{"GET", registry + "2/_config/size?quorum=false&recursive=false&sorted=false", "", 200, `"value":"2"`},
		{"GET", registry + "2?quorum=false&recursive=false&sorted=false", "", 200, `"node":{"key":"/_etcd/registry/t2","dir":true,"modifiedIndex":5,"createdIndex":5}`},
		{"PUT", registry + "2/cf1?prevExist=false&ttl=0", "value=one%3Dhttp%3A%2F%2Fone%3A7001", 201, `"createdIndex":6`},
		{"PUT", registry + "2/cf1?prevExist=false", "value=one%3Dhttp%3A%2F%2Fone%3A7001", 412, `"errorCode":105`},
		{"PUT", registry + "2/ae2?prevExist=false", "value=two%3Dhttp%3A%2F%2Ftwo%3A7001", 201, `"createdIndex":7`},
		{"GET", registry + "2?quorum=false&recursive=false&sorted=false", "", 200, `"key":"/_etcd/registry/t2/ae2"`},
		{"GET", registry + "2?wait=true&recursive=true&waitIndex=7", "", 200, `"action":"create","node":{"key":"/_etcd/registry/t2/ae2"`},
	}
	for _, step := range steps {
		// A watch that finds nothing must not wait for ever.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		r := httptest.NewRequestWithContext(ctx, step.method, step.target, strings.NewReader(step.body))
		r.Header.Set("Content-Type", formType)
		w := record(t, h, r)
		cancel()
		if got := w.Body.String(); w.Code != step.status || !strings.Contains(got, step.want) || strings.Contains(got, `"key":"/_etcd/registry/t2/_config"`) {
			t.Errorf("%s %s: got %d %s, want %d …%s…", step.method, step.target, w.Code, got, step.status, step.want)
		}
	}
}
