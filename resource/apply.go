// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"time"

	"confd/backends"
)

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

// attempt brings the destination to the state of the snapshot, and notes how far it
// came. It does not reload.
func (r *Resource) attempt(ctx context.Context, snap backends.Snapshot, gate gate) error {
	if !r.started {
		r.started = true
		if !r.opts.Noop {
			r.recall()
		}
		if !r.opts.Noop && !r.opts.KeepStageFile {
			r.sweep()
		}
	}
	err := r.apply(ctx, snap, gate)
	if left := r.tidy(); err == nil {
		err = left
	}
	if r.stale && !r.pending || r.ReloadCmd == "" && r.pending && !r.opts.SyncOnly {
		r.forget() // again; or the command has gone since it was noted
	}
	if err != nil && ctx.Err() != nil {
		return err // told to stop: no fault of the resource
	}
	r.failures++
	r.retryAt = time.Now().Add(delay(r.failures))
	if err == nil {
		r.failures, r.retryAt = 0, time.Time{}
	}
	r.update(func(s *Status) {
		if err != nil || !r.pending || !r.tried { // else what the reload has reported holds
			s.Err, s.Failures, s.Retry = err, r.failures, r.retryAt
		}
		if err == nil && !r.pending {
			s.Reloaded = snap.Index
		}
	})
	return err
}

// apply takes the resource from seen to written.
func (r *Resource) apply(ctx context.Context, snap backends.Snapshot, gate gate) error {
	r.update(func(s *Status) { s.Seen = snap.Index })
	content, err := r.render(ctx, snap, gate)
	if err != nil {
		return err
	}
	r.update(func(s *Status) { s.Rendered = snap.Index })
	t, err := inspect(r.Dest, content)
	if err != nil {
		return err
	}
	if t.exists && t.same && t.has == r.wanted(t) && !r.torn {
		if err := r.settle(); err != nil {
			return err
		}
		r.update(func(s *Status) { s.Checked, s.Written, s.Differs = snap.Index, snap.Index, false })
		return nil
	}
	if r.opts.Noop {
		r.log.Info("would replace file", "dest", t.path, "bytes", len(content), "index", snap.Index)
		r.update(func(s *Status) { s.Differs = true })
		r.show(t, content)
		return nil
	}
	return r.change(ctx, t, content, snap.Index)
}

// render executes the template, no more of them at a time than the gate lets through.
func (r *Resource) render(ctx context.Context, snap backends.Snapshot, gate gate) ([]byte, error) {
	if err := gate.enter(ctx); err != nil {
		return nil, err
	}
	defer gate.leave()
	r.waits = nil // a rendering that fails may depend on anything
	out, err := r.source.Render(ctx, snap.Keys.Under(r.Keys))
	if err != nil {
		return nil, fmt.Errorf("rendering: %w", err)
	}
	r.waits = narrow(out.Reads, r.Keys)
	return out.Bytes, nil
}

// change stages the content, checks it, and makes it the target.
func (r *Resource) change(ctx context.Context, t target, content []byte, index uint64) error {
	staged, err := r.stage(t, content)
	if err != nil {
		return err
	}
	if err := r.checkStaged(ctx, staged); err != nil {
		r.discard(staged)
		return err
	}
	r.update(func(s *Status) { s.Checked = index })
	pending, tried := r.pending, r.tried
	if r.ReloadCmd != "" {
		r.pending, r.tried = true, false
		r.note(r.mark())
	}
	written, err := r.replace(t, staged, content)
	if !written {
		r.tried = tried
		if !pending && r.pending && !r.torn {
			r.forget()
		}
	}
	if written {
		r.torn = false
		r.update(func(s *Status) { s.Writes++ })
		r.log.Info("replaced file", "dest", t.path, "bytes", len(content), "index", index)
	}
	if err == nil {
		r.update(func(s *Status) { s.Written, s.Differs = index, false })
	}
	return err
}

// mark returns what the marker says before the target is touched.
func (r *Resource) mark() string {
	if r.torn {
		return markTorn
	}
	return markDue
}

// checkStaged runs check_cmd on the staged file.
func (r *Resource) checkStaged(ctx context.Context, staged string) error {
	if r.check != nil {
		line, err := expand(r.check, staged, r.Dest)
		if err != nil {
			return fmt.Errorf("expanding check_cmd: %w", err)
		}
		if err := r.shell(ctx, r.log, line, r.CheckTimeout); err != nil {
			return fmt.Errorf("checking: %w", err)
		}
	}
	return ctx.Err() // nothing is begun that a stop would have to wait for
}

// skip notes that the snapshot changes nothing for the resource.
func (r *Resource) skip(index uint64) {
	r.update(func(s *Status) {
		s.Seen = index
		if r.failures > 0 || s.Differs {
			return
		}
		s.Rendered, s.Checked, s.Written = index, index, index
		if !r.pending {
			s.Reloaded = index
		}
	})
}

// due reports whether a failed attempt is to be repeated.
func (r *Resource) due(now time.Time) bool { return r.failures > 0 && !now.Before(r.retryAt) }

// reloaded notes the outcome of the reload command that was due.
func (r *Resource) reloaded(err error, failures int, retry time.Time) {
	if err == nil {
		r.forget()
	}
	r.update(func(s *Status) {
		if err == nil {
			s.Reloaded = s.Written
		} else if s.Err == nil || r.failures == 0 {
			s.Err, s.Failures, s.Retry = err, failures, retry
		}
		if err == nil && r.failures == 0 {
			s.Err, s.Failures, s.Retry = nil, 0, time.Time{}
		}
	})
}

// inherit takes over what an earlier version of the resource, with the same
// destination, has left to do.
func (r *Resource) inherit(old *Resource) {
	r.started, r.pending, r.tried, r.torn = old.started, old.pending, old.tried, old.torn
	r.unsynced, r.leftover, r.stale, r.warned = old.unsynced, old.leftover, old.stale, old.warned
	r.kept = old.kept
	r.update(func(s *Status) {})
}
