// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"confd/backends"
)

// A group is the resources with the same reload command, or one without any. It is
// owned by the goroutine that applies it.
type group struct {
	command string
	members []*Resource // in the order of their files
	keys    []string    // all that a member may read; minimal

	index  uint64 // of the last snapshot that was looked at for every member
	looked bool   // there is such a snapshot

	failures int // of the reload command, in a row
	retryAt  time.Time

	outages int // failed calls of the backend, in a row
}

// An outcome is what came of one pass of a group.
type outcome struct {
	failed []*Error    // members that could not be written
	due    []*Resource // members whose reload was due
	reload error       // why it has failed
}

// join returns one error per failed resource.
func (o outcome) join() error {
	var errs []error
	for _, err := range o.failed {
		errs = append(errs, err)
	}
	if o.reload != nil {
		for _, r := range o.due {
			errs = append(errs, &Error{Name: r.Name, Dest: r.Dest, Err: o.reload})
		}
	}
	return errors.Join(errs...)
}

// pass applies the members that the snapshot concerns, in order, and those that failed
// before; then it reloads, once. A member that fails does not stop the others.
//
// The snapshot was read before a member is asked whether there is news for it since the
// last one. So news that comes in between makes it concerned too early, not too late.
func (g *group) pass(ctx context.Context, run *Runner, snap backends.Snapshot, all bool) outcome {
	var out outcome
	for _, r := range g.members {
		if ctx.Err() != nil {
			break
		}
		if !all && g.looked && !r.due(time.Now()) && !g.concerns(run, r) {
			r.skip(snap.Index)
			continue
		}
		failures := r.failures
		if err := r.attempt(ctx, snap, run.gate); err != nil {
			out.failed = append(out.failed, &Error{Name: r.Name, Dest: r.Dest, Err: err})
		} else if failures > 0 {
			r.log.Info("recovered", "failures", failures, "index", snap.Index)
		}
	}
	if ctx.Err() == nil {
		g.index, g.looked = snap.Index, true
	}
	g.reload(ctx, run, &out)
	return out
}

// concerns reports whether a key that r depends on may have changed since the last
// snapshot. If the backend cannot tell, it may.
func (g *group) concerns(run *Runner, r *Resource) bool {
	waits := r.waitsFor()
	if len(waits) == 0 {
		return false
	}
	err := run.backend.Wait(run.ended, waits, g.index)
	return err == nil || !errors.Is(err, context.Canceled)
}

// reload runs the command if it is due for any member. While a member's file is torn
// it is held back, because the service would read that file too.
func (g *group) reload(ctx context.Context, run *Runner, out *outcome) {
	for _, r := range g.members {
		if r.torn {
			out.due = nil
			return
		}
		if r.pending {
			out.due = append(out.due, r)
		}
	}
	fresh := false // written since the command was last tried
	var timeout time.Duration
	for _, r := range out.due {
		fresh = fresh || !r.tried
		timeout = max(timeout, r.ReloadTimeout)
	}
	if len(out.due) == 0 || !fresh && (ctx.Err() != nil || time.Now().Before(g.retryAt)) {
		out.due = nil
		return
	}
	log := run.log.With("resource", out.due[0].Name)
	if len(out.due) > 1 {
		log = log.With("resources", len(out.due))
	}
	stoppable, release := run.outlive(ctx)
	defer release()
	start := time.Now()
	err := out.due[0].shell(stoppable, log, g.command, timeout)
	if err != nil {
		out.reload = fmt.Errorf("reloading: %w", err)
		g.failures++
		g.retryAt = time.Now().Add(delay(g.failures))
	} else {
		log.Info("reloaded", "duration", time.Since(start).Round(time.Millisecond))
		g.failures, g.retryAt = 0, time.Time{}
	}
	for _, r := range out.due {
		r.tried = true
		r.reloaded(out.reload, g.failures, g.retryAt)
	}
}

// next returns when something that failed is to be tried again; the zero time if
// nothing is.
func (g *group) next() time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	pending, torn := false, false
	for _, r := range g.members {
		if r.failures > 0 {
			earlier(r.retryAt)
		}
		pending, torn = pending || r.pending, torn || r.torn
	}
	if pending && !torn {
		earlier(g.retryAt)
	}
	return next
}

// waits returns what the members wait for.
func (g *group) waits() []string {
	if len(g.members) == 1 {
		return g.members[0].waitsFor()
	}
	var all []string
	for _, r := range g.members {
		all = append(all, r.waitsFor()...)
	}
	return backends.Minimal(all)
}

// report logs the failures of a pass.
func (o outcome) report(log *slog.Logger) {
	for _, err := range o.failed {
		log.Error("applying resource; it will be tried again", "resource", err.Name, "dest", err.Dest, "err", err.Err)
	}
	if o.reload != nil {
		log.Error("reloading; it will be tried again", "resource", o.due[0].Name, "resources", len(o.due), "err", o.reload)
	}
}

// groupBy puts resources together by their reload command. The groups are in the order
// of their first members.
func groupBy(resources []*Resource) []*group {
	var groups []*group
	byCommand := make(map[string]*group)
	for _, r := range resources {
		g := byCommand[r.ReloadCmd]
		if g == nil || r.ReloadCmd == "" {
			g = &group{command: r.ReloadCmd}
			byCommand[r.ReloadCmd] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, r)
	}
	for _, g := range groups {
		for _, r := range g.members {
			g.keys = append(g.keys, r.Keys...)
		}
		g.keys = backends.Minimal(g.keys)
	}
	return groups
}

const (
	firstDelay = 250 * time.Millisecond
	lastDelay  = 30 * time.Second

	// scoutDelay is the longest time for which nobody looks whether an outage of the
	// backend is over.
	scoutDelay = 2 * time.Second
)

// delay returns the time to wait after so many failures in a row: twice as long each
// time, and not the same for everyone.
func delay(failures int) time.Duration {
	d := lastDelay
	if shift := failures - 1; shift < 7 {
		d = firstDelay << max(shift, 0)
	}
	return d*3/4 + rand.N(d/2)
}
