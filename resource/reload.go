// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A reload is what resources owe to the service that reads their files: one hook,
// however many of them have it. It is owned by the goroutine that works its lane.
type reload struct {
	hook    hook
	members []*Resource // that have it, in the order of their files
	sets    []*set      // theirs

	interval time.Duration // between two runs, at least
	ran      time.Time     // when it was last begun
	failures int           // in a row
	retryAt  time.Time
}

// due returns the members that it is to be run for, none while a file that the service
// would read is not whole, or not yet what it shall be.
func (l *reload) due() []*Resource {
	var due []*Resource
	for _, s := range l.sets {
		if !s.whole() {
			return nil
		}
	}
	for _, r := range l.members {
		if r.pending {
			due = append(due, r)
		}
	}
	return due
}

// at returns when it may run for the members that are due: at once if a file was
// written since it was last tried, but not too soon after the last time.
func (l *reload) at(due []*Resource) time.Time {
	at := l.retryAt
	if slices.ContainsFunc(due, func(r *Resource) bool { return !r.tried }) {
		at = time.Time{}
	}
	if next := l.ran.Add(l.interval); l.interval > 0 && !l.ran.IsZero() && at.Before(next) {
		at = next
	}
	return at
}

// run runs the hook for the members that are due, and notes how it went.
func (l *reload) run(ctx context.Context, run *Runner, due []*Resource) error {
	first := due[0]
	log := run.log.With("resource", first.Name, "index", first.Status().Written)
	if len(due) > 1 {
		log = log.With("resources", len(due))
	}
	l.ran = time.Now()
	err := l.call(ctx, run, due)
	took := time.Since(l.ran)
	switch {
	case err == nil:
		log.Info("reloaded", "duration", took.Round(time.Millisecond))
	case errors.Is(err, errNotRunning):
		err = nil
	default:
		err = fmt.Errorf("reloading: %w", err)
	}
	if err != nil {
		l.failures++
		l.retryAt = time.Now().Add(delay(l.failures))
	} else {
		l.failures, l.retryAt = 0, time.Time{}
	}
	for _, r := range due {
		r.tried = true
	}
	retry := time.Time{}
	if err != nil {
		retry = l.at(due)
	}
	for _, r := range due {
		r.reloaded(err, l.failures, retry, took)
	}
	return err
}

// call calls the hook for the members that are due, within their time.
func (l *reload) call(ctx context.Context, run *Runner, due []*Resource) error {
	first := due[0]
	var timeout time.Duration
	v := values{src: first.Dest, dest: first.Dest, keys: first.Keys}
	for _, r := range due {
		timeout = max(timeout, r.ReloadTimeout)
		v.changed = append(v.changed, r.owed...)
	}
	slices.Sort(v.changed)
	v.changed = slices.Compact(v.changed)

	stoppable, release := run.outlive(ctx)
	defer release()
	bounded, cancel := within(stoppable, timeout)
	defer cancel()
	return l.hook.run(bounded, first, v)
}
