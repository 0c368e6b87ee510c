// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A memNet is a network of hosts by name, in memory, so that it works in a bubble of
// testing/synctest. What goes from one host to another can be held back: bytes are not
// lost then, they wait, as in the sockets of a process that is stopped.
type memNet struct {
	mu      sync.Mutex
	changed sync.Cond
	ports   map[string]*memListener
	held    map[way]bool
	flows   map[*flow]struct{}
	next    int // port of the next one who dials
	epoch   int // counts resets
}

// A way is from one host to another.
type way struct{ from, to string }

// A flow is one direction of a connection.
type flow struct {
	way
	data    []byte
	read    int // bytes that were before data
	arrived int // bytes, with read; later than data, or who tries again at once does so for ever in no time
	shown   int // bytes, with read; less than arrived while the way is held
	marked  int // bytes, with read, that release shows
	closed  bool
	broken  bool
}

func newMemNet() *memNet {
	n := &memNet{ports: make(map[string]*memListener), held: make(map[way]bool), flows: make(map[*flow]struct{})}
	n.changed.L = &n.mu
	return n
}

// update changes something and wakes all who wait.
func (n *memNet) update(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	n.changed.Broadcast()
}

// hold holds back what goes from a host to others.
func (n *memNet) hold(from string, to ...string) {
	n.update(func() {
		for _, host := range to {
			n.held[way{from, host}] = true
		}
	})
}

// cut separates a host from others.
func (n *memNet) cut(host string, others ...string) {
	n.hold(host, others...)
	for _, o := range others {
		n.hold(o, host)
	}
}

// mark notes what has been held back so far, for release.
func (n *memNet) mark(from, to string) {
	n.update(func() {
		for f := range n.flows {
			if f.way == (way{from, to}) {
				f.marked = f.arrived
			}
		}
	})
}

// release lets arrive what was there at the mark, and nothing else.
func (n *memNet) release(from, to string) {
	n.update(func() {
		for f := range n.flows {
			if f.way == (way{from, to}) {
				f.shown = max(f.shown, f.marked)
			}
		}
	})
}

func (n *memNet) showLocked(w way) {
	for f := range n.flows {
		if f.way == w {
			f.shown = f.arrived
		}
	}
}

// waits returns how many bytes are held back.
func (n *memNet) waits(from, to string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for f := range n.flows {
		if f.way == (way{from, to}) {
			count += f.arrived - f.shown
		}
	}
	return count
}

// heal ends all holding back.
func (n *memNet) heal() {
	n.update(func() {
		for w := range n.held {
			n.showLocked(w)
		}
		clear(n.held)
	})
}

// reset breaks all connections, and dials that wait. What was held back on them is lost.
func (n *memNet) reset() {
	n.update(func() {
		n.epoch++
		for f := range n.flows {
			f.closed, f.broken = true, true
		}
	})
}

// host has a node listen and dial as a host of that name.
func (n *memNet) host(name string, cfg *Config) {
	cfg.PeerAddr = name + ":7001"
	cfg.Hooks.Listen = n.listen
	cfg.Hooks.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return n.dial(ctx, name, addr) }
}

func (n *memNet) listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ports[addr] != nil {
		return nil, fmt.Errorf("%s is in use", addr)
	}
	l := &memListener{net: n, addr: memAddr(addr)}
	n.ports[addr] = l
	return l, nil
}

func (n *memNet) dial(ctx context.Context, from, addr string) (net.Conn, error) {
	to, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { n.update(func() {}) })()
	n.mu.Lock()
	defer n.mu.Unlock()
	epoch := n.epoch
	for n.held[way{from, to}] || n.held[way{to, from}] {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n.changed.Wait()
		if n.epoch != epoch {
			return nil, syscall.ECONNRESET
		}
	}
	l := n.ports[addr]
	if l == nil {
		return nil, fmt.Errorf("connecting to %s: %w", addr, syscall.ECONNREFUSED)
	}
	n.next++
	local := memAddr(from + ":" + strconv.Itoa(40000+n.next))
	there, back := &flow{way: way{from, to}}, &flow{way: way{to, from}}
	n.flows[there], n.flows[back] = struct{}{}, struct{}{}
	l.waiting = append(l.waiting, &memConn{net: n, local: l.addr, remote: local, in: there, out: back})
	n.changed.Broadcast()
	return &memConn{net: n, local: local, remote: l.addr, in: back, out: there}, nil
}

type memAddr string

func (memAddr) Network() string  { return "tcp" }
func (a memAddr) String() string { return string(a) }

type memListener struct {
	net     *memNet
	addr    memAddr
	waiting []*memConn
	closed  bool
}

func (l *memListener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for len(l.waiting) == 0 {
		if l.closed {
			return nil, net.ErrClosed
		}
		l.net.changed.Wait()
	}
	c := l.waiting[0]
	l.waiting = l.waiting[1:]
	return c, nil
}

func (l *memListener) Close() error {
	l.net.update(func() {
		l.closed = true
		delete(l.net.ports, string(l.addr))
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

// A memConn is one end of a connection.
type memConn struct {
	net           *memNet
	local, remote memAddr
	in, out       *flow
	closed        bool
	readBy, write time.Time
}

const (
	memBuffer  = 1 << 20 // bytes under way in one direction
	memLatency = 100 * time.Microsecond
)

func (c *memConn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.readBy.IsZero() && !time.Now().Before(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case c.in.broken:
			return 0, syscall.ECONNRESET
		case c.in.shown > c.in.read:
			n := copy(b, c.in.data[:c.in.shown-c.in.read])
			c.in.data, c.in.read = c.in.data[n:], c.in.read+n
			c.net.changed.Broadcast()
			return n, nil
		case c.in.closed && len(c.in.data) == 0 && !c.net.held[c.in.way]:
			return 0, io.EOF
		}
		c.net.changed.Wait()
	}
}

func (c *memConn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		switch {
		case c.closed || c.out.closed:
			return 0, net.ErrClosed
		case !c.write.IsZero() && !time.Now().Before(c.write):
			return 0, os.ErrDeadlineExceeded
		case len(c.out.data) < memBuffer:
			c.out.data = append(c.out.data, b...)
			total := c.out.read + len(c.out.data)
			time.AfterFunc(memLatency, func() { c.net.update(func() { c.out.arriveLocked(total, c.net) }) })
			return len(b), nil
		}
		c.net.changed.Wait()
	}
}

func (f *flow) arriveLocked(total int, n *memNet) {
	f.arrived = max(f.arrived, total)
	if !n.held[f.way] {
		f.shown = f.arrived
	}
}

func (c *memConn) Close() error {
	c.net.update(func() {
		c.closed, c.in.closed, c.out.closed = true, true, true
		delete(c.net.flows, c.in)
	})
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	return c.set(t, func() { c.readBy, c.write = t, t })
}
func (c *memConn) SetReadDeadline(t time.Time) error  { return c.set(t, func() { c.readBy = t }) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return c.set(t, func() { c.write = t }) }

func (c *memConn) set(t time.Time, f func()) error {
	c.net.update(f)
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() { c.net.update(func() {}) })
	}
	return nil
}

// A memCluster is three nodes that vote, in a bubble, where waiting takes no time.
type memCluster struct {
	t     *testing.T
	net   *memNet
	nodes []*Node
}

func newMemCluster(t *testing.T, change ...func(*Config)) *memCluster {
	c := &memCluster{t: t, net: newMemNet()}
	c.nodes = openThree(t, append([]func(*Config){func(cfg *Config) {
		cfg.ElectionTimeout, cfg.Timeout = time.Second, 0
		cfg.DataDir = memDir(t)
		c.net.host(cfg.Name, cfg)
	}}, change...)...)
	return c
}

// memDir returns a directory in memory if there is one: there an fsync costs nothing.
func memDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "raftkv-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// leader returns the one that leads, and the others.
func (c *memCluster) leader() (*Node, []*Node) {
	c.t.Helper()
	leader := leaderOf(c.t, c.nodes)
	return leader, c.without(leader)
}

func (c *memCluster) without(n *Node) []*Node {
	var rest []*Node
	for _, o := range c.nodes {
		if o != n {
			rest = append(rest, o)
		}
	}
	return rest
}

// cutOff separates a node from all others.
func (c *memCluster) cutOff(n *Node) {
	for _, o := range c.without(n) {
		c.net.cut(n.cfg.Name, o.cfg.Name)
	}
}

// newLeader waits until one of the nodes leads.
func newLeader(t *testing.T, nodes []*Node) *Node {
	t.Helper()
	leader := leaderOf(t, nodes)
	for _, n := range nodes {
		eventually(t, "all to follow", func() bool { r := n.route.Load(); return r != nil && r.leader == leader.dir.id })
	}
	return leader
}

// shows waits until a node's own copy has a value.
func shows(t *testing.T, n *Node, key, value string) {
	t.Helper()
	eventually(t, n.cfg.Name+" to show "+key, func() bool {
		node, err := n.View().Get(key)
		return err == nil && node.Value == value
	})
}

// waitFailed waits until a node has failed, and returns why.
func waitFailed(t *testing.T, n *Node, limit time.Duration) error {
	t.Helper()
	select {
	case <-n.Failed():
	case <-time.After(limit):
		t.Fatalf("%s goes on", n.cfg.Name)
	}
	return n.Err()
}

// installsAt returns how many snapshots a node was sent in the last minute.
func installsAt(n *Node) int {
	n.transport.installs.mu.Lock()
	defer n.transport.installs.mu.Unlock()
	return len(n.transport.installs.times)
}

// again starts a node that was closed.
func (c *memCluster) again(n *Node, change ...func(*Config)) *Node {
	c.t.Helper()
	cfg := n.cfg
	for _, f := range change {
		f(&cfg)
	}
	fresh := open(c.t, cfg)
	for i := range c.nodes {
		if c.nodes[i] == n {
			c.nodes[i] = fresh
		}
	}
	return fresh
}
