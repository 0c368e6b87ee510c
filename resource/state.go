// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"slices"
	"time"

	"confd/backends"
)

// A State is how a Runner does as a whole.
type State struct {
	Resources []Status // in the order of their files

	// Since is when the backend stopped to answer, and Err why it does not; they are
	// zero while it does. What the resources show is as old as that at least.
	Since time.Time
	Err   error

	// Broken are the files of resources that cannot be used as they are now, in the
	// order of their paths.
	Broken []Broken

	// Stuck are resources in whose pass something takes longer than the timeouts of all
	// its commands: a fault of this program or of the file system.
	Stuck []string
}

// State returns how the runner does. It may be called at any time.
func (run *Runner) State() State {
	now := time.Now()
	run.mu.Lock()
	resources, lanes, broken := run.resources, run.lanes, run.broken
	run.mu.Unlock()
	s := State{Resources: make([]Status, len(resources)), Broken: slices.Clone(broken)}
	for i, r := range resources {
		s.Resources[i] = r.Status()
	}
	for _, l := range lanes {
		for _, set := range l.sets {
			s.noteTakenBack(resources, set)
		}
	}
	for _, o := range []*outage{&run.reads, &run.waits} {
		if since, err := o.state(); err != nil && (s.Err == nil || since.Before(s.Since)) {
			s.Since, s.Err = since, err
		}
	}
	if b, ok := run.backend.(backends.Reporter); ok {
		if since, err := b.Outage(); err != nil && (s.Err == nil || since.Before(s.Since)) {
			s.Since, s.Err = since, err
		}
	}
	for _, l := range lanes {
		if l.stuck(now) {
			s.Stuck = append(s.Stuck, l.sets[0].members[0].Name)
		}
	}
	return s
}

// noteTakenBack notes for the members of a set what RollBack of another process has done.
func (s *State) noteTakenBack(resources []*Resource, set *set) {
	if !set.takenBack() {
		return
	}
	for _, r := range set.members {
		if i := slices.Index(resources, r); i >= 0 && s.Resources[i].Err == nil {
			s.Resources[i].Err, s.Resources[i].Failures = errByHand, 1
		}
	}
}

// UpToDate reports whether nothing is left to do for the resource.
func (s Status) UpToDate() bool {
	return s.Err == nil && s.Broken == nil && !s.Pending && !s.Differs && s.Done
}
