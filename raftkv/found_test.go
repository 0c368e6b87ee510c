// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/integration/freeport"
)

// freeAddrs returns addresses that are kept until the test ends.
func freeAddrs(t *testing.T, count int) []string {
	t.Helper()
	addrs, release, err := freeport.Addrs(count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addrs
}

// founderConfig is the configuration of one of the nodes at addrs that make a cluster
// together.
func founderConfig(t *testing.T, name, addr string, addrs []string) Config {
	cfg := testConfig(t)
	cfg.Name, cfg.PeerAddr = name, addr
	cfg.ElectionTimeout = time.Second // so long may also the last node of a majority take to close
	cfg.Discover = func(context.Context) (Founders, error) { return Founders{addrs, true}, nil }
	return cfg
}

func TestMayFound(t *testing.T) {
	for _, test := range []struct {
		list string // s: this node, y: answers, n: does not
		want string
	}{
		{"s", ""}, {"sy", ""}, {"syn", ""}, {"snyyn", ""},
		{"sn", "1 of 2"}, {"snn", "1 of 3"}, {"synn", "2 of 4"},
		{"ys", "the first"}, {"nsy", "the first"}, {"yyn", "the first"},
	} {
		var list []founder
		for _, c := range test.list {
			list = append(list, founder{addr: "h:1", self: c == 's', answers: c != 'n'})
		}
		if got := mayFound(list); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: waits for %q, want %q", test.list, got, test.want)
		}
	}
}

// TestAllAtOnce starts three nodes with one list at the same time, which make one cluster;
// then one of them again whose disk is lost, the first among them, which must not make
// another one.
func TestAllAtOnce(t *testing.T) {
	addrs := freeAddrs(t, 3)
	nodes := make([]*Node, 3)
	var opening sync.WaitGroup
	for i, name := range []string{"a", "b", "c"} {
		cfg := founderConfig(t, name, addrs[i], addrs)
		opening.Go(func() {
			n, err := Open(t.Context(), cfg)
			if err != nil {
				t.Error(err)
				return
			}
			nodes[i] = n
		})
	}
	opening.Wait()
	for _, n := range nodes {
		if n == nil {
			t.FailNow()
		}
		defer n.Close()
		if n.ClusterID() != nodes[0].ClusterID() {
			t.Errorf("clusters %s and %s", n.ClusterID(), nodes[0].ClusterID())
		}
	}
	set(t, nodes[2], "/k", "v")
	eventually(t, "three voters", func() bool { return nodes[0].voters() == 3 && nodes[1].voters() == 3 && nodes[2].voters() == 3 })

	closeNode(t, nodes[0])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Open(ctx, founderConfig(t, "a", addrs[0], addrs))
	if !errors.Is(err, ErrNameExists) {
		t.Errorf("the first, with an empty disk: %v", err)
		n.Close()
	}
}

// TestFounderAlone waits for a majority for as long as it is told to.
func TestFounderAlone(t *testing.T) {
	addrs := freeAddrs(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	n, err := Open(ctx, founderConfig(t, "a", addrs[0], addrs))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("alone of three: %v", err)
		n.Close()
	}
}

// TestFounderByAnotherAddress makes the cluster though the list has another spelling of
// its address.
func TestFounderByAnotherAddress(t *testing.T) {
	addr := freeAddrs(t, 1)[0]
	_, port, _ := net.SplitHostPort(addr)
	n := open(t, founderConfig(t, "a", addr, []string{"localhost:" + port}))
	set(t, n, "/k", "v")
}

// TestEndWhileJoining ends a node that waits to be let in, which is no failure.
func TestEndWhileJoining(t *testing.T) {
	cfg := testConfig(t)
	cfg.Peers = freeAddrs(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	n, err := Open(ctx, cfg)
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), ErrNotProposed.Error()) {
		t.Errorf("got %v", err)
		n.Close()
	}
}
