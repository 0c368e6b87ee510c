// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/integration/freeport"
)

// nemProxies stands in for namespaces where they are not allowed: in front of each node's
// peer port a TCP proxy, whose address is the one that the node tells its peers. Who
// dials is known by the process that owns the socket. What is lost to TCP comes later:
// a proxy holds back what a cut link carries, and delays what TCP would send again.
type nemProxies struct {
	apis, binds []string
	listeners   []net.Listener
	wg          sync.WaitGroup

	mu      sync.Mutex
	pids    []int
	losses  nemLosses
	changed chan struct{} // closed when losses change
	conns   map[net.Conn]bool
	closed  bool
}

// retransmission is what a lost packet costs, about Linux's shortest timeout.
const retransmission = 200 * time.Millisecond

func newNemProxies(t testing.TB, nodes int) *nemProxies {
	t.Helper()
	p := &nemProxies{pids: make([]int, nodes), changed: make(chan struct{}), conns: make(map[net.Conn]bool)}
	for i := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.listeners = append(p.listeners, l)
		p.apis, p.binds = append(p.apis, freeport.Addr(t)), append(p.binds, freeport.Addr(t))
		p.wg.Go(func() { p.serve(i, l) })
	}
	return p
}

func (p *nemProxies) String() string { return "TCP proxies" }

func (p *nemProxies) addrs(i int) (api, peer, bind string) {
	return p.apis[i], p.listeners[i].Addr().String(), p.binds[i]
}

func (p *nemProxies) in(i int, f func()) error {
	f()
	return nil
}

func (p *nemProxies) started(i, pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pids[i] = pid
}

func (p *nemProxies) lose(m nemLosses) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.losses = m
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

func (p *nemProxies) close() {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.lose(nil)
	for _, l := range p.listeners {
		l.Close()
	}
	p.wg.Wait()
}

// keep remembers a connection, to close it at the end.
func (p *nemProxies) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	if p.closed {
		c.Close()
	}
}

func (p *nemProxies) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	c.Close()
}

func (p *nemProxies) serve(to int, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		p.keep(c)
		p.wg.Go(func() {
			defer p.drop(c)
			from, ok := p.owner(c.RemoteAddr().(*net.TCPAddr).Port)
			if ok {
				p.connect(nemLink{from, to}, c)
			}
		})
	}
}

// connect carries both directions of a connection until one ends.
func (p *nemProxies) connect(link nemLink, dialer net.Conn) {
	back := nemLink{link.to, link.from}
	p.pass(link)
	p.pass(back) // the handshake needs both
	peer, err := net.Dial("tcp", p.binds[link.to])
	if err != nil {
		return
	}
	p.keep(peer)
	defer p.drop(peer)
	var wg sync.WaitGroup
	for _, d := range []struct {
		link     nemLink
		src, dst net.Conn
	}{{link, dialer, peer}, {back, peer, dialer}} {
		wg.Go(func() {
			p.carry(d.link, d.src, d.dst)
			dialer.Close()
			peer.Close()
		})
	}
	wg.Wait()
}

func (p *nemProxies) carry(link nemLink, src io.Reader, dst io.Writer) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		p.pass(link)
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass waits until what was sent gets through.
func (p *nemProxies) pass(link nemLink) {
	for wait := retransmission; ; wait *= 2 {
		p.mu.Lock()
		share, changed := p.losses[link], p.changed
		p.mu.Unlock()
		switch {
		case share >= 1:
			<-changed
			wait = retransmission / 2
		case rand.Float64() < share:
			time.Sleep(wait) // what the delay of a retransmission is
		default:
			return
		}
	}
}

// owner returns the node whose process owns the socket at that port of 127.0.0.1.
func (p *nemProxies) owner(port int) (int, bool) {
	inode, ok := socketInode(port)
	if !ok {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, pid := range p.pids {
		if pid != 0 && ownsSocket(pid, inode) {
			return i, true
		}
	}
	return 0, false
}

func ownsSocket(pid int, inode string) bool {
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

// socketInode looks up the connection that begins at that port of 127.0.0.1. The table is that
// of the calling thread: /proc/net is that of the first one, which a test with namespaces
// may have left in one of them.
func socketInode(port int) (string, bool) {
	table, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		return "", false
	}
	local := fmt.Sprintf("0100007F:%04X", port)
	for line := range strings.SplitSeq(string(table), "\n") {
		// One without an inode is what is left of a connection that used the port before.
		if f := strings.Fields(line); len(f) > 9 && f[1] == local && f[9] != "0" {
			return f[9], true
		}
	}
	return "", false
}
