// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// change makes the targets of the changes what they shall be: all of them, or none. The
// jobs are those of the whole set, since what one member reads of another is checked too.
func (s *set) change(ctx context.Context, jobs, changes []*job, index uint64) []*Error {
	defer discardAll(changes)
	for _, j := range changes {
		var err error
		if j.staged, err = j.r.stage(j.t.path, j.body); err != nil {
			return []*Error{j.r.fault(err)}
		}
	}
	if failed := s.check(ctx, jobs); failed != nil {
		return failed
	}
	for _, j := range jobs {
		j.r.update(func(st *Status) { st.Checked = index })
	}
	digest := digestOf(jobs)
	if failed := s.keepOld(changes); failed != nil {
		return failed
	}
	failed := s.replace(changes)
	failed = append(failed, s.settle(changes)...)
	for _, j := range changes {
		if j.touched && !j.r.torn && !j.r.split {
			j.r.log.Info("replaced file", "dest", j.t.path, "bytes", len(j.content), "index", index)
			j.r.update(func(st *Status) { st.Writes++; st.WrittenAt = time.Now() })
			j.remember() // also if it is not yet known to be on disk: it will be reloaded
		}
	}
	if failed != nil {
		return failed
	}
	s.digest = digest
	s.accept()
	for _, j := range jobs {
		if !j.differs {
			j.remember()
		}
		j.r.update(func(st *Status) { st.Written, st.Differs = index, false })
	}
	return nil
}

// discardAll removes the staged files that have not become the targets.
func discardAll(jobs []*job) {
	for _, j := range jobs {
		if j.staged != "" {
			j.r.discard(j.staged)
		}
		if j.undo != "" {
			j.r.unlink(j.undo)
		}
	}
}

// check runs the checks of all members, each with the file that its destination will
// be. In a bundle also those whose own file does not change: it may read one that does.
func (s *set) check(ctx context.Context, jobs []*job) []*Error {
	srcs := make(map[string]string)
	for _, j := range jobs {
		srcs[j.r.Dest] = j.r.Dest
		if j.staged != "" {
			srcs[j.r.Dest] = j.staged
		}
	}
	var failed []*Error
	for _, j := range jobs {
		if j.r.check == nil {
			continue
		}
		v := values{src: srcs[j.r.Dest], dest: j.r.Dest, srcs: srcs, keys: j.r.Keys, changed: j.changed}
		if err := j.r.runCheck(ctx, v); err != nil {
			failed = append(failed, j.r.fault(err))
		}
	}
	if failed == nil && ctx.Err() != nil { // nothing is begun that a stop would have to wait for
		failed = []*Error{jobs[0].r.fault(ctx.Err())}
	}
	return failed
}

func (r *Resource) runCheck(ctx context.Context, v values) error {
	bounded, cancel := within(ctx, r.CheckTimeout)
	defer cancel()
	start := time.Now()
	err := r.check.run(bounded, r, v)
	took := time.Since(start)
	r.update(func(s *Status) { s.CheckTook = took })
	if err != nil {
		return fmt.Errorf("checking: %w", err)
	}
	return nil
}

// replace makes the staged files the targets, one after the other. If one of several
// fails, those before it are put back. What a reload is due for is noted before.
//
// Should the process end in the middle, the notes say that the set is not whole, and
// the next attempt of any process writes all of it before it reloads.
func (s *set) replace(changes []*job) []*Error {
	if len(changes) > 1 {
		for _, j := range changes {
			if failed := j.prepareUndo(); failed != nil {
				return []*Error{j.r.fault(failed)}
			}
		}
	}
	before := make([]owing, len(changes))
	parts := len(changes) > 1 || !s.whole()
	for i, j := range changes {
		before[i] = j.r.owing
		j.r.split = parts
		j.r.owe()
	}
	var failed []*Error
	for _, j := range changes {
		written, err := j.swap()
		j.touched = written || j.r.torn
		if err != nil {
			failed = append(failed, j.r.fault(err))
		}
		if !written {
			s.undo(changes, before)
			return failed
		}
	}
	s.joined()
	return failed
}

// settle makes the new names durable. Where a reload is due, that only begins, and ends
// with the pass: the service reads the file by its name, which is there, and a crash after
// which the old file is back is one after which the service begins anew, and so does this
// program, which replaces the file and reloads.
func (s *set) settle(changes []*job) (failed []*Error) {
	for _, j := range changes {
		if j.r.pending && j.r.reload != nil {
			j.r.beginSettle()
		} else if err := j.r.settle(); err != nil {
			failed = append(failed, j.r.fault(err))
		}
	}
	return failed
}

// endSettle waits for what settle has begun, and notes what has failed.
func (s *set) endSettle(index uint64) (failed []*Error) {
	for _, r := range s.members {
		if err := r.endSettle(); err != nil {
			failed = append(failed, r.fault(err))
		}
	}
	if failed != nil {
		s.settled(failed, index)
	}
	return failed
}

// joined notes that all files are of one version.
func (s *set) joined() {
	for _, r := range s.members {
		if r.split {
			r.split = false
			r.note()
		}
	}
}

// prepareUndo stages the old file anew, so that putting it back takes no more than
// replacing it did.
func (j *job) prepareUndo() (err error) {
	if err := j.readOld(); err != nil || j.old.absent {
		return err
	}
	if j.undo, err = j.r.stage(j.t.path, j.old); err != nil {
		return fmt.Errorf("keeping the old file: %w", err)
	}
	return nil
}

// readOld reads what the target has, once.
func (j *job) readOld() error {
	if j.old.earlier {
		return nil
	}
	old := body{absent: !j.t.exists, want: j.t.has, earlier: true}
	if j.t.exists {
		var err error
		if old.content, err = os.ReadFile(j.t.path); err != nil {
			return fmt.Errorf("keeping the old file: %w", err)
		}
	}
	j.old = old
	return nil
}

// undo puts the targets that may not be what they were back, and what was owed before.
// A set that cannot be put back stays split: nothing is reloaded until it is whole.
func (s *set) undo(changes []*job, before []owing) {
	whole := true
	for _, j := range slices.Backward(changes) {
		if !j.touched || len(changes) == 1 {
			continue
		}
		back := &job{r: j.r, body: j.old, t: j.t, staged: j.undo}
		back.t.exists = true
		j.undo = ""
		if written, err := back.swap(); !written {
			whole = false
			j.r.log.Error("putting the old file back; nothing is reloaded until the bundle is whole", "dest", j.t.path, "err", err)
			continue
		}
		j.touched = false
		j.r.log.Warn("put the old file back, because another of the bundle could not be replaced", "dest", j.t.path)
	}
	for i, j := range changes {
		if torn := j.r.torn; !whole || torn {
			j.r.tried = before[i].tried
			continue
		}
		j.r.owing = before[i]
		if j.r.pending {
			j.r.note()
		} else {
			j.r.forget()
		}
	}
}

// swap makes the staged file the target, or removes the target; settle is to follow. It
// reports whether the target is what it shall be, which may be so although an error is
// returned too.
func (j *job) swap() (written bool, err error) {
	if !j.absent {
		staged := j.staged
		j.staged = ""
		written, err = j.r.replace(j.t, staged, j.body)
		j.r.torn = j.r.torn && !written
		return written, err
	}
	if !j.t.exists {
		return true, nil
	}
	if err := j.r.sys.remove(j.t.path); err != nil {
		return false, fmt.Errorf("removing: %w", err)
	}
	j.r.torn, j.r.unsynced = false, filepath.Dir(j.t.path)
	return true, nil
}
