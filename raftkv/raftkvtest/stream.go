// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"syscall"
	"time"
)

// A stream is one direction of a connection. Its state is guarded by the network's mu.
type stream struct {
	route  route
	sender *conn

	packets   []packet // in order: arrived and not read, on their way, lost
	size      int      // bytes of them
	reset     bool     // a reset is on its way, or has arrived; it overtakes packets
	resetAt   time.Time
	impatient *time.Timer // breaks the connection if bytes stay lost; nil if none are
}

// A packet is bytes that travel together.
type packet struct {
	data []byte
	fin  bool      // the end
	at   time.Time // when it arrives; zero if it is lost, and must be sent again
}

// newStream returns the stream from a connection's end to the other.
func newStream(sender *conn) *stream {
	return &stream{route: route{sender.host.name, hostOf(sender.remote)}, sender: sender}
}

// take reads what has arrived into b. It reports whether that is all there will be.
func (s *stream) take(b []byte) (n int, end bool) {
	now := time.Now()
	for n < len(b) && len(s.packets) > 0 && arrived(s.packets[0].at, now) {
		p := &s.packets[0]
		if p.fin {
			return n, true
		}
		k := copy(b[n:], p.data)
		n += k
		s.size -= k
		if p.data = p.data[k:]; len(p.data) == 0 {
			s.packets = s.packets[1:]
		}
	}
	return n, false
}

// next returns when the next packet or a reset arrives, zero if that is not known.
func (s *stream) next() time.Time {
	if len(s.packets) == 0 {
		return s.resetAt
	}
	return first(s.packets[0].at, s.resetAt)
}

// sendLocked puts a packet on its way.
func (n *Network) sendLocked(s *stream, p packet) {
	open := n.openLocked(s.route)
	if open {
		p.at = time.Now().Add(n.delayLocked(s.route))
		if len(s.packets) > 0 {
			p.at = later(p.at, s.packets[len(s.packets)-1].at)
		}
	}
	s.packets = append(s.packets, p)
	s.size += len(p.data)
	switch peer := s.sender.peer; {
	case !open:
		n.worryLocked(s)
	case peer.gone():
		n.resetLocked(peer.out)
	case n.rand.Float64() < n.linkLocked(s.route).Reset:
		n.count.Resets++
		s.sender.breakLocked(syscall.ECONNRESET)
		n.resetLocked(s)
	default:
		peer.wakeLocked()
	}
}

// resetLocked sends a reset, once.
func (n *Network) resetLocked(s *stream) {
	if s.reset {
		return
	}
	s.reset = true
	if n.openLocked(s.route) {
		s.resetAt = time.Now().Add(n.delayLocked(s.route))
	}
	s.sender.peer.wakeLocked()
}

// rerouteLocked adapts what is on its way when the way has changed.
func (n *Network) rerouteLocked(s *stream) {
	now := time.Now()
	if !n.openLocked(s.route) {
		for i := range s.packets {
			if s.packets[i].at.After(now) {
				s.packets[i].at = time.Time{}
				n.worryLocked(s)
			}
		}
		if s.resetAt.After(now) {
			s.resetAt = time.Time{}
		}
		return
	}
	s.calm()
	at, lost := now.Add(resend), false // in order
	for i := range s.packets {
		p := &s.packets[i]
		if p.at.IsZero() {
			p.at, lost = later(at, now.Add(n.delayLocked(s.route))), true
		}
		at = later(at, p.at)
	}
	if s.reset && s.resetAt.IsZero() {
		s.resetAt = now.Add(n.delayLocked(s.route))
	}
	peer := s.sender.peer
	if lost && peer.gone() {
		n.resetLocked(peer.out)
	}
	peer.wakeLocked()
}

// worryLocked starts the clock of the sender's patience.
func (n *Network) worryLocked(s *stream) {
	if s.impatient != nil || s.sender.gone() {
		return
	}
	wait := patience/2 + time.Duration(n.rand.Int64N(int64(patience)))
	s.impatient = time.AfterFunc(wait, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if s.impatient == nil || s.sender.gone() {
			return
		}
		n.count.Expired++
		s.sender.breakLocked(syscall.ETIMEDOUT)
		n.resetLocked(s)
	})
}

// calm stops the clock of the sender's patience.
func (s *stream) calm() {
	if s.impatient != nil {
		s.impatient.Stop()
		s.impatient = nil
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
