// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"confd/backends"
)

// A lane is the sets that share reloads, directly or by way of each other, or one that
// shares none. It is owned by the goroutine that works it; lanes do not wait for each
// other.
type lane struct {
	sets    []*set    // in the order of their first files
	reloads []*reload // in the order of the first files that have them
	keys    []string  // all that a member may read; minimal

	index  uint64 // of the last snapshot that was looked at for every set
	looked bool   // there is such a snapshot

	outages int // failed calls of the backend, in a row
	tried   atomic.Bool

	heirs   map[*Resource]*Resource // :: member → the one of a lane of before that it takes over from
	resumes map[*reload]*reload     // the same of reloads

	poke    poke
	working atomic.Int64  // when the pass that is going on has begun, in Unix nanoseconds; 0 = none is
	bound   time.Duration // of all the commands of a pass
}

// A cause is why a lane has something to do.
type cause int

const (
	forTime cause = iota // something is to be tried again, or has settled
	forNews              // a key of the lane has changed
	forAll               // everything is to be looked at
)

// pass applies the sets that the snapshot concerns, and those that failed before; then it
// reloads. A set that fails does not stop the others.
//
// The snapshot was read before a set is asked whether there is news for it since the
// last one. So news that comes in between makes it concerned too early, not too late.
func (l *lane) pass(ctx context.Context, run *Runner, snap backends.Snapshot, why cause) outcome {
	l.working.Store(time.Now().UnixNano())
	defer l.working.Store(0)
	out := outcome{index: snap.Index}
	for rest := l.sets; len(rest) > 0 && ctx.Err() == nil; {
		n := leading(rest, (*set).quiet)
		failed := make([][]*Error, n)
		beside(n, diskSlots, func(i int) {
			if ctx.Err() == nil {
				failed[i] = l.look(ctx, run, rest[i], snap, why)
			}
		})
		out.failed = slices.Concat(append([][]*Error{out.failed}, failed...)...)
		rest = rest[n:]
	}
	if ctx.Err() == nil {
		l.index, l.looked = snap.Index, true
	}
	l.reload(ctx, run, &out)
	return out
}

// look applies a set if there is a reason to. It returns the members that have failed.
func (l *lane) look(ctx context.Context, run *Runner, s *set, snap backends.Snapshot, why cause) []*Error {
	now := time.Now()
	if why != forAll && l.looked && (why == forNews && len(l.sets) == 1 || l.concerns(run, s)) {
		s.stir(now, s.splay)
	}
	switch {
	case why == forAll && !s.settling(now, s.window), !l.looked:
	case s.news.any() && !s.settling(now, s.window):
	case !s.news.any() && s.retryDue(now):
	default:
		s.skip(snap.Index)
		return nil
	}
	failures := s.failures
	failed := s.attempt(ctx, snap, run.gate)
	if failed == nil && failures > 0 {
		s.members[0].log.Info("recovered", "failures", failures, "index", snap.Index)
	}
	return failed
}

// concerns reports whether a key that s depends on may have changed since the last
// snapshot. If the backend cannot tell, it may.
func (l *lane) concerns(run *Runner, s *set) bool {
	waits := s.waits()
	if len(waits) == 0 {
		return false
	}
	err := run.backend.Wait(run.ended, waits, l.index)
	return err == nil || !errors.Is(err, context.Canceled)
}

// reload runs what is due, one after the other. What fails is rolled back where that is
// asked for, and then run once more.
func (l *lane) reload(ctx context.Context, run *Runner, out *outcome) {
	var back []*set
	for _, rl := range l.reloads {
		due := rl.due()
		if len(due) == 0 {
			continue
		}
		fresh := slices.ContainsFunc(due, func(r *Resource) bool { return !r.tried })
		if time.Now().Before(rl.at(due)) || !fresh && ctx.Err() != nil {
			continue
		}
		if err := rl.run(ctx, run, due); err != nil {
			out.reloads = append(out.reloads, reloadFailure{due: due, err: err})
			for _, s := range rl.sets {
				if s.rollsBack() && s.good() != "" && !slices.Contains(back, s) {
					back = append(back, s)
				}
			}
		}
	}
	for _, s := range l.sets {
		out.failed = append(out.failed, s.endSettle(out.index)...)
	}
	if ctx.Err() == nil { // else it may have been cut off, and the next process tries it
		l.rollBack(ctx, run, back, out)
	}
	for _, s := range l.sets {
		if !s.owes() {
			for _, r := range s.members {
				r.good = ""
			}
		}
	}
}

// rollBack puts the files of the sets back and reloads again.
func (l *lane) rollBack(ctx context.Context, run *Runner, sets []*set, out *outcome) {
	var again []*reload
	for _, s := range sets {
		if err := s.putBack(s.good()); err != nil {
			out.failed = append(out.failed, s.members[0].fault(fmt.Errorf("rolling back: %w", err)))
			continue
		}
		for i := range out.reloads {
			if f := &out.reloads[i]; slices.ContainsFunc(f.due, s.has) {
				f.back = true
				s.rolledBack(f.err)
			}
		}
		again = append(again, s.reloads...)
	}
	for _, rl := range l.reloads {
		if due := rl.due(); len(due) > 0 && slices.Contains(again, rl) {
			if err := rl.run(ctx, run, due); err != nil {
				out.reloads = append(out.reloads, reloadFailure{due: due, err: fmt.Errorf("after the files were put back: %w", err)})
			}
		}
	}
}

// next returns when something that failed is to be tried again, or changes have
// settled; the zero time if nothing is.
func (l *lane) next() time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, s := range l.sets {
		switch {
		case s.news.any():
			earlier(s.news.due(s.window))
		case s.failures > 0 && !s.resting:
			earlier(s.retryAt)
		}
	}
	for _, rl := range l.reloads {
		if due := rl.due(); len(due) > 0 {
			earlier(rl.at(due))
		}
	}
	return next
}

// settling reports whether changes are being waited out.
func (l *lane) settling() bool {
	return slices.ContainsFunc(l.sets, func(s *set) bool { return s.news.any() })
}

// waits returns what the sets wait for.
func (l *lane) waits() []string {
	if len(l.sets) == 1 {
		return l.sets[0].waits()
	}
	var all []string
	for _, s := range l.sets {
		all = append(all, s.waits()...)
	}
	return backends.Minimal(all)
}

// An outcome is what came of one pass of a lane.
type outcome struct {
	index   uint64
	failed  []*Error // members that could not be written
	reloads []reloadFailure
}

// A reloadFailure is a reload that failed.
type reloadFailure struct {
	due  []*Resource // that it was run for
	err  error
	back bool // files were put back because of it
}

// join returns one error per failed resource.
func (o outcome) join() error {
	var errs []error
	for _, err := range o.failed {
		errs = append(errs, err)
	}
	for _, f := range o.reloads {
		for _, r := range f.due {
			err := f.err
			if f.back && r.failures == 0 && !r.pending {
				continue // it has been reloaded since
			}
			if f.back {
				err = fmt.Errorf("%w; %w", f.err, errRolledBack)
			}
			errs = append(errs, r.fault(err))
		}
	}
	return errors.Join(errs...)
}

// errRolledBack ends the message of a reload that has failed.
var errRolledBack = errors.New("rolled back to the version before")

// report logs the failures of a pass.
func (o outcome) report(log *slog.Logger) {
	for _, err := range o.failed {
		message := "applying resource; it will be tried again"
		if errors.Is(err, errRolledBack) {
			message = "applying resource; it stays as it is"
		}
		log.Error(message, "resource", err.Name, "dest", err.Dest, "index", o.index, "err", err.Err)
	}
	for _, f := range o.reloads {
		message := "reloading; it will be tried again"
		if f.back {
			message = "reloading; the version before is back in place, and stays until there is another one"
		}
		log.Error(message, "resource", f.due[0].Name, "resources", len(f.due), "index", o.index, "err", f.err)
	}
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
