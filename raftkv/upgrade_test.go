// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
)

// TestNeighbouringVersions: nodes that speak another version of the peer protocol work
// together with those that do not, whoever leads, as in an upgrade of one node after the
// other.
func TestNeighbouringVersions(t *testing.T) {
	nodes := openThree(t, func(c *Config) {
		if c.Name == "b" {
			c.Hooks.Protocol, c.Version = peerProtocol+1, "next"
		}
	})
	for _, leader := range []*Node{nodes[1], nodes[0]} {
		eventually(t, "the leadership to be handed to "+leader.cfg.Name, func() bool {
			now := leaderOf(t, nodes)
			if now == leader {
				return true
			}
			now.raft.LeadershipTransferToServer(raft.ServerID(leader.dir.id), leader.transport.LocalAddr()).Error()
			return leader.lead.Load() != nil
		})
		for i, n := range nodes {
			key := fmt.Sprintf("/%s-%d", leader.cfg.Name, i)
			set(t, n, key, "v")
			v, err := nodes[(i+1)%3].Linearizable(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want(t, v, key, "v")
		}
	}
	var versions []string
	for _, m := range nodes[2].Members() {
		versions = append(versions, m.Version)
	}
	if !strings.Contains(strings.Join(versions, " "), "next") {
		t.Errorf("the versions are %q", versions)
	}
}

// TestOlderProtocol: a node that speaks nothing this one does is told so.
func TestOlderProtocol(t *testing.T) {
	n := open(t, testConfig(t))
	c := dial(t, n)
	r, err := sayHello(c, protoPeer, hello{Protocol: minPeerProtocol - 1, Cluster: n.ClusterID(), ID: "abc"})
	if err == nil || r.Refused != refusedProtocol || !strings.Contains(err.Error(), "version") {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestUnknownRequests: what a newer version says besides is ignored, and what it asks for
// besides is refused with a reason, and the connection goes on.
func TestUnknownRequests(t *testing.T) {
	n := open(t, testConfig(t))
	c := dial(t, n)
	more := map[string]any{"protocol": 7, "cluster": n.ClusterID(), "id": "abc", "colour": "blue", "list": []int{1}}
	if err := writeJSON(c, []byte{protoPeer}, more); err != nil {
		t.Fatal(err)
	}
	var r helloReply
	if err := readJSON(c, &r); err != nil || r.Refused != "" {
		t.Fatalf("hello with more in it: %+v, %v", r, err)
	}
	dials := 0
	client := newPeerClient(1<<20, func(context.Context) (net.Conn, int, error) {
		dials++
		return c, r.Protocol, nil
	})
	defer client.close()
	for _, tt := range []struct {
		kind          byte
		payload, want string
	}{
		{99, "", "unknown request 99"},
		{kindCall, `{"method":"member.bless","params":{}}`, `unknown request "member.bless"`},
		{kindCall, `{"method":`, "request of another node"},
		{kindForward, "\x09entry", "unknown version 9"},
	} {
		_, err := client.call(t.Context(), tt.kind, []byte(tt.payload))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, ErrNotProposed) {
			t.Errorf("%d %q: got %v, want %q", tt.kind, tt.payload, err, tt.want)
		}
	}
	if _, err := client.call(t.Context(), kindTerm, nil); err != nil || dials != 1 {
		t.Errorf("afterwards: %v, %d connections", err, dials)
	}
}

// newerEntries makes one entry look as if a newer program had written it.
type newerEntries struct{ raft.LogStore }

func (s newerEntries) StoreLogs(es []*raft.Log) error {
	for _, e := range es {
		if e.Type == raft.LogCommand && strings.Contains(string(e.Data), "/newer") {
			e.Data = append([]byte{fsm.EntryVersion + 1}, e.Data[1:]...)
		}
	}
	return s.LogStore.StoreLogs(es)
}

// TestUnknownEntry: a node that cannot read an entry stops and says why; the others go on.
func TestUnknownEntry(t *testing.T) {
	nodes := openThree(t, func(c *Config) {
		if c.Name == "c" {
			c.Hooks.LogStore = func(s raft.LogStore) raft.LogStore { return newerEntries{s} }
		}
	})
	set(t, nodes[0], "/newer", "v")
	select {
	case <-nodes[2].Failed():
	case <-time.After(20 * time.Second):
		t.Fatal("the node goes on")
	}
	want := fmt.Sprintf("unknown version %d; this program knows %d", fsm.EntryVersion+1, fsm.EntryVersion)
	if err := nodes[2].Err(); !errors.Is(err, fsm.ErrVersion) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	set(t, nodes[0], "/after", "v")
	set(t, nodes[1], "/after", "w")
}

// TestOlderProgramDoesNotJoin: a node that could not read the log is not let in.
func TestOlderProgramDoesNotJoin(t *testing.T) {
	n := open(t, testConfig(t))
	in := introduction{ID: "abc", Name: "old", PeerURL: "http://127.0.0.1:1", Entries: fsm.EntryVersion - 1}
	if _, err := n.letIn(t.Context(), in); err == nil || !strings.Contains(err.Error(), "newer confd") {
		t.Errorf("got %v", err)
	}
	if len(n.Members()) != 1 {
		t.Errorf("members %+v", n.Members())
	}
}
