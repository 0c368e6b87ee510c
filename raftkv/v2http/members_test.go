// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"confd/integration/freeport"
	"confd/raftkv"
)

// doJSON sends a request with a body of that type to h.
func doJSON(t testing.TB, h http.Handler, method, target, contentType, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := record(t, h, r)
	return w.Result()
}

// threeMembers are two that run and one that was added.
var threeMembers = []raftkv.Member{
	{ID: "9", PeerURLs: []string{"http://c:7001"}},
	{ID: "80a61a318c14f133", Name: "one", PeerURLs: []string{"http://a:7001", "http://a:7002"}, ClientURLs: []string{"http://z:4001", "http://a:4001"}},
	{ID: "f0a61a318c14f133", Name: "two", PeerURLs: []string{"http://b:7001"}, ClientURLs: []string{"http://b:4001"}},
}

// TestMemberLists: what the paths show that list members.
func TestMemberLists(t *testing.T) {
	h, node := newTestHandler(Options{})
	node.members = threeMembers
	const (
		one   = `{"id":"80a61a318c14f133","name":"one","peerURLs":["http://a:7001","http://a:7002"],"clientURLs":["http://z:4001","http://a:4001"]}`
		two   = `{"id":"f0a61a318c14f133","name":"two","peerURLs":["http://b:7001"],"clientURLs":["http://b:4001"]}`
		added = `{"id":"9","name":"","peerURLs":["http://c:7001"],"clientURLs":[]}`
	)
	tests := []struct{ target, body string }{
		{"/v2/members", `{"members":[` + added + "," + one + "," + two + "]}\n"},
		{"/v2/members/", `{"members":[` + added + "," + one + "," + two + "]}\n"},
		{"/v2/members/leader", one + "\n"},
		{"/v2/machines", "http://a:4001, http://b:4001, http://z:4001"},
		{"/v2/peers", "http://a:7001, http://a:7002, http://b:7001"},
		{"/v2/leader", "http://a:7001, http://a:7002"},
		{"/v2/stats/leader", `{"leader":"80a61a318c14f133","followers":{}}`},
	}
	for _, test := range tests {
		resp := do(t, h, "GET", test.target, "")
		if got := bodyOf(t, resp); resp.StatusCode != 200 || got != test.body {
			t.Errorf("%s: got %d %s, want %s", test.target, resp.StatusCode, got, test.body)
		}
	}
	node.state.LeaderID = "f0a61a318c14f133"
	if got := bodyOf(t, do(t, h, "GET", "/v2/peers", "")); got != "http://b:7001, http://a:7001, http://a:7002" {
		t.Errorf("/v2/peers with another leader: %s", got)
	}
}

// TestMemberChanges: what the node is asked, and what its errors become.
func TestMemberChanges(t *testing.T) {
	refused := func(err error) error { return fmt.Errorf("%w: more (%w)", err, raftkv.ErrNotProposed) }
	const url = `{"peerURLs":["http://b:2","http://a:1"]}`
	tests := []struct {
		method, target, body string
		fail                 error
		change               string
		status               int
		want                 string
	}{
		{"POST", "", url, nil, "add [http://a:1 http://b:2]", 201, `{"id":"abc","name":"","peerURLs":["http://a:1","http://b:2"],"clientURLs":[]}` + "\n"},
		{"POST", "/x/y", url, nil, "add [http://a:1 http://b:2]", 201, `{"id":"abc","name":"","peerURLs":["http://a:1","http://b:2"],"clientURLs":[]}` + "\n"},
		{"POST", "", url, refused(raftkv.ErrPeerURLExists), "add [http://a:1 http://b:2]", 409, `{"message":"membership: peerURL exists"}`},
		{"POST", "", url, errors.New("disk on fire"), "add [http://a:1 http://b:2]", 500, `{"message":"Internal Server Error"}`},
		{"POST", "", url, refused(raftkv.ErrNoLeader), "add [http://a:1 http://b:2]", 500, `{"message":"Internal Server Error"}`},
		{"POST", "", `{"peerURLs":["http://b"]}`, nil, "", 400, `{"message":"URL address does not have the form \"host:port\": http://b"}`},
		{"POST", "", `{"peerURLs":["` + strings.Repeat("x", maxSmallBody) + `"]}`, nil, "", 413, `{"message":"the body is larger than 65536 bytes"}`},
		{"PUT", "/0ABC", url, nil, "update abc [http://a:1 http://b:2]", 204, ""},
		{"PUT", "/abc", url, refused(raftkv.ErrMemberNotFound), "update abc [http://a:1 http://b:2]", 404, `{"message":"No such member: abc"}`},
		{"PUT", "/abc", url, refused(raftkv.ErrMemberRemoved), "update abc [http://a:1 http://b:2]", 500, `{"message":"Internal Server Error"}`},
		{"PUT", "/abc", url, refused(raftkv.ErrPeerURLExists), "update abc [http://a:1 http://b:2]", 409, `{"message":"membership: peerURL exists"}`},
		{"PUT", "/abc", "{", nil, "", 400, `{"message":"unexpected end of JSON input"}`},
		{"PUT", "/xyz", url, nil, "", 404, `{"message":"No such member: xyz"}`},
		{"PUT", "/10000000000000000", url, nil, "", 404, `{"message":"No such member: 10000000000000000"}`},
		{"PUT", "/", url, nil, "", 405, "Method Not Allowed\n"},
		{"DELETE", "/abc", "", nil, "remove abc", 204, ""},
		{"DELETE", "/abc", "", refused(raftkv.ErrMemberNotFound), "remove abc", 404, `{"message":"No such member: abc"}`},
		{"DELETE", "/abc", "", refused(raftkv.ErrMemberRemoved), "remove abc", 410, `{"message":"Member permanently removed: abc"}`},
		{"DELETE", "/abc", "", refused(raftkv.ErrLastMember), "remove abc", 409, `{"message":"` + raftkv.ErrLastMember.Error() + `"}`},
		{"DELETE", "", "", nil, "", 405, "Method Not Allowed\n"},
	}
	for _, test := range tests {
		h, node := newTestHandler(Options{})
		node.fail = test.fail
		resp := doJSON(t, h, test.method, membersPath+test.target, typeJSON, test.body)
		if got := bodyOf(t, resp); resp.StatusCode != test.status || got != test.want {
			t.Errorf("%s %s, %v: got %d %s, want %d %s", test.method, test.target, test.fail, resp.StatusCode, got, test.status, test.want)
		}
		if got := strings.Join(node.changes, ", "); got != test.change {
			t.Errorf("%s %s: the node was asked to %q, want %q", test.method, test.target, got, test.change)
		}
		if got := resp.Header.Get("X-Etcd-Cluster-Id"); got != node.state.ClusterID {
			t.Errorf("%s %s: got cluster id %q", test.method, test.target, got)
		}
	}
}

// jsonCall returns a call with a JSON body.
func jsonCall(method, target, body string) call { return call{method, target, typeJSON, body} }

// TestMembersSameAsEtcd sends the same changes to a cluster of three etcd and to a real
// node of ours. Ids, and the lists, which differ, are taken out.
func TestMembersSameAsEtcd(t *testing.T) {
	theirs, theirPeer := startEtcdCluster(t)
	ours, node := startNode(t)
	for _, c := range memberCalls() {
		compare(t, theirs, ours, c)
	}

	// One member through its whole life on both sides.
	var ids []string
	for _, s := range []*side{theirs, ours} {
		a := s.send(t, jsonCall("POST", membersPath, `{"peerURLs":["http://10.0.0.9:2","http://10.0.0.9:1"]}`))
		_, rest, _ := strings.Cut(a.body, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		ids = append(ids, id)
		want := `{"id":"` + id + `","name":"","peerURLs":["http://10.0.0.9:1","http://10.0.0.9:2"],"clientURLs":[]}`
		if a.status != 201 || a.body != want+"\n" || id == "" {
			t.Fatalf("%s: POST: got %d %s, want %s", s.name, a.status, a.body, want)
		}
		if list := s.send(t, call{"GET", membersPath, "", ""}); !strings.Contains(list.body, want) {
			t.Errorf("%s: the list lacks %s: %s", s.name, want, list.body)
		}
	}
	both := func(method, suffix, body string) {
		t.Helper()
		var got []answer
		for i, s := range []*side{theirs, ours} {
			a := s.send(t, jsonCall(method, membersPath+"/"+ids[i]+suffix, body))
			a.body = strings.ReplaceAll(a.body, ids[i], "ID")
			got = append(got, s.normal(a))
		}
		same(t, method+" "+suffix+" "+body, got[0], got[1])
	}
	both("PUT", "", `{"peerURLs":["http://10.0.0.9:3"]}`)
	both("PUT", "", `{"peerURLs":["http://10.0.0.9:3"]}`)
	both("PUT", "", `{`)
	both("PUT", "/", `{"peerURLs":["http://10.0.0.9:3"]}`)
	both("GET", "", "")
	both("PATCH", "", "")
	for _, urls := range []string{`"http://10.0.0.9:3"`, `"http://10.0.0.9:7","http://10.0.0.9:3"`} {
		compare(t, theirs, ours, jsonCall("POST", membersPath, `{"peerURLs":[`+urls+`]}`))
	}
	both("DELETE", "/", "")
	both("DELETE", "", "")
	both("DELETE", "", "")
	both("PUT", "", `{"peerURLs":["http://10.0.0.9:3"]}`)

	// What the peer ports have in common.
	srv := httptest.NewServer(New(node, Options{}).Peer())
	t.Cleanup(srv.Close)
	ourPeer := &side{name: "ours", addr: strings.TrimPrefix(srv.URL, "http://")}
	for _, c := range []call{
		{"GET", "/version", "", ""}, {"PUT", "/version", "", ""}, {"POST", "/members", "", ""}, {"GET", "/nope", "", ""},
		{"GET", "/", "", ""}, {"GET", "/v2/keys/a", "", ""}, {"PUT", "/v2/keys/a", formType, "value=x"}, {"GET", "/members/", "", ""},
	} {
		compare(t, theirPeer, ourPeer, c)
	}
	got, want := ourPeer.send(t, call{"GET", "/members", "", ""}), theirPeer.send(t, call{"GET", "/members", "", ""})
	shape := regexp.MustCompile(`^\[(,?{"id":\d+,"peerURLs":\["[^"]+"\](,"name":"\w+")?(,"clientURLs":\["[^"]+"\])?})+\]\n$`)
	for _, a := range []answer{got, want} {
		if a.status != 200 || !shape.MatchString(a.body) || a.header.Get("Content-Type") != typeJSON || a.header.Get("X-Etcd-Cluster-Id") == "" {
			t.Errorf("/members: got %d %s %v", a.status, a.body, a.header)
		}
	}

	// On purpose not as etcd, which says no more than Internal Server Error.
	self := ours.send(t, call{"DELETE", membersPath + "/" + node.Status().ID, "", ""})
	if self.status != 409 || !strings.Contains(self.body, "only member") {
		t.Errorf("removing the only member: got %d %s", self.status, self.body)
	}
}

// memberCalls are requests that both sides refuse, whatever members they have.
func memberCalls() []call {
	const good = `{"peerURLs":["http://10.0.0.1:1"]}`
	var calls []call
	for _, m := range []string{"PUT", "POST"} {
		target := membersPath + "/abc"
		for _, ct := range []string{"", "text/plain", formType, "application/jsonx", "APPLICATION/JSON", "application/json2; x", " application/json"} {
			calls = append(calls, call{m, target, ct, good})
		}
		for _, ct := range []string{typeJSON + "; charset=utf-8", typeJSON + ";"} {
			calls = append(calls, call{m, target, ct, "{"})
		}
		for _, body := range []string{
			"", "{", "[]", "null", "{}", `"x"`, `{"peerURLs":null}`, `{"peerURLs":[]}`, `{"peerURLs":"x"}`, `{"peerURLs":[1]}`, `{"peerurls":[1]}`,
			`{"peerURLs":["http://1.1.1.1"]}`, `{"peerURLs":["http://1.1.1.1:1/p"]}`, `{"peerURLs":["http://1.1.1.1:1/"]}`, `{"peerURLs":["ftp://1.1.1.1:1"]}`,
			`{"peerURLs":["1.1.1.1:1"]}`, `{"peerURLs":["http://%zz:1"]}`, `{"peerURLs":[""]}`, `{"peerURLs":["x<y:1"]}`,
			`{"peerURLs":["http://h:1"]} x`, `{"peerURLs":["http://h:1?q=1","http://h"]}`, `{"peerURLs":["http://u@h:1#f","unix://h"]}`, `{"peerURLs":["http://"]}`,
		} {
			calls = append(calls, jsonCall(m, target, body))
		}
	}
	for _, id := range []string{"abc", "0ABC", "00000000000000abc", "xyz", "leader", "abc/", "abc/d", "10000000000000000", "0", "-1", "0x1", ""} {
		calls = append(calls, jsonCall("PUT", membersPath+"/"+id, good), jsonCall("PUT", membersPath+"/"+id, "{"), call{"DELETE", membersPath + "/" + id, "", ""})
	}
	for _, m := range []string{"HEAD", "PATCH", "OPTIONS", "FOO", "DELETE", "PUT"} {
		calls = append(calls, call{m, membersPath, "", ""}, call{m, membersPath + "/leader", "", ""})
	}
	return append(calls, call{"GET", membersPath + "/abc", "", ""}, call{"GET", membersPath + "//leader", "", ""})
}

// startEtcdCluster runs three etcd as one cluster and returns both ports of the first.
func startEtcdCluster(t *testing.T) (client, peer *side) {
	t.Helper()
	var clients, peers, cluster []string
	for i := range 3 {
		clients, peers = append(clients, freeport.Addr(t)), append(peers, freeport.Addr(t))
		cluster = append(cluster, fmt.Sprintf("m%d=http://%s", i, peers[i]))
	}
	var waits []func()
	for i := range 3 {
		waits = append(waits, startEtcd(t, fmt.Sprintf("m%d", i), clients[i], peers[i], strings.Join(cluster, ","), "--strict-reconfig-check=false"))
	}
	for _, wait := range waits {
		wait()
	}
	return &side{name: "etcd", addr: clients[0]}, &side{name: "etcd", addr: peers[0]}
}

// startNode serves a real node of ours.
func startNode(t *testing.T) (*side, *raftkv.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node, err := raftkv.Open(ctx, raftkv.Config{Name: "one", DataDir: t.TempDir(), PeerAddr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	url := startServer(t, New(node, Options{}))
	return &side{name: "ours", addr: strings.TrimPrefix(url, "http://")}, node
}

// TestChangesNeedRoot: with authentication on, nobody but root changes members and
// configuration, and a token is a key to be written.
func TestChangesNeedRoot(t *testing.T) {
	_, node := startNode(t)
	h := New(node, Options{})
	peer := h.Peer()
	send := func(h http.Handler, method, target, body string, root bool) int {
		t.Helper()
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", typeJSON)
		if root {
			r.SetBasicAuth("root", "pw")
		}
		w := record(t, h, r)
		if w.Code == 401 && strings.Contains(w.Body.String(), "/_etcd/registry") {
			t.Errorf("%s %s: a refusal with a token: %s", method, target, w.Body)
		}
		return w.Code
	}
	for _, step := range []struct {
		method, target, body string
		want                 int
	}{
		{"PUT", "/v2/auth/users/root", `{"user":"root","password":"pw"}`, 201},
		{"PUT", "/v2/auth/enable", "", 200},
		{"PUT", "/v2/auth/roles/guest", `{"role":"guest","revoke":{"kv":{"write":["/*"]}}}`, 200},
	} {
		if got := send(h, step.method, step.target, step.body, true); got != step.want {
			t.Fatalf("%s %s: got %d, want %d", step.method, step.target, got, step.want)
		}
	}
	const url = `{"peerURLs":["http://a:1"]}`
	tests := []struct {
		h                    http.Handler
		method, target, body string
		guest, root          int
	}{
		{h, "GET", "/v2/members", "", 200, 200},
		{h, "GET", "/v2/machines", "", 200, 200},
		{h, "POST", "/v2/members", url, 401, 201},
		{h, "PUT", "/v2/members/abc", url, 401, 404},
		{h, "DELETE", "/v2/members/abc", "", 401, 404},
		{h, "DELETE", "/v2/members", "", 401, 405},
		{h, "POST", "/discovery/new", "", 401, 200},
		{peer, "GET", "/v2/admin/config", "", 200, 200},
		{peer, "GET", "/v2/admin/machines", "", 200, 200},
		{peer, "PUT", "/v2/admin/config", `{"activeSize":3}`, 401, 200},
		{peer, "DELETE", "/v2/admin/machines/nope", "", 401, 404},
	}
	for _, test := range tests {
		before := node.Meta()
		if got := send(test.h, test.method, test.target, test.body, false); got != test.guest || node.Meta() != before {
			t.Errorf("%s %s as a guest: got %d, want %d", test.method, test.target, got, test.guest)
		}
		if got := send(test.h, test.method, test.target, test.body, true); got != test.root {
			t.Errorf("%s %s as root: got %d, want %d", test.method, test.target, got, test.root)
		}
	}
}
