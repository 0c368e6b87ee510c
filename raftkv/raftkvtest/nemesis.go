// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A nemesis brings faults over a cluster, one after the other or several at once.
type nemesis struct {
	c  *Cluster
	r  *rand.Rand
	wg sync.WaitGroup
}

// A fault is something that goes wrong. It takes the members in any order, with the
// leader first every other time, and returns what ends it, nil if nothing need be done.
type fault struct {
	name  string
	begin func(n *nemesis, m []*Member) (end func())
}

// loop brings faults until ctx ends.
func (n *nemesis) loop(ctx context.Context) {
	defer n.wg.Wait()
	for {
		pause(ctx, n.r, 1500*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		f := faults[n.r.IntN(len(faults))]
		n.c.count(func(v *Coverage) {
			if v.Faults == nil {
				v.Faults = make(map[string]int)
			}
			v.Faults[f.name]++
		})
		members := n.victims()
		length := time.Duration(100+n.r.IntN(8000)) * time.Millisecond
		n.c.trace("fault: %s for %v", f.name, length)
		end := f.begin(n, members)
		if end == nil {
			continue
		}
		done := func() {
			select {
			case <-time.After(length):
			case <-ctx.Done():
			}
			end()
		}
		// Others may come meanwhile.
		if n.r.IntN(3) == 0 {
			n.wg.Go(done)
		} else {
			done()
		}
	}
}

func (n *nemesis) victims() []*Member {
	members := n.c.Staying()
	n.r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	leader := n.c.Leader()
	if leader == nil || n.r.IntN(2) == 0 {
		return members
	}
	for i, m := range members {
		if m == leader {
			members[0], members[i] = m, members[0]
		}
	}
	return members
}

var faults = []fault{
	{"crash", func(n *nemesis, m []*Member) func() {
		m[0].Crash(false)
		return m[0].Start
	}},
	{"power", func(n *nemesis, m []*Member) func() {
		m[0].Crash(true)
		return m[0].Start
	}},
	{"power-in-writes", func(n *nemesis, m []*Member) func() {
		// What a leader has sent before it was on its own disk is at others only.
		m[0].SlowDisk(time.Duration(10+n.r.IntN(500)) * time.Millisecond)
		time.Sleep(time.Duration(n.r.IntN(2000)) * time.Millisecond)
		m = m[:1+n.r.IntN(len(m)/2+1)]
		for _, x := range m {
			x.Crash(true)
		}
		return func() { startAll(m) }
	}},
	{"crash-most", func(n *nemesis, m []*Member) func() {
		m = m[:len(m)/2+1+n.r.IntN(len(m)-len(m)/2)]
		for _, x := range m {
			x.Crash(n.r.IntN(2) == 0)
		}
		return func() { startAll(m) }
	}},
	{"long-crash", func(n *nemesis, m []*Member) func() {
		m[0].Crash(true)
		return func() {
			time.Sleep(8 * time.Second) // so that it needs a snapshot
			m[0].Start()
		}
	}},
	{"crash-at-cut", func(n *nemesis, m []*Member) func() {
		m[0].CrashAtCut()
		return m[0].Start
	}},
	{"crash-at-install", func(n *nemesis, m []*Member) func() {
		m[0].Crash(true)
		time.Sleep(8 * time.Second)
		m[0].Start()
		time.Sleep(time.Millisecond)
		m[0].CrashAtCut()
		return m[0].Start
	}},
	{"move", func(n *nemesis, m []*Member) func() {
		m[0].Crash(false)
		m[0].Move()
		return m[0].Start
	}},
	{"add", func(n *nemesis, m []*Member) func() {
		if len(m) < 7 {
			n.c.AddMember()
			n.c.count(func(v *Coverage) { v.Added++ })
		}
		return nil
	}},
	{"remove", func(n *nemesis, m []*Member) func() {
		if len(m) < 4 || !m[0].Running() {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if m[0].Remove(ctx, m[1]) == nil {
			n.c.count(func(v *Coverage) { v.Removed++ })
		}
		return nil
	}},
	{"flap", func(n *nemesis, m []*Member) func() {
		for range 3 {
			m[0].Crash(false)
			m[0].Start()
			time.Sleep(time.Duration(n.r.IntN(2000)) * time.Millisecond)
		}
		return nil
	}},
	{"stop", func(n *nemesis, m []*Member) func() {
		m[0].Stop()
		return m[0].Start
	}},
	{"pause", func(n *nemesis, m []*Member) func() {
		m[0].Pause()
		return m[0].Resume
	}},
	{"long-pause", func(n *nemesis, m []*Member) func() {
		m[0].Pause()
		return func() {
			time.Sleep(12 * time.Second) // more than the stall timeout
			m[0].Resume()
		}
	}},
	{"partition", func(n *nemesis, m []*Member) func() {
		cut := 1 + n.r.IntN(len(m)-1)
		n.c.Net.Partition(names(m[:cut]), names(m[cut:]))
		return n.c.Net.Heal
	}},
	{"isolate", func(n *nemesis, m []*Member) func() {
		n.c.Net.Partition(names(m[:1]), names(m[1:]))
		return n.c.Net.Heal
	}},
	{"deaf", func(n *nemesis, m []*Member) func() {
		for _, x := range m[1:] {
			n.c.Net.Cut(x.Name, m[0].Name)
		}
		return n.c.Net.Heal
	}},
	{"mute", func(n *nemesis, m []*Member) func() {
		for _, x := range m[1:] {
			n.c.Net.Cut(m[0].Name, x.Name)
		}
		return n.c.Net.Heal
	}},
	{"bridge", func(n *nemesis, m []*Member) func() {
		// One member reaches all, the others only it.
		for _, x := range m[1:] {
			for _, y := range m[1:] {
				if x != y {
					n.c.Net.Cut(x.Name, y.Name)
				}
			}
		}
		return n.c.Net.Heal
	}},
	{"loss", func(n *nemesis, m []*Member) func() {
		return n.links(m, Link{Latency: time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.1, Reset: 0.01})
	}},
	{"latency", func(n *nemesis, m []*Member) func() {
		return n.links(m[:1], Link{Latency: 100 * time.Millisecond, Jitter: 500 * time.Millisecond})
	}},
	{"slow-disk", func(n *nemesis, m []*Member) func() {
		m[0].SlowDisk(time.Duration(10+n.r.IntN(1500)) * time.Millisecond)
		return func() { m[0].SlowDisk(time.Millisecond) }
	}},
	{"dead-disk", func(n *nemesis, m []*Member) func() {
		m[0].FailDisk()
		return nil
	}},
	{"stalled-disk", func(n *nemesis, m []*Member) func() {
		m[0].StallDisk()
		return m[0].Resume
	}},
	{"clock", func(n *nemesis, m []*Member) func() {
		by := time.Duration(n.r.Int64N(int64(6*time.Hour))) - 3*time.Hour
		if n.r.IntN(4) == 0 {
			by *= 24
		}
		m[0].ClockJump(by)
		return nil
	}},
}

// links makes the ways between the members and all others bad.
func (n *nemesis) links(m []*Member, l Link) func() {
	for _, x := range m {
		for _, y := range n.c.Members() {
			n.c.Net.SetLink(x.Name, y.Name, l)
			n.c.Net.SetLink(y.Name, x.Name, l)
		}
	}
	return n.c.Net.Heal
}

func names(members []*Member) []string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	return names
}

func startAll(members []*Member) {
	for _, m := range members {
		m.Start()
	}
}
