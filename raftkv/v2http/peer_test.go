// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"confd/raftkv"
)

// newTestPeer returns the peer port's handler over a node with threeMembers.
func newTestPeer() (http.Handler, *fakeNode) {
	h, node := newTestHandler(Options{CORS: []string{"*"}})
	node.members = threeMembers
	node.config = raftkv.ClusterConfig{ActiveSize: 9, RemoveDelay: 1800 * time.Second, SyncInterval: 5 * time.Second}
	return h.Peer(), node
}

func TestPeerPort(t *testing.T) {
	const (
		one = `{"name":"one","state":"leader","clientURL":"http://z:4001","peerURL":"http://a:7001"}`
		two = `{"name":"two","state":"follower","clientURL":"http://b:4001","peerURL":"http://b:7001"}`

		notFound   = "404 page not found\n"
		notAllowed = "Method Not Allowed\n"
	)
	tests := []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/version", 200, `{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}`},
		{"GET", "/name", 200, "one"},
		{"GET", "/members", 200, `[{"id":9,"peerURLs":["http://c:7001"]},` +
			`{"id":9270125683094647091,"peerURLs":["http://a:7001","http://a:7002"],"name":"one","clientURLs":["http://z:4001","http://a:4001"]},` +
			`{"id":17340576215342575923,"peerURLs":["http://b:7001"],"name":"two","clientURLs":["http://b:4001"]}]` + "\n"},
		{"POST", "/members", 405, notAllowed},
		{"GET", "/v2/admin/config", 200, `{"activeSize":9,"removeDelay":1800,"syncInterval":5}` + "\n"},
		{"GET", "/v2/admin/machines", 200, "[" + one + "," + two + "]\n"},
		{"GET", "/v2/admin/machines/one", 200, one + "\n"},
		{"GET", "/v2/admin/machines/two", 200, two + "\n"},
		{"GET", "/v2/admin/machines/nope", 404, `{"message":"No such machine: nope"}`},
		{"DELETE", "/v2/admin/machines/nope", 404, `{"message":"No such machine: nope"}`},
		{"GET", "/v2/admin/machines/", 404, notFound},
		{"GET", "/v2/admin/machines/one/x", 404, notFound},
		{"PUT", "/v2/admin/machines/one", 404, notFound},
		{"DELETE", "/v2/admin/machines", 404, notFound},
		{"DELETE", "/v2/admin/config", 404, notFound},
		{"HEAD", "/v2/admin/config", 404, notFound},
		{"GET", "/v2/admin", 404, notFound},
		{"GET", "/v2/keys/", 404, notFound},
		{"PUT", "/v2/keys/a", 404, notFound},
		{"GET", "/v2/members", 404, notFound},
		{"GET", "/v2/auth/users", 404, notFound},
		{"GET", "/metrics", 404, notFound},
		{"GET", "/debug/vars", 404, notFound},
		{"GET", "/", 404, notFound},
		{"OPTIONS", "/v2/admin/config", 200, ""},
	}
	for _, test := range tests {
		h, node := newTestPeer()
		resp := do(t, h, test.method, test.target, "")
		if got := bodyOf(t, resp); resp.StatusCode != test.status || got != test.body {
			t.Errorf("%s %s: got %d %s, want %d %s", test.method, test.target, resp.StatusCode, got, test.status, test.body)
		}
		if len(node.changes) > 0 || node.tree.View().Len() > 0 {
			t.Errorf("%s %s changed something: %q", test.method, test.target, node.changes)
		}
		if resp.Header["Access-Control-Allow-Origin"] != nil {
			t.Errorf("%s %s: the peer port tells browsers to come in", test.method, test.target)
		}
	}
	// And the other way round.
	h, _ := newTestHandler(Options{})
	for _, target := range []string{"/v2/admin/config", "/v2/admin/machines", "/name", "/members"} {
		if resp := do(t, h, "GET", target, ""); resp.StatusCode != 404 {
			t.Errorf("%s at the client port: got %d", target, resp.StatusCode)
		}
	}
}

func TestPutConfig(t *testing.T) {
	form := func(json string) string { return url.Values{"value": {json}}.Encode() }
	tests := []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{"JSON", typeJSON, `{"activeSize":5,"removeDelay":60,"syncInterval":2}`, 200, `{"activeSize":5,"removeDelay":60,"syncInterval":2}` + "\n"},
		{"JSON that curl calls a form", formType, ` {"activeSize":5}`, 200, `{"activeSize":5,"removeDelay":1800,"syncInterval":5}` + "\n"},
		{"no type", "", `{"removeDelay":2.5}`, 200, `{"activeSize":9,"removeDelay":2.5,"syncInterval":5}` + "\n"},
		{"form field", formType, form(`{"activeSize":7,"syncInterval":1.25}`), 200, `{"activeSize":7,"removeDelay":1800,"syncInterval":1.25}` + "\n"},
		{"form field, not escaped", formType, `value={"activeSize":7}`, 200, `{"activeSize":7,"removeDelay":1800,"syncInterval":5}` + "\n"},
		{"nothing", typeJSON, `{}`, 200, `{"activeSize":9,"removeDelay":1800,"syncInterval":5}` + "\n"},
		{"no numbers", typeJSON, `{"activeSize":"5","removeDelay":null,"syncInterval":[1],"other":1}`, 200, `{"activeSize":9,"removeDelay":1800,"syncInterval":5}` + "\n"},
		{"fraction", typeJSON, `{"activeSize":5.9}`, 200, `{"activeSize":5,"removeDelay":1800,"syncInterval":5}` + "\n"},
		{"huge", typeJSON, `{"activeSize":1e300,"removeDelay":1e300,"syncInterval":-1e300}`, 200, `{"activeSize":2147483647,"removeDelay":9223372036,"syncInterval":0}` + "\n"},
		{"empty", formType, "", 500, "EOF\n"},
		{"cut short", typeJSON, `{"activeSize":5`, 500, "unexpected EOF\n"},
		{"no JSON", formType, "activeSize=5", 500, "invalid character 'a' looking for beginning of value\n"},
		{"no JSON in the form", formType, form("five"), 500, "invalid character 'i' in literal false (expecting 'a')\n"},
		{"no object", typeJSON, "[1]", 500, "json: cannot unmarshal array into Go value of type map[string]interface {}\n"},
		{"too long", typeJSON, `{"x":"` + strings.Repeat("x", maxSmallBody) + `"}`, 413, `{"message":"the body is larger than 65536 bytes"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, node := newTestPeer()
			before := node.config
			resp := doJSON(t, h, "PUT", adminConfigPath, test.contentType, test.body)
			if got := bodyOf(t, resp); resp.StatusCode != test.status || got != test.want {
				t.Errorf("got %d %s, want %d %s", resp.StatusCode, got, test.status, test.want)
			}
			if test.status != 200 && node.config != before {
				t.Errorf("a refused request changed it to %+v", node.config)
			}
		})
	}
}

// TestAdminOnRealNode: minimums are forced, and the only machine stays.
func TestAdminOnRealNode(t *testing.T) {
	_, node := startNode(t)
	h := New(node, Options{}).Peer()
	resp := doJSON(t, h, "PUT", adminConfigPath, typeJSON, `{"activeSize":1,"removeDelay":1,"syncInterval":0.5}`)
	if got := bodyOf(t, resp); got != `{"activeSize":3,"removeDelay":2,"syncInterval":1}`+"\n" {
		t.Errorf("minimums: got %d %s", resp.StatusCode, got)
	}
	resp = do(t, h, "DELETE", adminMachinesPath+"/one", "")
	if got := bodyOf(t, resp); resp.StatusCode != 409 || !strings.Contains(got, "only member") {
		t.Errorf("removing the only machine: got %d %s", resp.StatusCode, got)
	}
	if got := bodyOf(t, do(t, h, "GET", adminMachinesPath, "")); !strings.Contains(got, `"name":"one","state":"leader"`) {
		t.Errorf("machines: %s", got)
	}
}

func TestDeleteMachine(t *testing.T) {
	tests := []struct {
		fail   error
		status int
		body   string
	}{
		{nil, 200, "\x4d\x00\x00\x00\x00\x00\x00\x00"}, // 77 as a varint
		{raftkv.ErrMemberRemoved, 404, `{"message":"No such machine: two"}`},
		{raftkv.ErrLastMember, 409, `{"message":"` + raftkv.ErrLastMember.Error() + `"}`},
		{raftkv.ErrTimeout, 500, `{"message":"Internal Server Error"}`},
	}
	for _, test := range tests {
		h, node := newTestPeer()
		node.fail = test.fail
		resp := do(t, h, "DELETE", "/v2/admin/machines/two", "")
		if got := bodyOf(t, resp); resp.StatusCode != test.status || got != test.body {
			t.Errorf("%v: got %d %q, want %d %q", test.fail, resp.StatusCode, got, test.status, test.body)
		}
		if got := fmt.Sprint(node.changes); got != "[remove f0a61a318c14f133]" {
			t.Errorf("%v: the node was asked to %s", test.fail, got)
		}
	}
}

// TestPeerFollower: a node that does not lead has the leader asked, or sends the client
// there, with the configuration that still is, as 0.4 did.
func TestPeerFollower(t *testing.T) {
	for _, redirect := range []bool{false, true} {
		h, node := newTestHandler(Options{RedirectWrites: redirect})
		node.members, node.standbys = threeMembers, []string{"80a61a318c14f133"}
		node.state.LeaderID = "f0a61a318c14f133"
		node.config = raftkv.ClusterConfig{ActiveSize: 9}
		want := map[string]string{
			"PUT /v2/admin/config":          `200  {"activeSize":5,"removeDelay":0,"syncInterval":0}`,
			"DELETE /v2/admin/machines/two": "200  ",
		}
		if redirect {
			want["PUT /v2/admin/config"] = `307 http://b:7001/v2/admin/config {"activeSize":9,"removeDelay":0,"syncInterval":0}`
			want["DELETE /v2/admin/machines/two"] = "307 http://b:7001/v2/admin/machines/two "
		}
		for request, want := range want {
			method, path, _ := strings.Cut(request, " ")
			resp := doJSON(t, h.Peer(), method, path, "", `{"activeSize":5}`)
			body := strings.TrimRight(bodyOf(t, resp), "\n\x00")
			if strings.Contains(path, "machines") {
				body = ""
			}
			if got := fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Location"), body); got != want {
				t.Errorf("redirects %v: %s: %q, want %q", redirect, request, got, want)
			}
		}
		if got := len(node.changes); (got == 0) != redirect {
			t.Errorf("redirects %v: changes %v", redirect, node.changes)
		}
		if got := bodyOf(t, do(t, h.Peer(), "GET", "/v2/admin/machines/one", "")); !strings.Contains(got, `"state":"standby"`) {
			t.Errorf("a standby: %s", got)
		}
	}
}
