// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"slices"
	"time"

	"confd/backends"
)

// lanesOf puts resources together: those of one bundle to a set, the sets that share a
// reload to a lane. Sets, reloads and lanes are in the order of the files.
func lanesOf(resources []*Resource) []*lane {
	sets := setsOf(resources)
	reloads := make(map[string]*reload)
	laneOf := make(map[*set]*lane)
	var lanes []*lane
	for _, s := range sets {
		l := &lane{sets: []*set{s}}
		laneOf[s] = l
		lanes = append(lanes, l)
		for _, r := range s.members {
			if r.reload == nil {
				continue
			}
			rl := reloads[r.reload.id()]
			if rl == nil {
				rl = &reload{hook: r.reload}
				reloads[r.reload.id()] = rl
			}
			rl.add(r, s)
			if first := laneOf[rl.sets[0]]; first != laneOf[s] {
				lanes = merge(lanes, first, laneOf[s], laneOf)
			}
		}
	}
	for _, l := range lanes {
		l.finish()
	}
	return lanes
}

func setsOf(resources []*Resource) []*set {
	var sets []*set
	bundles := make(map[string]*set)
	for _, r := range resources {
		s := bundles[r.Bundle]
		if s == nil || r.Bundle == "" {
			s = &set{name: r.Dest}
			if r.Bundle != "" {
				s.name = "bundle " + r.Bundle
			}
			bundles[r.Bundle] = s
			sets = append(sets, s)
		}
		s.members = append(s.members, r)
		s.window.Min = max(s.window.Min, r.wait.Min)
		s.window.Max = max(s.window.Max, r.wait.Max)
		s.splay = max(s.splay, r.splay)
	}
	return sets
}

// add makes r, of the set s, a member.
func (l *reload) add(r *Resource, s *set) {
	l.members = append(l.members, r)
	l.interval = max(l.interval, r.minReload)
	if !slices.Contains(l.sets, s) {
		l.sets = append(l.sets, s)
	}
	if !slices.Contains(s.reloads, l) {
		s.reloads = append(s.reloads, l)
	}
}

// merge puts the sets of two lanes into the one that comes first, and returns the lanes
// without the other.
func merge(lanes []*lane, a, b *lane, laneOf map[*set]*lane) []*lane {
	i, j := slices.Index(lanes, a), slices.Index(lanes, b)
	if j < i {
		a, b, i, j = b, a, j, i
	}
	a.sets = append(a.sets, b.sets...)
	for _, s := range b.sets {
		laneOf[s] = a
	}
	return slices.Delete(lanes, j, j+1)
}

// finish fills in what follows from the sets.
func (l *lane) finish() {
	for _, s := range l.sets {
		for _, r := range s.members {
			l.keys = append(l.keys, r.Keys...)
			l.bound += r.CheckTimeout + 2*r.ReloadTimeout + 4*killDelay
		}
		for _, rl := range s.reloads {
			if !slices.Contains(l.reloads, rl) {
				l.reloads = append(l.reloads, rl)
			}
		}
	}
	l.keys = backends.Minimal(l.keys)
}

// same reports whether the lanes have the same resources, as objects.
func (l *lane) same(other *lane) bool {
	return slices.EqualFunc(l.sets, other.sets, func(a, b *set) bool {
		return slices.Equal(a.members, b.members)
	})
}

// replaceLanes returns the lanes for the resources. Those of old that have not changed
// are taken over as they are; the others are to take over what their reloads have behind
// them, and for each of the heirs what it inherits.
func replaceLanes(old []*lane, resources []*Resource, heirs map[*Resource]*Resource) []*lane {
	fresh := lanesOf(resources)
	known := make(map[string]*reload)
	first := make(map[*Resource]*lane)
	for _, l := range old {
		first[l.sets[0].members[0]] = l
		for _, rl := range l.reloads {
			known[rl.hook.id()] = rl
		}
	}
	for i, l := range fresh {
		if o := first[l.sets[0].members[0]]; o != nil && o.same(l) {
			fresh[i] = o
			continue
		}
		l.heirs, l.resumes = make(map[*Resource]*Resource), make(map[*reload]*reload)
		for _, s := range l.sets {
			for _, r := range s.members {
				if heirs[r] != nil {
					l.heirs[r] = heirs[r]
				}
			}
		}
		for _, rl := range l.reloads {
			if o := known[rl.hook.id()]; o != nil {
				l.resumes[rl] = o
			}
		}
	}
	return fresh
}

// takeOver takes over what lanes of before have left to do. Nobody must work them, and
// nobody this one.
func (l *lane) takeOver() {
	for r, old := range l.heirs {
		r.inherit(old)
	}
	for rl, old := range l.resumes {
		rl.failures, rl.retryAt, rl.ran = old.failures, old.retryAt, old.ran
	}
	l.heirs, l.resumes = nil, nil
}

// touches reports whether the lanes have a destination or a reload in common.
func (l *lane) touches(other *lane) bool {
	dests, hooks := make(map[string]bool), make(map[string]bool)
	for _, s := range other.sets {
		for _, r := range s.members {
			dests[r.Dest] = true
		}
	}
	for _, rl := range other.reloads {
		hooks[rl.hook.id()] = true
	}
	return slices.ContainsFunc(l.reloads, func(rl *reload) bool { return hooks[rl.hook.id()] }) ||
		slices.ContainsFunc(l.sets, func(s *set) bool {
			return slices.ContainsFunc(s.members, func(r *Resource) bool { return dests[r.Dest] })
		})
}

// patience is what a pass may take beside its commands: renderings that wait for those
// of other lanes, name servers, slow disks.
const patience = 10 * time.Minute

// stuck reports whether a pass takes longer than all its commands may, and then some.
func (l *lane) stuck(now time.Time) bool {
	begun := l.working.Load()
	return begun != 0 && now.Sub(time.Unix(0, begun)) > l.bound+patience
}
