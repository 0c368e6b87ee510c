// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A Network is TCP in memory, with faults. It has hosts by name, and a way from each to
// each other, of which one direction may be broken and the other not. It works inside a
// bubble of testing/synctest: what blocks in it blocks on channels and timers, and it
// has no goroutine of its own.
//
// It behaves as TCP does, not as messages do. Bytes that meet a broken way are not lost:
// they are sent again when it is mended, unless the sender's patience has ended before,
// which breaks the connection at its end; the other end learns of that when the way is
// open. Bytes come in order, once, or not at all.
type Network struct {
	mu      sync.Mutex
	rand    *rand.Rand
	healthy Link
	hosts   map[string]*Host
	links   map[route]Link       // :: route → what it is like, if it is not healthy
	conns   map[*conn]struct{}   // ends that are not closed
	ports   map[string]*listener // :: address → who listens there
	off     map[string]bool      // :: host → its power is off
	resets  map[*conn]struct{}   // ends whose other end went with the power of its host
	changed chan struct{}        // closed and replaced when a dial may go on
	count   NetworkCount
}

// A route is the way from one host to another.
type route struct{ from, to string }

// A Link is one direction of the way between two hosts.
type Link struct {
	Latency time.Duration // of everything
	Jitter  time.Duration // up to so much more
	Loss    float64       // share of the writes that must be sent again, some more than once
	Reset   float64       // share of the writes that break the connection
	Cut     bool          // nothing arrives
}

// A NetworkCount says what a network has done to those who use it.
type NetworkCount struct {
	Dials   int // connections made
	Refused int // dials that were refused
	Lost    int // writes that had to be sent again
	Resets  int // connections broken by Link.Reset or by the end of a host
	Expired int // connections whose sender lost patience
}

const (
	// window is how many bytes may be on their way or unread in one direction.
	window = 256 << 10

	// patience is how long bytes are sent again before the connection breaks, give or
	// take half.
	patience = 15 * time.Second

	// dialPatience is how long a dial is tried.
	dialPatience = 30 * time.Second

	// resend is the least time until lost bytes are sent again.
	resend = 200 * time.Millisecond
)

// NewNetwork returns a network whose ways are all like healthy. What is left to chance
// comes from r, which nobody else may use.
func NewNetwork(r *rand.Rand, healthy Link) *Network {
	return &Network{
		rand:    r,
		healthy: healthy,
		hosts:   make(map[string]*Host),
		links:   make(map[route]Link),
		conns:   make(map[*conn]struct{}),
		ports:   make(map[string]*listener),
		off:     make(map[string]bool),
		resets:  make(map[*conn]struct{}),
		changed: make(chan struct{}),
	}
}

// Count returns what has happened so far.
func (n *Network) Count() NetworkCount {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count
}

// Open returns how many ends of connections are open.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// SetLink changes the way between two hosts, in one direction.
func (n *Network) SetLink(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.setLocked(route{from, to}, l)
}

// Cut breaks the way between two hosts, in one direction.
func (n *Network) Cut(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.linkLocked(route{from, to})
	l.Cut = true
	n.setLocked(route{from, to}, l)
}

// Partition cuts the hosts into groups that do not reach each other. Ways within a
// group, and those of hosts that are in none, stay as they are.
func (n *Network) Partition(groups ...[]string) {
	for i, a := range groups {
		for j, b := range groups {
			if i == j {
				continue
			}
			for _, from := range a {
				for _, to := range b {
					n.Cut(from, to)
				}
			}
		}
	}
}

// Heal makes all ways healthy. It does nothing for hosts that are down or frozen.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	// In an order, as each takes from rand.
	routes := slices.SortedFunc(maps.Keys(n.links), func(a, b route) int {
		return slices.Compare([]string{a.from, a.to}, []string{b.from, b.to})
	})
	for _, r := range routes {
		n.setLocked(r, n.healthy)
	}
	clear(n.links)
}

func (n *Network) linkLocked(r route) Link {
	if l, ok := n.links[r]; ok {
		return l
	}
	return n.healthy
}

// setLocked changes a way, and what is on it.
func (n *Network) setLocked(r route, l Link) {
	n.links[r] = l
	n.rerouteAllLocked(func(other route) bool { return other == r })
}

// rerouteAllLocked tells all who use a way that it has changed. A direction whose
// sender has closed its end is found by the other end.
func (n *Network) rerouteAllLocked(changed func(route) bool) {
	for c := range n.conns {
		if changed(c.out.route) {
			n.rerouteLocked(c.out)
		}
		if c.peer.closed && changed(c.in.route) {
			n.rerouteLocked(c.in)
		}
	}
	n.changedLocked()
}

func (n *Network) changedLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// openLocked reports whether a packet gets through.
func (n *Network) openLocked(r route) bool {
	return !n.linkLocked(r).Cut && !n.off[r.from] && !n.off[r.to]
}

// delayLocked returns how long a packet takes, and counts the times it must be sent again.
func (n *Network) delayLocked(r route) time.Duration {
	l := n.linkLocked(r)
	d := l.Latency
	if l.Jitter > 0 {
		d += time.Duration(n.rand.Int64N(int64(l.Jitter)))
	}
	for again := resend; l.Loss > 0 && n.rand.Float64() < l.Loss && again < patience; again *= 2 {
		n.count.Lost++
		d += again
	}
	return d
}
