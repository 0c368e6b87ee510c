// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/rawio"
)

// The first byte of a connection to the peer port says what it speaks. An upper-case
// letter is the method of an HTTP request, and is part of it; the others are ours and
// are taken off. With TLS it is the first byte inside TLS.
const (
	protoRaft = 0x01 // a hello, then hashicorp/raft's network transport
	protoPeer = 0x02 // a hello, then frames; see peerwire.go
)

const (
	sniffTimeout = 5 * time.Second // for the handshake and the first byte, and again for somebody to take the connection
	maxSniffing  = 256             // connections that have not said what they are
	maxRaftConns = 256
	maxPeerConns = 256
	maxStrangers = 32 // of nodes that belong to no cluster yet
	maxHTTPConns = 1024
)

// A mux accepts the connections of the peer port and hands them to raft, to the requests
// of other nodes, or to HTTP. What is not HTTP has to say hello first. A connection that
// says nothing is cut off after a while and holds up nobody.
type mux struct {
	ln    net.Listener
	tls   *TLS // nil: no TLS
	log   *slog.Logger
	greet func(proto byte, h hello) helloReply
	raft  *muxListener
	peer  *muxListener
	http  *muxListener
	wg    sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	conns    map[*muxConn]struct{} // all that are open
	sniffing []*muxConn            // of those, that have not been handed over; the oldest first
}

func newMux(ln net.Listener, t *TLS, log *slog.Logger, greet func(byte, hello) helloReply) *mux {
	m := &mux{
		ln:    ln,
		tls:   t,
		log:   log,
		greet: greet,
		raft:  newMuxListener(ln.Addr(), maxRaftConns),
		peer:  newMuxListener(ln.Addr(), maxPeerConns),
		http:  newMuxListener(ln.Addr(), maxHTTPConns),
		conns: make(map[*muxConn]struct{}),
	}
	m.wg.Go(m.accept)
	return m
}

func (m *mux) accept() {
	const maxPause = time.Second
	var pause time.Duration
	for {
		c, err := m.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely; it passes.
			pause = min(max(2*pause, 5*time.Millisecond), maxPause)
			m.log.Warn("accepting a connection on the peer port", "err", err, "pause", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		m.wg.Go(func() { m.sniff(c) })
	}
}

// sniff finds out what a new connection speaks and hands it over, or closes it.
func (m *mux) sniff(c net.Conn) {
	c = rawio.Conn(c)
	tc := &muxConn{Conn: c, raw: c, mux: m}
	if !m.add(tc) {
		c.Close()
		return
	}
	defer m.sniffed(tc)
	first, err := m.begin(tc)
	if err != nil {
		tc.Close()
		return
	}
	var to *muxListener
	switch {
	case first == protoRaft:
		to = m.raft
	case first == protoPeer:
		to = m.peer
	case isHTTP(first):
		to = m.http
		tc.first, tc.hasFirst = first, true
	}
	if to == m.raft || to == m.peer {
		var welcome bool
		tc.hello, welcome, err = answerHello(tc.Conn, func(h hello) helloReply { return m.greet(first, h) })
		if err != nil || !welcome {
			m.log.Debug("closed a connection to the peer port: no hello that is welcome", "from", c.RemoteAddr(), "node", tc.hello.ID, "err", err)
			tc.Close()
			return
		}
		tc.stranger = tc.hello.Cluster == ""
	}
	if to == m.raft {
		m.mu.Lock()
		tc.sender = tc.hello.ID
		m.mu.Unlock()
	}
	if c.SetDeadline(time.Time{}) != nil {
		tc.Close()
		return
	}
	if to == nil || !to.offer(tc) {
		m.log.Debug("closed a connection to the peer port", "from", c.RemoteAddr(), "first", first)
		tc.Close()
	}
}

// begin makes the TLS handshake, if there is TLS, and returns the first byte after it. The
// deadline that it sets is left.
func (m *mux) begin(c *muxConn) (byte, error) {
	c.raw.SetDeadline(time.Now().Add(sniffTimeout))
	if m.tls != nil {
		secure := tls.Server(&checkedConn{Conn: c.raw, log: m.log, secure: true}, m.tls.server())
		if err := secure.Handshake(); err != nil {
			if !errors.Is(err, errWrongKind) {
				m.log.Debug("closed a connection to the peer port: no TLS handshake", "from", c.raw.RemoteAddr(), "err", err)
			}
			return 0, err
		}
		c.Conn = secure
	}
	var first [1]byte
	if _, err := c.Conn.Read(first[:]); err != nil {
		return 0, err
	}
	if m.tls == nil && first[0] == recordHandshake {
		refuseTLS(c.raw, m.log)
		return 0, errWrongKind
	}
	return first[0], nil
}

// add counts a new connection as one that has not said what it is. If there are too many
// of those the oldest is cut off: whoever opens connections and says nothing takes the
// places of his own, and those who speak at once hardly notice.
func (m *mux) add(c *muxConn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	if len(m.sniffing) == maxSniffing {
		m.sniffing[0].raw.Close()
		m.sniffing = slices.Delete(m.sniffing, 0, 1)
	}
	m.sniffing = append(m.sniffing, c)
	m.conns[c] = struct{}{}
	return true
}

// sniffed takes a connection off the list of those that have not said what they are.
func (m *mux) sniffed(c *muxConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.sniffing, c); i >= 0 {
		m.sniffing = slices.Delete(m.sniffing, i, i+1)
	}
}

// hangUp ends the connections that raft has with the node of that id.
func (m *mux) hangUp(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.conns {
		if id != "" && c.sender == id {
			c.raw.Close()
		}
	}
}

// close stops accepting, closes every connection and waits for the mux's goroutines.
func (m *mux) close() error {
	m.raft.Close()
	m.peer.Close()
	m.http.Close()
	err := m.ln.Close()
	m.mu.Lock()
	m.closed = true
	conns := m.conns
	m.conns = nil
	m.mu.Unlock()
	for c := range conns {
		c.raw.Close() // what TLS would still say could block
	}
	m.wg.Wait()
	return err
}

// A muxListener is a net.Listener for the connections of one kind.
type muxListener struct {
	addr  net.Addr
	conns chan net.Conn
	open  chan struct{} // one for each connection that is open, but for
	other chan struct{} // those of strangers, who must not take the places of members
	once  sync.Once
	done  chan struct{}
}

func newMuxListener(addr net.Addr, limit int) *muxListener {
	return &muxListener{
		addr:  addr,
		conns: make(chan net.Conn),
		open:  make(chan struct{}, limit),
		other: make(chan struct{}, min(limit, maxStrangers)),
		done:  make(chan struct{}),
	}
}

// offer waits until somebody accepts the connection. It reports whether that happened.
func (l *muxListener) offer(c *muxConn) bool {
	place := l.open
	if c.stranger {
		place = l.other
	}
	select {
	case place <- struct{}{}:
	default:
		return false
	}
	c.place = place
	t := time.NewTimer(sniffTimeout)
	defer t.Stop()
	select {
	case l.conns <- c:
		return true
	case <-l.done:
	case <-t.C:
	}
	return false
}

// Accept returns the next connection.
func (l *muxListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. Connections that were accepted stay open.
func (l *muxListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr returns the address of the peer port.
func (l *muxListener) Addr() net.Addr { return l.addr }

// A muxConn is a connection whose first byte may have been read already.
type muxConn struct {
	net.Conn          // the TLS connection, if there is TLS
	raw      net.Conn // the one below it
	mux      *mux
	place    chan struct{} // that it has taken, or nil
	hello    hello         // of another node
	stranger bool          // that belongs to no cluster
	sender   string        // of what goes to raft: the node's id; guarded by mux.mu
	once     sync.Once

	// Owned by the reader.
	first    byte
	hasFirst bool
}

func (c *muxConn) Read(b []byte) (int, error) {
	if c.hasFirst && len(b) > 0 {
		b[0], c.hasFirst = c.first, false
		return 1, nil
	}
	return c.Conn.Read(b)
}

func (c *muxConn) Close() error {
	c.once.Do(func() {
		c.mux.mu.Lock()
		delete(c.mux.conns, c)
		c.mux.mu.Unlock()
		if c.place != nil {
			<-c.place
		}
	})
	return c.Conn.Close()
}

// A raftStream is the peer port as raft's network transport sees it.
type raftStream struct {
	*muxListener
	dial func(ctx context.Context, addr, id string, proto byte) (net.Conn, helloReply, error)
}

// Dial connects to the peer port of another node: addr is the id of the node that is
// meant, "@", and its address, or the address alone.
func (s raftStream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	id, at, ok := strings.Cut(string(addr), "@")
	if !ok {
		id, at = "", string(addr)
	}
	c, _, err := s.dial(ctx, at, id, protoRaft)
	return c, err
}

// dialPeer connects to the peer port at addr, with TLS if t is not nil: it shows this
// node's certificate and checks the other one's.
func dialPeer(ctx context.Context, t *TLS, dial func(context.Context, string) (net.Conn, error), addr string) (net.Conn, error) {
	c, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if c = rawio.Conn(c); t == nil {
		return c, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	config, err := t.client(host)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", addr, err), c.Close())
	}
	return secure, nil
}
