// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"confd/backends"
)

// A set is what is applied as one: the resources of a bundle, or one alone. It is
// rendered and checked as one, replaced all or none, and each of its reloads is run
// once. It is owned by the goroutine that works its lane.
type set struct {
	name    string      // of the bundle, or the resource
	members []*Resource // in the order of their files
	reloads []*reload   // theirs

	window Window
	splay  time.Duration
	news

	failures int // in a row
	retryAt  time.Time
	resting  bool // it was rolled back: what failed is not tried again

	digest  string                 // of what the files have; only if earlier versions are kept
	applied atomic.Pointer[string] // the same after an attempt that succeeded, else nil; anyone may look at it
}

// An Error is why a resource has not been brought up to date.
type Error struct {
	Name string // of the resource
	Dest string
	Err  error
}

func (e *Error) Error() string {
	return fmt.Sprintf("resource %s (dest %s): %v", e.Name, e.Dest, e.Err)
}
func (e *Error) Unwrap() error { return e.Err }

// fault returns why the resource has failed.
func (r *Resource) fault(err error) *Error { return &Error{Name: r.Name, Dest: r.Dest, Err: err} }

// of returns the error among them that is about r, nil if none is.
func of(failed []*Error, r *Resource) error {
	for _, err := range failed {
		if err.Name == r.Name {
			return err.Err
		}
	}
	return nil
}

// attempt brings the destinations to the state of the snapshot, and notes how far it
// came. It does not reload. It returns the members that have failed.
func (s *set) attempt(ctx context.Context, snap backends.Snapshot, gate gate) []*Error {
	for _, r := range s.members {
		r.start()
	}
	s.news = news{}
	failed := s.apply(ctx, snap, gate)
	for _, r := range s.members {
		if left := r.tidy(); left != nil && of(failed, r) == nil {
			failed = append(failed, r.fault(left))
		}
		if r.stale && !r.pending || r.reload == nil && r.pending && !r.opts.SyncOnly {
			r.forget() // again; or the hook has gone since it was noted
		}
	}
	if failed != nil && ctx.Err() != nil {
		return failed // told to stop: no fault of the resource
	}
	s.settled(failed, snap.Index)
	return failed
}

// settled notes the outcome of an attempt.
func (s *set) settled(failed []*Error, index uint64) {
	switch {
	case failed == nil:
		s.failures, s.retryAt = 0, time.Time{}
	case s.resting:
		s.failures, s.retryAt = 1, time.Time{}
	default:
		s.failures++
		s.retryAt = time.Now().Add(delay(s.failures))
	}
	s.noteApplied(failed == nil)
	for _, r := range s.members {
		err := of(failed, r)
		if err == nil && failed != nil {
			err = fmt.Errorf("held back, because %s of the same bundle has failed", failed[0].Name)
		}
		r.failures = s.failures
		r.update(func(st *Status) {
			if err != nil || !r.pending || !r.tried { // else what the reload has reported holds
				st.Err, st.Failures, st.Retry = err, s.failures, s.retryAt
			}
			if err == nil && !r.pending {
				st.Reloaded, st.Done = index, !st.Differs
			}
		})
	}
}

// apply takes the set from seen to written.
func (s *set) apply(ctx context.Context, snap backends.Snapshot, gate gate) []*Error {
	jobs, failed := s.render(ctx, snap, gate)
	if failed != nil {
		return failed
	}
	s.resting = false
	for _, r := range s.members {
		if r.retry.Swap(false) {
			s.accept()
		}
	}
	changes := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !j.differs })
	if s.keeps() > 0 && len(changes) == 0 {
		s.digest = digestOf(jobs)
	}
	if len(changes) == 0 || s.members[0].opts.Noop {
		return s.unchanged(jobs, snap.Index)
	}
	if err := s.rejected(jobs); err != nil {
		s.resting = true
		return []*Error{changes[0].r.fault(err)}
	}
	return s.change(ctx, jobs, changes, snap.Index)
}

// render executes the templates and compares the destinations with what comes out.
// After an error it goes on, so that all of them are told at once.
func (s *set) render(ctx context.Context, snap backends.Snapshot, gate gate) ([]*job, []*Error) {
	var jobs []*job
	var failed []*Error
	for _, r := range s.members {
		j, err := r.prepare(ctx, snap, gate)
		if err != nil {
			failed = append(failed, r.fault(err))
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, failed
}

// unchanged notes that nothing is to be written, or with Options.Noop what would be.
func (s *set) unchanged(jobs []*job, index uint64) []*Error {
	var failed []*Error
	if !slices.ContainsFunc(jobs, func(j *job) bool { return j.differs }) {
		s.joined()
	}
	for _, j := range jobs {
		r := j.r
		if j.differs {
			r.log.Info("would replace file", "dest", j.t.path, "bytes", len(j.content), "index", index)
			r.update(func(st *Status) { st.Differs = true })
			r.show(j.t, j.content)
			continue
		}
		if err := r.settle(); err != nil {
			failed = append(failed, r.fault(err))
			continue
		}
		j.remember()
		r.update(func(st *Status) { st.Checked, st.Written, st.Differs = index, index, false })
	}
	return failed
}

// whole reports whether the files are of one version, and none is half written.
func (s *set) whole() bool {
	return !slices.ContainsFunc(s.members, func(r *Resource) bool { return r.torn || r.split })
}

// skip notes that the snapshot changes nothing for the set, or that what it changes is
// still waited out.
func (s *set) skip(index uint64) {
	for _, r := range s.members {
		r.update(func(st *Status) {
			st.Seen = index
			if s.failures > 0 || st.Differs || s.news.any() {
				return
			}
			st.Rendered, st.Checked, st.Written = index, index, index
			if !r.pending {
				st.Reloaded = index
			}
		})
	}
}

// retryDue reports whether a failed attempt is to be repeated.
func (s *set) retryDue(now time.Time) bool {
	return s.failures > 0 && !s.resting && !now.Before(s.retryAt)
}

// waits returns what the members wait for.
func (s *set) waits() []string {
	if len(s.members) == 1 {
		return s.members[0].waitsFor()
	}
	var all []string
	for _, r := range s.members {
		all = append(all, r.waitsFor()...)
	}
	return backends.Minimal(all)
}

// reloaded notes the outcome of the reload that was due.
func (r *Resource) reloaded(err error, failures int, retry time.Time, took time.Duration) {
	if err == nil {
		r.forget()
		r.owed = nil
	}
	r.update(func(s *Status) {
		s.ReloadTook = took
		s.ReloadErr, s.ReloadRetry = err, retry
		if err == nil {
			s.Reloaded = s.Written
			s.Reloads++
		} else {
			s.ReloadFailures++
			if s.Err == nil || r.failures == 0 {
				s.Err, s.Failures, s.Retry = err, failures, retry
			}
		}
		if err == nil && r.failures == 0 {
			s.Err, s.Failures, s.Retry, s.Done = nil, 0, time.Time{}, true
		}
	})
}
