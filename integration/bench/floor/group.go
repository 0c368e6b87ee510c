// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
)

// A group is the part of a node among three: a leader that sends each batch to two others while it
// writes it itself, and answers when it is at one of them, too; or one of those. All its methods
// but the writer's may be called for a nil group, a node alone.
type group struct {
	number   byte
	listener int // of the leader

	// Of the leader: the others, and how many batches were sent.
	others []*follower
	sent   int

	// Of another: the leader, and the batches that are here, but not known to be kept.
	leader *conn
	held   []*batch
}

// A follower is what the leader knows of another.
type follower struct {
	*conn
	number byte // 0 as long as it has forwarded nothing
	acks   int  // how many batches it has
	told   int  // how many it knows to be kept
}

// What is said between nodes, each with a count of writes or batches, and the length of what follows.
const (
	frameBatch   = 'B' // to a follower: write these
	frameWritten = 'W' // to the leader: the next batch is written
	frameKept    = 'K' // to a follower: so many batches more are kept
	frameForward = 'F' // to the leader: these are to be written
	frameHead    = 1 + 4 + 4
)

func frame(b []byte, kind byte, count int, data []byte) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, kind), uint32(count))
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(data))), data...)
}

// joinGroup makes a writer one of three. The leader has no number, and listens at addr, the
// others connect to that.
func (w *writer) joinGroup(number byte, addr string) (err error) {
	g := &group{number: number}
	w.group = g
	if number == 0 {
		if g.listener, err = listen(addr); err != nil {
			return err
		}
		return w.watch(g.listener)
	}
	fd, err := dial(addr)
	if err != nil {
		return err
	}
	g.leader = &conn{fd: fd, peer: true}
	return w.add(g.leader)
}

func (g *group) follows() bool       { return g != nil && g.leader != nil }
func (g *group) listens(fd int) bool { return g != nil && !g.follows() && fd == g.listener }

// self returns the number of this node.
func (g *group) self() byte {
	if g == nil {
		return 0
	}
	return g.number
}

// state returns the answer to who asks which node leads.
func (g *group) state() []byte {
	body := `{"state":"StateLeader"}`
	if g.follows() {
		body = `{"state":"StateFollower"}`
	}
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// acceptPeer takes the connection of a follower.
func (w *writer) acceptPeer(listener int) error {
	c, err := w.accept(listener, true)
	if err == nil {
		w.group.others = append(w.group.others, &follower{conn: c})
	}
	return err
}

// send sends a batch to the others, and with it that those before are kept.
func (g *group) send(b *batch) error {
	if g == nil {
		return nil
	}
	for _, f := range g.others {
		var out []byte
		if f.told < g.sent {
			out = frame(out, frameKept, g.sent-f.told, nil)
			f.told = g.sent
		}
		if err := sendAll(f.fd, frame(out, frameBatch, b.count, b.data)); err != nil {
			return err
		}
	}
	g.sent++
	return nil
}

// complete reports whether all nodes are there.
func (g *group) complete() bool { return g == nil || g.follows() || len(g.others) == 2 }

// has reports whether another has all that was sent.
func (g *group) has() bool {
	if g == nil {
		return true
	}
	for _, f := range g.others {
		if f.acks == g.sent {
			return true
		}
	}
	return false
}

// tell tells those that have forwarded writes of a batch that it is kept.
func (g *group) tell(b *batch) error {
	if g == nil || g.follows() {
		return nil
	}
	return b.each(func(origin byte, _ int, _, _ []byte) error {
		for _, f := range g.others {
			if origin == 0 || f.number != origin || f.told == g.sent {
				continue
			}
			count := g.sent - f.told
			f.told = g.sent
			if err := sendAll(f.fd, frame(nil, frameKept, count, nil)); err != nil {
				return err
			}
		}
		return nil
	})
}

// forward sends writes to the leader.
func (g *group) forward(b *batch) error {
	return sendAll(g.leader.fd, frame(nil, frameForward, b.count, b.data))
}

// frames does what another node says.
func (w *writer) frames(c *conn) error {
	used := 0
	for len(c.in)-used >= frameHead {
		head := c.in[used:]
		count, end := int(binary.LittleEndian.Uint32(head[1:])), frameHead+int(binary.LittleEndian.Uint32(head[5:]))
		if len(head) < end {
			break
		}
		used += end
		if err := w.heed(c, head[0], count, head[frameHead:end]); err != nil {
			return err
		}
	}
	c.in = c.in[:copy(c.in, c.in[used:])]
	return nil
}

// heed does what a frame says.
func (w *writer) heed(c *conn, kind byte, count int, data []byte) error {
	g := w.group
	switch kind {
	case frameBatch:
		b := new(batch)
		b.addAll(data, count)
		g.held = append(g.held, b)
		if err := w.disk.write(data); err != nil {
			return err
		}
		return sendAll(c.fd, frame(nil, frameWritten, 1, nil))
	case frameKept:
		for range count {
			if err := w.finish(g.held[0]); err != nil {
				return err
			}
			g.held = g.held[1:]
		}
	case frameForward:
		w.filling.addAll(data, count)
		g.from(c).number = data[0]
	case frameWritten:
		g.from(c).acks++
	}
	return nil
}

// from returns the follower that has a connection.
func (g *group) from(c *conn) *follower {
	for _, f := range g.others {
		if f.conn == c {
			return f
		}
	}
	return nil
}
