// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/raftkv"
	"confd/raftkv/client"
	"confd/raftkv/raftkvtest"
	"confd/raftkv/tree"
	"confd/raftkv/v2http"
)

// newDirectory serves a store that nodes find each other by.
func newDirectory(t *testing.T) (url string, node *raftkv.Node) {
	t.Helper()
	node = raftkvtest.Open(t)
	h := v2http.New(node, v2http.Options{})
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		h.EndWatches()
		server.Close()
	})
	return server.URL, node
}

// newSeeker returns the discovery of a node with its peer port at addr.
func newSeeker(t *testing.T, url, name, addr string, more ...string) *discovery {
	t.Helper()
	p := newProgram(t, append([]string{"-name", name, "-peer-addr", addr, "-discovery", url}, more...)...)
	p.log = newLogger(newOutput(), "text", "debug")
	d, err := p.newDiscovery()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.client.Close)
	return d
}

func setKey(t *testing.T, node *raftkv.Node, key, value string) {
	t.Helper()
	if _, err := node.Do(t.Context(), &tree.Op{Action: tree.Set, Key: key, Value: value}); err != nil {
		t.Fatal(err)
	}
}

// TestDiscoverySized has nodes wait until so many have registered, in their order, and again
// after a restart; what comes later joins those.
func TestDiscoverySized(t *testing.T) {
	url, node := newDirectory(t)
	setKey(t, node, "/d/_config/size", "3")
	setKey(t, node, "/d/odd", "not an address") // passed over
	setKey(t, node, "/d/1", "other=http://10.0.0.9:7001,other=http://10.0.0.9:7002")
	seek := func(name string) raftkv.Founders {
		f, err := newSeeker(t, url+"/v2/keys/d", name, name+":7001").find(t.Context())
		if err != nil {
			t.Error(err)
		}
		return f
	}
	var a, b raftkv.Founders
	var both sync.WaitGroup
	both.Go(func() { a = seek("a") })
	both.Go(func() { b = seek("b") })
	both.Wait()
	if !a.Together || !slices.Equal(a.Addrs, b.Addrs) || len(a.Addrs) != 3 || a.Addrs[0] != "10.0.0.9:7001" {
		t.Errorf("founders %v and %v", a, b)
	}
	if again := seek("a"); !again.Together || !slices.Equal(again.Addrs, a.Addrs) {
		t.Errorf("after a restart: %v", again)
	}
	if late := seek("c"); late.Together || !slices.Equal(late.Addrs, a.Addrs) {
		t.Errorf("one that comes later: %v", late)
	}
}

// TestDiscoveryFirst is etcd 0.4's protocol.
func TestDiscoveryFirst(t *testing.T) {
	url, node := newDirectory(t)
	find := func(name string) (raftkv.Founders, error) {
		return newSeeker(t, url+"/v2/keys/old", name, name+":7001").find(t.Context())
	}
	if f, err := find("a"); err != nil || f.Together || len(f.Addrs) != 0 {
		t.Errorf("the first: %v, %v", f, err)
	}
	n, err := node.View().Get("/old/a")
	if err != nil || n.Value != "http://a:7001" || n.Expires == 0 {
		t.Errorf("its registration: %+v, %v", n, err)
	}
	if f, err := find("a"); !errors.Is(err, errDiscovery) {
		t.Errorf("the first, begun anew before there is another: %v, %v", f, err)
	}
	setKey(t, node, "/old/x", "10.0.0.9:7001") // as 0.4's document has it
	if f, err := find("b"); err != nil || f.Together || !slices.Equal(f.Addrs, []string{"a:7001", "10.0.0.9:7001"}) {
		t.Errorf("the second: %v, %v", f, err)
	}
}

// TestDiscoveryKeeps renews a registration for the protocol of 0.4, and none for that of 2.x.
func TestDiscoveryKeeps(t *testing.T) {
	url, node := newDirectory(t)
	ctx, cancel := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() { newSeeker(t, url+"/v2/keys/old", "a", "a:7001").keep(ctx, time.Millisecond) })
	w, err := node.Tree().Watch("/old/a", false, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 {
		if e := <-w.C; e.Node.Expires == 0 {
			t.Errorf("renewed for ever: %+v", e.Node)
		}
	}
	cancel()
	keeping.Wait()
	setKey(t, node, "/new/_config/size", "1")
	newSeeker(t, url+"/v2/keys/new", "a", "a:7001").keep(t.Context(), time.Millisecond) // returns
}

// TestDiscoveryFails ends where trying again is of no use, and goes on where it is.
func TestDiscoveryFails(t *testing.T) {
	url, node := newDirectory(t)
	setKey(t, node, "/d/_config/size", "many")
	if _, err := newSeeker(t, url+"/v2/keys/d", "a", "a:7001").find(t.Context()); !errors.Is(err, errDiscovery) || !strings.Contains(err.Error(), `"many"`) {
		t.Errorf("a size that is none: %v", err)
	}
	// A server that has no keys there.
	if _, err := newSeeker(t, url+"/token", "a", "a:7001").find(t.Context()); !errors.Is(err, errDiscovery) {
		t.Errorf("no keys at all: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	const nobody = "http://u:secret@127.0.0.1:1/v2/keys/d"
	if _, err := newSeeker(t, nobody, "a", "a:7001").find(ctx); ctx.Err() == nil || err == nil {
		t.Errorf("nobody there: %v", err)
	}
	p := newProgram(t, "-discovery", nobody, "-peers", "h:1")
	out := newOutput()
	p.log = newLogger(out, "text", "debug")
	f, err := p.findCluster(t.Context())
	if err != nil || f.Together || !slices.Equal(f.Addrs, []string{"h:1"}) {
		t.Errorf("nobody there, with -peers: %v, %v", f, err)
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a password in the log:\n%s", out)
	}
}

// TestSRVFounders finds the nodes by SRV records.
func TestSRVFounders(t *testing.T) {
	p := newProgram(t, "-discovery-srv", "example.org")
	p.lookupSRV = func(_ context.Context, name string) ([]*net.SRV, error) {
		switch name {
		case "_etcd-server._tcp.example.org":
			return []*net.SRV{{Target: "b.example.org.", Port: 7001}, {Target: "a.example.org.", Port: 7001}}, nil
		case "_etcd-server-ssl._tcp.example.org":
			return []*net.SRV{{Target: "b.example.org.", Port: 7001}}, nil
		}
		return nil, errors.New("no such host")
	}
	f, err := p.findCluster(t.Context())
	if err != nil || !f.Together || !slices.Equal(f.Addrs, []string{"a.example.org:7001", "b.example.org:7001"}) {
		t.Errorf("got %v, %v", f, err)
	}
	p.Etcd.InitialClusterState = clusterExisting
	if f, err := p.findCluster(t.Context()); err != nil || f.Together {
		t.Errorf("existing: %v, %v", f, err)
	}
	p.Etcd.DiscoverySRV = "nowhere"
	if _, err := p.findCluster(t.Context()); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("no records: %v", err)
	}
}

// TestDiscoveryKeysPath: the public service had its keys at the root.
func TestDiscoveryKeysPath(t *testing.T) {
	f := newFakeStore(t, 404, `{"errorCode":100,"message":"Key not found","cause":"/token","index":1}`)
	d := newSeeker(t, f.url+"/token/", "a", "a:7001")
	if size, err := d.size(t.Context()); size != 0 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if got := f.seen(); got != "GET /token/_config/size?quorum=true" {
		t.Errorf("asked for %s", got)
	}
	if !client.IsCode(d.register(t.Context()), client.CodeKeyNotFound) {
		t.Error("a refusal of the registration is lost")
	}
}
