// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// greetAs says hello to a node as one that belongs to no cluster, or to the given one.
func greetAs(t *testing.T, n *Node, cluster string) net.Conn {
	t.Helper()
	c := dial(t, n)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := sayHello(c, protoPeer, hello{Protocol: peerProtocol, Cluster: cluster, ID: "abc"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFramesThatNeverCome: to say that a large frame follows costs the node nothing, and one
// who does not name the cluster may not even say so. It fails if readFrame makes room for
// all of the payload.
func TestFramesThatNeverCome(t *testing.T) {
	n := open(t, testConfig(t))
	head := []byte{0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, kindCall} // 32 MiB
	const conns = 20
	before := heap()
	for range conns {
		c := greetAs(t, n, n.ClusterID())
		if _, err := c.Write(append(head, "beginning"...)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if after := heap(); after > before+conns*(256<<10) {
		t.Errorf("%d frames that do not come take %d KiB", conns, (after-before)>>10)
	}
	c := greetAs(t, n, "")
	if _, err := c.Write(head); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a stranger with a large frame: %v", err)
	}
}

// TestStrangersTakeNoPlaces: connections of nodes that belong to no cluster leave room for
// those of members, cost little, and may ask for nothing but to be let in. It fails if they
// are counted together with members.
func TestStrangersTakeNoPlaces(t *testing.T) {
	n := open(t, testConfig(t))
	before := heap()
	for range 2 * maxPeerConns {
		c, err := net.Dial("tcp", n.Status().PeerAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := sayHello(c, protoPeer, hello{Protocol: peerProtocol, ID: ""}); err != nil {
			t.Fatal(err)
		}
	}
	c := greetAs(t, n, n.ClusterID())
	w := bufio.NewWriter(c)
	if err := errors.Join(writeFrame(w, frame{1, kindTerm, nil}), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if f, err := readFrame(bufio.NewReader(c), 100); err != nil || f.kind != kindDone {
		t.Errorf("a member: %+v, %v", f, err)
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("strangers take %d KiB", (after-before)>>10)
	}
}

// TestStrangersMayOnlyJoin tries everything else.
func TestStrangersMayOnlyJoin(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/secret", "1")
	call := func(method string) []byte {
		b, err := json.Marshal(call{Method: method, Params: json.RawMessage("{}")})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	c := greetAs(t, n, "")
	w, r := bufio.NewWriter(c), bufio.NewReader(c)
	for i, f := range []frame{
		{kind: kindForward}, {kind: kindReadIndex}, {kind: kindTerm}, {kind: kindPulse}, {kind: kindAbsent}, {kind: 200},
		{kind: kindCall, payload: call(methodStatus)}, {kind: kindCall, payload: call(methodAnnounce)},
		{kind: kindCall, payload: call(methodAddMember)}, {kind: kindCall, payload: call(methodRemoveMember)},
	} {
		f.number = uint64(i)
		if err := errors.Join(writeFrame(w, f), w.Flush()); err != nil {
			t.Fatal(err)
		}
		got, err := readFrame(r, 1000)
		if err != nil || got.kind != kindError || !bytes.Contains(got.payload, []byte(errNoMember.Error())) {
			t.Errorf("request %d: %d %q, %v", i, got.kind, got.payload, err)
		}
	}
	c = dial(t, n)
	if _, err := sayHello(c, protoRaft, hello{Protocol: peerProtocol, ID: "abc"}); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("raft: %v", err)
	}
}

// TestBoundedAddresses: whoever knows the cluster's id may tell any number of addresses.
func TestBoundedAddresses(t *testing.T) {
	n := open(t, testConfig(t))
	for i := range 10 * maxMembers {
		if _, err := n.announced(t.Context(), introduction{ID: fmt.Sprintf("a%x", i), Name: "x", PeerURL: "http://127.0.0.1:1", Entries: 1}); err == nil {
			t.Fatal("an announcement of nobody was taken")
		}
		n.peers.rumoured(map[string]string{fmt.Sprintf("b%x", i): "127.0.0.1:1"})
	}
	if len(n.peers.known) > 2*maxMembers {
		t.Errorf("%d addresses are kept", len(n.peers.known))
	}
}

// TestSnapshotThatStops: a leader that is stopped while it sends a snapshot leaves the main
// loop of the follower's raft waiting for the rest. Without patientReader it waits for ever,
// and neither votes nor follows anybody.
func TestSnapshotThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		stuck := rest[0]
		liar := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: strangerStream(stuck, nil), MaxPool: 1, Timeout: time.Hour, Logger: newHCLog(stuck.log),
		})
		defer liar.Close()
		more, less := io.Pipe()
		sent := make(chan error, 1)
		go func() {
			sent <- liar.InstallSnapshot("x", raft.ServerAddress(stuck.Status().PeerAddr), &raft.InstallSnapshotRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("abc"), Addr: []byte("x")}, SnapshotVersion: 1,
				Term: leader.raft.CurrentTerm(), LastLogIndex: 1 << 20, LastLogTerm: 1, Size: 1 << 20,
				Configuration: raft.EncodeConfiguration(raft.Configuration{}),
			}, new(raft.InstallSnapshotResponse), more)
		}()
		eventually(t, "the snapshot to begin", func() bool { return installsAt(stuck) == 1 })
		start := time.Now()
		set(t, leader, "/a", "1")
		shows(t, stuck, "/a", "1")
		if took := time.Since(start); took > installPatience+5*time.Second {
			t.Errorf("it took %v", took)
		}
		less.CloseWithError(io.ErrUnexpectedEOF)
		if <-sent == nil {
			t.Error("the snapshot was taken")
		}
	})
}

// TestClusterTLS: three nodes with certificates on both sides elect a leader and another
// one, and go on when all get new certificates of a new authority, one after the other.
func TestClusterTLS(t *testing.T) {
	old, fresh := newAuthority(t), newAuthority(t)
	dirs := map[string]string{}
	nodes := openThree(t, func(cfg *Config) {
		dir := t.TempDir()
		dirs[cfg.Name] = dir
		cfg.PeerTLS = openTLS(t, old.issue(t, dir, cfg.Name))
		cfg.PeerTLS.recheck = 0
	})
	all := func(value string) {
		t.Helper()
		for _, n := range nodes {
			set(t, n, "/"+n.cfg.Name, value)
			if _, err := n.Linearizable(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	handOver := func() {
		t.Helper()
		leader := leaderOf(t, nodes)
		if err := leader.handOver(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another leader", func() bool { return leaderOf(t, nodes) != leader })
		for _, n := range nodes {
			eventually(t, "a route", func() bool { r := n.route.Load(); return r != nil && !(r.leader == leader.dir.id) })
		}
	}
	all("1")
	handOver()
	all("2")

	// As docs tell: first all trust both authorities, then all get a new certificate.
	both := readAll(t, nodes[0].cfg.PeerTLS.files.CA) + readAll(t, fresh.issue(t, t.TempDir(), "x").CA)
	for _, n := range nodes {
		writeText(t, n.cfg.PeerTLS.files.CA, both)
	}
	for _, n := range nodes {
		f := fresh.issue(t, dirs[n.cfg.Name], n.cfg.Name)
		writeText(t, f.CA, both)
		all("3")
		for _, other := range nodes { // so that connections are made anew
			other.mux.hangUp(n.dir.id)
		}
		handOver()
		all("4")
	}

	// With a certificate of another authority a node is not let in, and is told why.
	cfg := testConfig(t)
	cfg.Name, cfg.Peers = "stranger", []string{nodes[0].Status().PeerAddr}
	stranger := newAuthority(t).issue(t, t.TempDir(), "stranger")
	writeText(t, stranger.CA, both)
	cfg.PeerTLS = openTLS(t, stranger)
	messages := make(chan string, 100)
	cfg.Log = slog.New(slog.NewTextHandler(lines(messages), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := Open(ctx, cfg)
		opened <- err
	}()
	if m := <-messages; !strings.Contains(m, "unknown certificate authority") {
		t.Errorf("a node of another authority says %s", m)
	}
	cancel()
	if err := <-opened; err == nil {
		t.Error("a node of another authority was let in")
	}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
