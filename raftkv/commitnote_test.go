// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// requests returns how many requests a leader has sent, and how many of them were answered.
func requests(n *Node) (sent, answered uint64) {
	return n.transport.sent.Load(), n.transport.appends.Count()
}

// burst writes at a node, one after the other, and has all nodes show the last one. It
// returns how long a write took at most, until the leader has it and until all show it.
func burst(t *testing.T, count int, at *Node, nodes []*Node) (most time.Duration) {
	t.Helper()
	for i := range count {
		value := fmt.Sprint(at.cfg.Name, i)
		start := time.Now()
		set(t, at, "/burst", value)
		for _, n := range nodes {
			shows(t, n, "/burst", value)
		}
		most = max(most, time.Since(start))
	}
	return most
}

// TestCommitNote: followers show a write at once, and the leader has an answer to no more than
// the requests with the entry, be it written at the leader or at a follower. Without notes it
// has as many again.
func TestCommitNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		time.Sleep(5 * time.Second) // all have joined
		burst(t, 10, leader, c.nodes)
		burst(t, 10, rest[0], c.nodes) // and have their connections
		for _, at := range []*Node{leader, rest[0]} {
			const count = 100
			sent, answered := requests(leader)
			most := burst(t, count, at, c.nodes)
			sentNow, answeredNow := requests(leader)
			if most > 5*time.Millisecond {
				t.Errorf("at %s: a write took %v until all have shown it", at.cfg.Name, most)
			}
			if got := answeredNow - answered; got < 2*count || got > 2*count+count/4 {
				t.Errorf("at %s: %d answers to %d writes", at.cfg.Name, got, count)
			}
			if got := sentNow - sent; got < 4*count-count/4 || got > 4*count+count/4 {
				t.Errorf("at %s: %d requests for %d writes", at.cfg.Name, got, count)
			}
		}
	})
}

// TestCommitNoteOfOlderNodes: a node that does not know notes is told of commits as before, and
// one that leads tells the others so, and all as fast.
func TestCommitNoteOfOlderNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t, func(cfg *Config) {
			if cfg.Name == "b" {
				cfg.Hooks.Protocol = noteProtocol - 1
			}
		})
		for _, leads := range c.nodes {
			if leader, _ := c.leader(); leader != leads {
				if err := leader.raft.LeadershipTransferToServer(raft.ServerID(leads.dir.id), leads.transport.LocalAddr()).Error(); err != nil {
					t.Fatal(err)
				}
				eventually(t, leads.cfg.Name+" to lead", func() bool { return leads.lead.Load() != nil })
			}
			time.Sleep(5 * time.Second)
			for _, at := range c.nodes {
				burst(t, 3, at, c.nodes) // for the connections
				_, answered := requests(leads)
				const count = 40
				if most := burst(t, count, at, c.nodes); most > 5*time.Millisecond {
					t.Errorf("at %s, led by %s: a write took %v until all have shown it", at.cfg.Name, leads.cfg.Name, most)
				}
				want := uint64(3 * count) // b is asked twice
				if leads.cfg.Name == "b" {
					want = 4 * count
				}
				if _, now := requests(leads); now-answered < want-count/4 || now-answered > want+count/4 {
					t.Errorf("at %s, led by %s: %d answers to %d writes", at.cfg.Name, leads.cfg.Name, now-answered, count)
				}
			}
		}
	})
}

// A mortalNet is what a node dials with. The connections to peer ports, not raft's, can die:
// then what is written to them is lost, and nobody says so.
type mortalNet struct {
	dial func(ctx context.Context, addr string) (net.Conn, error)

	mu    sync.Mutex
	conns []*mortalConn
}

type mortalConn struct {
	net.Conn
	begun, peer bool // owned by who writes
	dead        atomic.Bool
}

func (m *mortalNet) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := m.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mortal := &mortalConn{Conn: c}
	m.conns = append(m.conns, mortal)
	return mortal, nil
}

// kill has all connections die that there are.
func (m *mortalNet) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		c.dead.Store(true)
	}
}

func (c *mortalConn) Write(b []byte) (int, error) {
	if !c.begun {
		c.begun, c.peer = true, b[0] == protoPeer
	}
	if c.peer && c.dead.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestLostCommitNote: a note that is lost costs the followers what it takes raft to tell them,
// which is before long nothing, if it was lost on a connection that is dead.
func TestLostCommitNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nets := make(map[string]*mortalNet)
		c := newMemCluster(t, func(cfg *Config) {
			nets[cfg.Name] = &mortalNet{dial: cfg.Hooks.Dial}
			cfg.Hooks.Dial = nets[cfg.Name].Dial
		})
		leader, _ := c.leader()
		time.Sleep(5 * time.Second)
		burst(t, 10, leader, c.nodes)
		nets[leader.cfg.Name].kill()
		if most := burst(t, 1, leader, c.nodes); most < 100*time.Millisecond || most > 600*time.Millisecond {
			t.Errorf("after a note that was lost all show the write in %v", most)
		}
		time.Sleep(muteTime / 2)
		for _, what := range []string{"by requests", "by notes again"} {
			if most := burst(t, 10, leader, c.nodes); most > 5*time.Millisecond {
				t.Errorf("%s: %v", what, most)
			}
			time.Sleep(2 * muteTime)
		}
		burst(t, 10, leader, c.nodes)
		_, answered := requests(leader)
		burst(t, 40, leader, c.nodes)
		if _, now := requests(leader); now-answered > 100 {
			t.Errorf("%d answers to 40 writes", now-answered)
		}
	})
}

// TestNoteThatIsNotBelieved: a note counts only if it comes from the leader of this term, and
// tells something; and raft does not believe what is beyond the follower's log.
func TestNoteThatIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster(t)
		leader, rest := c.leader()
		time.Sleep(5 * time.Second)
		burst(t, 1, leader, c.nodes)
		n, id := rest[0], leader.dir.id
		term, last := n.raft.CurrentTerm(), n.raft.LastIndex()
		news := commitNote{term, last + 1, term, last + 1}
		with := func(change func(*commitNote)) []byte {
			c := news
			change(&c)
			return c.payload()
		}
		for _, test := range []struct {
			what string
			id   string
			note []byte
			want bool
		}{
			{"from the other follower", rest[1].dir.id, news.payload(), false},
			{"from nobody", "", news.payload(), false},
			{"of an earlier term", id, with(func(c *commitNote) { c.term--; c.indexTerm-- }), false},
			{"of a later term", id, with(func(c *commitNote) { c.term++ }), false},
			{"of what is known", id, with(func(c *commitNote) { c.index, c.commit = last, last }), false},
			{"beyond its own entry", id, with(func(c *commitNote) { c.commit++ }), false},
			{"of no entry", id, with(func(c *commitNote) { c.commit = 0 }), false},
			{"with an entry of a later term", id, with(func(c *commitNote) { c.indexTerm++ }), false},
			{"cut short", id, news.payload()[:3], false},
			{"empty", id, nil, false},
			{"of an entry that this node does not have", id, news.payload(), true},
		} {
			if got := n.transport.noted(test.id, test.note); got != test.want {
				t.Errorf("%s: %v", test.what, got)
			}
			time.Sleep(10 * time.Millisecond)
			if got := n.raft.CommitIndex(); got != last || n.raft.CurrentTerm() != term {
				t.Fatalf("%s: entry %d is committed, and the log ends with %d; term %d", test.what, got, last, n.raft.CurrentTerm())
			}
		}
	})
}

// TestCommitNotePayload: what is written is read, and nothing else.
func TestCommitNotePayload(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		c := commitNote{term: r.Uint64() >> r.IntN(64), index: 1 + r.Uint64()>>(1+r.IntN(63))}
		c.indexTerm, c.commit = c.term>>r.IntN(64), 1+c.index>>(1+r.IntN(63))
		c.commit = min(c.commit, c.index)
		b := c.payload()
		if got, ok := readCommitNote(b); !ok || got != c {
			t.Fatalf("%+v was read as %+v, %v", c, got, ok)
		}
		if got, ok := readCommitNote(b[:r.IntN(len(b))]); ok && got == c {
			t.Fatalf("%+v was read of less", c)
		}
	}
}
