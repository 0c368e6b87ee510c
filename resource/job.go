// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"iter"
	"time"

	"confd/backends"
)

// A job is what one pass has to do for one member of a set.
type job struct {
	r       *Resource
	keys    backends.Keys // that the content comes from; nil for an earlier version of the file
	changed []string      // of them, what is not what it was; only if a command asks for it
	body
	t       target // as it was before
	differs bool   // from what it shall be
	staged  string // the new file beside the target; "" if there is none
	old     body   // what the target has, for who may have to put it back
	undo    string // the old file staged anew; "" if there is none
	touched bool   // the target may not be what it was
}

// A body is what a file is to become.
type body struct {
	content []byte
	want    attributes
	absent  bool // it is to go
	earlier bool // it is what the file was before: an owner that cannot be set is no fault
}

// prepare renders the template and looks at the destination.
func (r *Resource) prepare(ctx context.Context, snap backends.Snapshot, gate gate) (*job, error) {
	r.update(func(s *Status) { s.Seen, s.SeenAt = snap.Index, time.Now() })
	j := &job{r: r, keys: snap.Keys.Under(r.Keys)}
	if err := r.guard(j.keys); err != nil {
		r.waits = nil
		return nil, err
	}
	var err error
	if j.content, err = r.render(ctx, j.keys, gate); err != nil {
		return nil, err
	}
	r.update(func(s *Status) { s.Rendered = snap.Index })
	if j.t, err = inspect(r.Dest, j.content); err != nil {
		return nil, err
	}
	j.want = r.wanted(j.t)
	j.differs = !j.t.exists || !j.t.same || j.t.has != j.want || r.torn
	if j.t.exists && !j.t.same && !r.opts.Noop {
		r.knowFormer(j)
	}
	if r.tellsChanged {
		j.changed = difference(r.written, j.keys)
	}
	return j, nil
}

// render executes the template, no more of them at a time than the gate lets through.
func (r *Resource) render(ctx context.Context, keys backends.Keys, gate gate) ([]byte, error) {
	if err := gate.enter(ctx); err != nil {
		return nil, err
	}
	defer gate.leave()
	r.waits = nil // a rendering that fails may depend on anything
	start := time.Now()
	out, err := r.source.Render(ctx, keys)
	took := time.Since(start)
	r.update(func(s *Status) { s.RenderTook = took })
	if err != nil {
		return nil, fmt.Errorf("rendering: %w", err)
	}
	r.waits = narrow(out.Reads, r.Keys)
	return out.Bytes, nil
}

// remember notes that the destination is what the keys make of it.
func (j *job) remember() {
	if !j.r.tellsChanged {
		return // the keys are not held for longer than they are needed
	}
	if j.differs || j.r.pending && j.r.written == nil { // for a reload owed by an earlier process all counts as changed
		j.r.owed = append(j.r.owed, j.changed...)
	}
	j.r.written = j.keys
}

// difference returns the keys that are in one of the two only, or have another value.
// Without old ones all are new.
func difference(old, fresh backends.Keys) []string {
	var keys []string
	if old == nil {
		for key := range fresh.From("") {
			keys = append(keys, key)
		}
		return keys
	}
	nextOld, stopOld := iter.Pull2(old.From(""))
	defer stopOld()
	nextFresh, stopFresh := iter.Pull2(fresh.From(""))
	defer stopFresh()
	a, av, aok := nextOld()
	b, bv, bok := nextFresh()
	for aok || bok {
		switch {
		case !bok || aok && a < b:
			keys = append(keys, a)
			a, av, aok = nextOld()
		case !aok || b < a:
			keys = append(keys, b)
			b, bv, bok = nextFresh()
		default:
			if av != bv {
				keys = append(keys, a)
			}
			a, av, aok = nextOld()
			b, bv, bok = nextFresh()
		}
	}
	return keys
}
