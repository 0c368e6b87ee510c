// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxPeerRequests is how many requests of one connection are served at the same time.
const maxPeerRequests = 32

// strangerTime is how long a node that belongs to no cluster may take to ask to be let in.
const strangerTime = 2 * joinTimeout

// serveNodes serves the connections of other nodes until the listener is closed.
func (n *Node) serveNodes() {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := n.mux.peer.Accept()
		if err != nil {
			return
		}
		conns.Go(func() { n.serveNode(c) })
	}
}

// A peerSession is a connection that another node has made.
type peerSession struct {
	node *Node
	conn net.Conn
	from hello

	protocol int // that both speak

	// A stranger, who belongs to no cluster, may ask to be let in, which takes little.
	stranger bool
	buffer   int // bytes, in each direction
	limit    int // of a request's payload
	requests int // that are served at the same time

	writing turn
	w       *bufio.Writer // owned by who has the turn
}

// serveNode serves the requests of one connection, each in a goroutine of its own, until
// it ends or this node is closed: then it takes no more, says so, and answers those it has.
func (n *Node) serveNode(c net.Conn) {
	s := &peerSession{node: n, conn: c, writing: newTurn(), buffer: 64 << 10, limit: n.cfg.frameLimit(), requests: maxPeerRequests}
	if mc, ok := c.(*muxConn); ok {
		s.from, s.stranger = mc.hello, mc.stranger
		s.protocol = n.spoken(mc.hello.Protocol)
	}
	if s.stranger {
		s.buffer, s.limit, s.requests = maxHello, maxHello, 1
	}
	s.w = bufio.NewWriterSize(c, s.buffer)
	var requests sync.WaitGroup
	defer c.Close()
	defer requests.Wait()
	defer context.AfterFunc(n.ctx, func() { c.Close() })()
	last := s.take(n.ctx, &requests)
	if n.leaving() {
		_ = s.answer(frame{number: last, kind: kindGoodbye}) // else the other side finds out later
	}
}

// take serves requests until there are no more, and returns the number of the last one.
func (s *peerSession) take(ctx context.Context, requests *sync.WaitGroup) (last uint64) {
	n := s.node
	if s.stranger { // all that it asks has to come by then
		s.conn.SetReadDeadline(time.Now().Add(strangerTime))
	}
	defer n.whenLeaving(func() { s.conn.SetReadDeadline(time.Unix(1, 0)) })()
	slots := make(chan struct{}, s.requests)
	r := bufio.NewReaderSize(s.conn, s.buffer)
	for {
		f, err := readFrame(r, s.limit)
		if err != nil {
			return last
		}
		if f.kind == kindCommit && s.takesNotes() {
			n.transport.noted(s.from.ID, f.payload)
			continue
		}
		last = max(last, f.number) // those who send may overtake each other
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return last
		}
		requests.Go(func() {
			s.serve(ctx, f)
			<-slots
		})
	}
}

// takesNotes reports whether commit notes go over this connection, both ways.
func (s *peerSession) takesNotes() bool { return s.protocol >= noteProtocol && !s.stranger }

// serve answers one request. If the answer cannot be sent the connection ends.
func (s *peerSession) serve(ctx context.Context, f frame) {
	payload, asker, err := s.handle(ctx, f)
	if err != nil {
		s.node.log.Debug("a request of another node", "from", s.from.ID, "kind", f.kind, "err", err)
		err = s.answer(frame{f.number, kindError, appendError(nil, err)})
	} else {
		for len(payload) > partSize && err == nil {
			err = s.answer(frame{f.number, kindPart, payload[:partSize]})
			payload = payload[partSize:]
		}
		if err == nil {
			err = s.answerAndTell(frame{f.number, kindDone, payload}, asker)
		} else if asker != nil {
			s.node.transport.answered(asker, nil, false)
		}
	}
	if err != nil {
		s.conn.Close()
	}
}

// handle returns the answer to a request. If it is to tell the other node what is committed
// asker is what is known about that; see Node.serveForward.
func (s *peerSession) handle(ctx context.Context, f frame) (answer []byte, asker *progress, err error) {
	// A node without a cluster may only ask to be let in.
	if s.stranger && f.kind != kindCall {
		return nil, nil, notProposed(errNoMember)
	}
	if f.kind == kindForward {
		if s.takesNotes() {
			asker = s.node.transport.answering(s.from.ID)
		}
		return s.node.serveForward(ctx, f.payload, asker)
	}
	answer, err = s.handleOther(ctx, f)
	return answer, nil, err
}

func (s *peerSession) handleOther(ctx context.Context, f frame) ([]byte, error) {
	switch f.kind {
	case kindReadIndex:
		return s.node.serveReadIndex(ctx)
	case kindTerm:
		return binary.AppendUvarint(nil, s.node.raft.CurrentTerm()), nil
	case kindPulse:
		return s.node.servePulse(), nil
	case kindAbsent:
		return s.node.serveAbsent(string(f.payload)), nil
	case kindCall:
		return s.node.serveCall(ctx, s.from, f.payload)
	}
	return nil, notProposed(fmt.Errorf("unknown request %d; this node may be of an older version", f.kind))
}

// answerAndTell answers, and before that, but with one write, tells asker what is committed,
// unless that is nil.
func (s *peerSession) answerAndTell(f frame, asker *progress) error {
	if asker == nil {
		return s.answer(f)
	}
	t := s.node.transport
	args, news := t.noteFor(asker)
	if !news {
		err := s.answer(f)
		t.answered(asker, &args, false)
		return err
	}
	err := s.answer(frame{kind: kindCommit, payload: noteOf(&args).payload()}, f)
	t.answered(asker, &args, err == nil)
	return err
}

// answer sends frames.
func (s *peerSession) answer(frames ...frame) error {
	// Each who has it gives it within sniffTimeout, or breaks the connection.
	_ = s.writing.take(context.Background())
	defer s.writing.give()
	s.conn.SetWriteDeadline(time.Now().Add(sniffTimeout))
	for _, f := range frames {
		if err := writeFrame(s.w, f); err != nil {
			return err
		}
	}
	return s.w.Flush()
}

// frameLimit returns the largest payload that nodes take from each other.
func (c *Config) frameLimit() int { return 2*c.MaxValue + maxKey + maxBatchBytes + 1<<20 }

// dialNode connects to a node's peer port, for the protocol proto, and says hello.
func (n *Node) dialNode(ctx context.Context, addr, id string, proto byte) (net.Conn, helloReply, error) {
	var r helloReply
	c, err := dialPeer(ctx, n.cfg.PeerTLS, n.cfg.Hooks.Dial, addr)
	if err != nil {
		return nil, r, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline)
	}
	r, err = sayHello(c, proto, n.hello(id))
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		if errors.Is(err, ErrRemoved) {
			n.removed(r)
		}
		return nil, r, errors.Join(err, c.Close())
	}
	n.peers.named(r.ID, r.Name)
	return c, r, nil
}
