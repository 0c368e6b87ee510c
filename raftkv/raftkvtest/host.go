// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A Host is one run of a host of a network, from its start to its end. Its Listen and
// Dial are what raftkv.Hooks asks for.
type Host struct {
	net  *Network
	name string

	// Guarded by net.mu.
	dead   bool
	frozen bool
	thawed chan struct{} // closed when it is no longer frozen
	port   int           // last one given to a dial
}

// backlog is how many connections may wait to be accepted.
const backlog = 128

// Host starts the host of that name, which must not be running.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil && !h.dead {
		panic("host " + name + " runs already")
	}
	h := &Host{net: n, name: name, port: 40000}
	n.hosts[name] = h
	delete(n.off, name)
	// It knows nothing of the connections it had when its power went off.
	for c := range n.resets {
		if c.in.route.from == name {
			delete(n.resets, c)
			n.resetLocked(c.in)
		}
	}
	n.rerouteAllLocked(func(r route) bool { return r.from == name || r.to == name })
	return h
}

// Kill ends the program on a host: its connections are reset, and dials are refused.
func (n *Network) Kill(name string) { n.end(name, false) }

// PowerOff ends the whole host: nobody is told, and nothing answers.
func (n *Network) PowerOff(name string) { n.end(name, true) }

func (n *Network) end(name string, off bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil || h.dead {
		return
	}
	h.dead = true
	h.thawLocked()
	for addr, l := range n.ports {
		if l.host == h {
			delete(n.ports, addr)
			l.wakeLocked()
		}
	}
	for c := range n.conns {
		if c.host != h {
			continue
		}
		n.count.Resets++
		c.breakLocked(syscall.ECONNABORTED)
		if off {
			n.resets[c.peer] = struct{}{}
		} else {
			n.resetLocked(c.out)
		}
	}
	if off {
		n.off[name] = true
	}
	n.rerouteAllLocked(func(r route) bool { return r.from == name || r.to == name })
}

// Freeze stops the program on a host, as SIGSTOP does: its system goes on, so that
// others can connect and send until its buffers are full, but nobody reads or answers.
func (n *Network) Freeze(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil && !h.dead && !h.frozen {
		h.frozen, h.thawed = true, make(chan struct{})
	}
}

// Thaw lets the program go on.
func (n *Network) Thaw(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		h.thawLocked()
	}
}

func (h *Host) thawLocked() {
	if h.frozen {
		h.frozen = false
		close(h.thawed)
	}
}

// awakeLocked waits until the host is not frozen. It releases the lock meanwhile.
func (h *Host) awakeLocked() {
	for h.frozen {
		thawed := h.thawed
		h.net.mu.Unlock()
		<-thawed
		h.net.mu.Lock()
	}
}

// Listen listens at an address of the host, as in "a:7001"; port 0 takes any.
func (h *Host) Listen(addr string) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	l := &listener{host: h, addr: address(addr), wake: make(chan struct{})}
	name, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return nil, err
	case h.dead:
		return nil, l.error("listen", syscall.ENETDOWN)
	case name != h.name:
		return nil, l.error("listen", syscall.EADDRNOTAVAIL)
	case port == "0":
		h.port++
		l.addr = address(net.JoinHostPort(name, strconv.Itoa(h.port)))
	case h.net.ports[addr] != nil:
		return nil, l.error("listen", syscall.EADDRINUSE)
	}
	h.net.ports[string(l.addr)] = l
	h.net.changedLocked()
	return l, nil
}

// Dial connects to an address of a host. It waits while one of the ways is cut.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialPatience, syscall.ETIMEDOUT)
	defer cancel()
	c, err := h.dial(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: address(addr), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, addr string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, there, back := h.net, route{h.name, name}, route{name, h.name}
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		h.awakeLocked()
		if h.dead {
			return nil, syscall.ENETDOWN
		}
		if !n.tripLocked(ctx, there, back) && ctx.Err() == nil {
			continue
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case h.dead || h.frozen:
			continue
		}
		l := n.ports[addr]
		if l == nil {
			n.count.Refused++
			return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
		}
		if len(l.waiting) < backlog {
			return n.connectLocked(h, l), nil
		}
	}
}

// tripLocked waits for as long as a packet takes there and another one back, in which time
// everything may change. If they do not get through it waits for a change, and reports false.
func (n *Network) tripLocked(ctx context.Context, there, back route) bool {
	var wait <-chan struct{}
	var trip <-chan time.Time
	if n.openLocked(there) && n.openLocked(back) {
		trip = time.After(n.delayLocked(there) + n.delayLocked(back))
	} else {
		wait = n.changed
	}
	n.mu.Unlock()
	select {
	case <-wait:
	case <-trip:
	case <-ctx.Done():
	}
	n.mu.Lock()
	return trip != nil && n.openLocked(there) && n.openLocked(back)
}

// connectLocked makes a connection.
func (n *Network) connectLocked(h *Host, l *listener) net.Conn {
	h.port++
	local := address(net.JoinHostPort(h.name, strconv.Itoa(h.port)))
	here := newConn(h, local, l.addr)
	there := newConn(l.host, l.addr, local)
	here.peer, there.peer = there, here
	here.out, there.out = newStream(here), newStream(there)
	here.in, there.in = there.out, here.out
	n.conns[here], n.conns[there] = struct{}{}, struct{}{}
	n.count.Dials++
	l.waiting = append(l.waiting, there)
	l.wakeLocked()
	return here
}

// hostOf returns the host of an address.
func hostOf(a address) string {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		panic(err) // it was checked when it was made
	}
	return host
}

// An address is "host:port".
type address string

// Network returns the name of the network that the address is for.
func (address) Network() string { return "tcp" }

// String returns the address.
func (a address) String() string { return string(a) }
