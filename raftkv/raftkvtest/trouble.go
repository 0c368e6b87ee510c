// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"confd/raftkv"
)

// mayLeave reports whether a node has ended as the cluster has removed it, which somebody
// has asked for. Then it is not started any more.
func (m *Member) mayLeave(err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leaving == "" || !errors.Is(err, raftkv.ErrRemoved) {
		return false
	}
	m.c.trace("%s has been removed", m.Name)
	m.wanted, m.removed = false, true
	return true
}

// Remove asks another member to remove this one for good.
func (m *Member) Remove(ctx context.Context, by *Member) error {
	n := m.Node()
	if n == nil {
		return ErrDown
	}
	m.mu.Lock()
	m.leaving = n.Status().ID
	m.mu.Unlock()
	err := by.ask(func(n *raftkv.Node) error { return n.RemoveMember(ctx, m.leaving) })
	m.c.trace("%s removes %s: %v", by.Name, m.Name, err)
	return err
}

// Move has the member listen on another port when it is started next.
func (m *Member) Move() {
	m.c.trace("%s moves", m.Name)
	m.port.Add(1)
}

// Pause freezes the member as SIGSTOP does: it neither reads, writes nor answers. Its
// timers run, other than those of a real process, so that it knows when it goes on.
func (m *Member) Pause() {
	r := m.current()
	if r == nil {
		return
	}
	m.c.trace("pause %s", m.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paused == nil && !r.killed {
		r.paused = make(chan struct{})
		m.c.Net.Freeze(m.Name)
		r.log.hold()
	}
}

// Resume lets the member go on.
func (m *Member) Resume() {
	if r := m.current(); r != nil {
		m.c.trace("resume %s", m.Name)
		m.c.Net.Thaw(m.Name)
		r.resume()
	}
}

// SlowDisk makes each write to the member's log take about d, until it is started anew.
func (m *Member) SlowDisk(d time.Duration) {
	if r := m.current(); r != nil {
		m.c.trace("disk of %s takes %v", m.Name, d)
		r.log.slow(d)
	}
}

// FailDisk makes each write to the member's log fail, until it is started anew.
func (m *Member) FailDisk() {
	if r := m.current(); r != nil {
		m.c.trace("disk of %s fails", m.Name)
		r.log.fail()
	}
}

// StallDisk makes each write to the member's log hang, until it is started anew or resumed.
func (m *Member) StallDisk() {
	if r := m.current(); r != nil {
		m.c.trace("disk of %s stalls", m.Name)
		r.log.hold()
	}
}

// CheatDisk makes the member's log forget what it acknowledges, until it is started anew.
// No cluster survives that when most members do it, so Check must find it.
func (m *Member) CheatDisk() {
	if r := m.current(); r != nil {
		m.c.trace("disk of %s forgets", m.Name)
		if err := r.log.cheat(); err != nil {
			m.c.trace("disk of %s: %v", m.Name, err)
		}
	}
}

// CrashAtCut crashes the member when its log is cut next: after a snapshot was taken or
// received, or entries turned out to be those of an old leader.
func (m *Member) CrashAtCut() {
	if r := m.current(); r != nil {
		m.c.trace("%s crashes at the next cut", m.Name)
		r.log.endAtCut(func() {
			m.c.count(func(v *Coverage) { v.Cuts++ })
			if m.current() == r {
				m.Crash(true)
			}
			r.kill()
		})
	}
}

// spare takes CrashAtCut back.
func (m *Member) spare() {
	if r := m.current(); r != nil {
		r.log.endAtCut(nil)
	}
}

// ClockJump sets the member's clock, by d from where it is.
func (m *Member) ClockJump(d time.Duration) {
	m.c.trace("clock of %s jumps by %v", m.Name, d)
	m.skew.Add(int64(d))
}

// gone reports whether the member has been removed, or nodes say that it was, and it has
// not heard of that.
func (m *Member) gone(nodes []*raftkv.Node) (removed, pending bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.removed || m.leaving == "" {
		return m.removed, false
	}
	for _, n := range nodes {
		if s := n.Status(); s.ID != m.leaving && !slices.ContainsFunc(n.Members(), func(x raftkv.Member) bool { return x.ID == m.leaving }) {
			return false, true
		}
	}
	return false, false
}
