// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keeps reports how many earlier versions of its files the set keeps; 0 = none.
func (s *set) keeps() int {
	keep := 0
	for _, r := range s.members {
		keep = max(keep, r.backup)
		if r.rollback {
			keep = max(keep, 1)
		}
	}
	return keep
}

// rollsBack reports whether a reload that fails puts the files back.
func (s *set) rollsBack() bool {
	return slices.ContainsFunc(s.members, func(r *Resource) bool { return r.rollback })
}

// owes reports whether a reload of the set is due.
func (s *set) owes() bool {
	return slices.ContainsFunc(s.members, func(r *Resource) bool { return r.pending })
}

// keepOld saves the targets as they are, before they are replaced. The generation that
// is there while no reload is due is the one to go back to.
func (s *set) keepOld(changes []*job) []*Error {
	keep := s.keeps()
	if keep == 0 {
		return nil
	}
	now := time.Now()
	oldest := ""
	for _, j := range changes {
		if err := j.readOld(); err != nil {
			return []*Error{j.r.fault(err)}
		}
		gen, err := j.r.history().save(j.r.sys, versionOf(j.r.Dest, j.old, now))
		if err != nil {
			return []*Error{j.r.fault(err)}
		}
		if oldest == "" || gen < oldest {
			oldest = gen
		}
	}
	if good := s.good(); s.owes() && good != "" {
		oldest = good
	}
	for _, r := range s.members {
		r.good = oldest
		r.history().prune(r.sys, keep, oldest)
	}
	return nil
}

// good returns the generation to go back to, "" if there is none.
func (s *set) good() string {
	good := ""
	for _, r := range s.members {
		if r.good != "" && (good == "" || r.good < good) {
			good = r.good
		}
	}
	return good
}

// putBack makes the files what they were before a generation, all or none, and notes
// that their reloads are due. The content that is taken back is not applied again.
func (s *set) putBack(gen string) error {
	changes, err := s.earlier(gen)
	if err != nil {
		return err
	}
	defer discardAll(changes)
	for _, j := range changes {
		if j.absent {
			continue
		}
		if j.staged, err = j.r.stage(j.t.path, j.body); err != nil {
			return err
		}
	}
	failed := s.replace(changes)
	for _, j := range changes {
		if err := j.r.settle(); err != nil {
			failed = append(failed, j.r.fault(err))
		}
	}
	if failed != nil {
		return failed[0].Err
	}
	for _, j := range changes {
		j.r.log.Warn("put the earlier version of the file back", "dest", j.t.path)
	}
	for _, r := range s.members {
		r.good = ""
		r.owe()
		r.written = nil
		if err := r.history().drop(r.sys, gen); err != nil {
			r.log.Warn("taking the version that is in place out of the history", "err", err)
		}
	}
	s.resting = true
	return s.reject()
}

// rolledBack notes why the files were put back. All of them are what they were when the
// members had last been applied together; one that has no reload of its own had gone on.
func (s *set) rolledBack(cause error) {
	s.failures = 1
	together := uint64(math.MaxUint64)
	for _, r := range s.members {
		r.update(func(st *Status) { together = min(together, st.Reloaded) })
	}
	for _, r := range s.members {
		r.failures = 1
		r.update(func(st *Status) {
			st.Written, st.Reloaded = together, together
			st.Err, st.Failures, st.Retry = fmt.Errorf("%w; %w", cause, errRolledBack), 1, time.Time{}
			st.Rollbacks++
		})
	}
}

// has reports whether r is a member.
func (s *set) has(r *Resource) bool { return slices.Contains(s.members, r) }

// earlier returns what there is to do to go back to before a generation.
func (s *set) earlier(gen string) ([]*job, error) {
	var changes []*job
	found := false
	for _, r := range s.members {
		v, ok, err := r.history().since(gen)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		found = true
		j := &job{r: r, body: v.body()}
		if j.t, err = inspect(r.Dest, v.content); err != nil {
			return nil, err
		}
		if v.Absent && j.t.exists || !v.Absent && !(j.t.exists && j.t.same && j.t.has == j.want) {
			changes = append(changes, j)
		}
	}
	if !found {
		return nil, errors.New("there is no earlier version")
	}
	return changes, nil
}

// rejection returns the path of the file that names the contents which are not to be
// applied, by their digests, one a line.
func (s *set) rejection() string {
	return filepath.Join(s.members[0].opts.StateDir, "rejected", nameOf(s.name))
}

// digestOf returns what tells the contents of a set from others.
func digestOf(jobs []*job) string {
	h := sha256.New()
	for _, j := range jobs {
		fmt.Fprintf(h, "%q %d\n", j.r.Dest, len(j.content))
		h.Write(j.content)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// reject notes that what the set had before it was put back is not to be applied.
func (s *set) reject() error {
	if s.digest == "" {
		return nil
	}
	before, err := os.ReadFile(s.rejection()) // whoever goes back two versions wants neither
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for what was rolled back: %w", err)
	}
	if err := s.members[0].sys.mark(s.rejection(), string(before)+s.digest+"\n"); err != nil {
		return fmt.Errorf("noting what was rolled back: %w", err)
	}
	return nil
}

// rejected returns an error if the contents were rolled back before.
func (s *set) rejected(jobs []*job) error {
	if s.keeps() == 0 {
		return nil
	}
	rejected, err := s.rejects(digestOf(jobs))
	if err != nil || !rejected {
		return err
	}
	return fmt.Errorf("%w: what the keys make of it was taken back before and is not applied again; change keys or template, send SIGHUP to a daemon, or remove %s", errRolledBack, s.rejection())
}

// rejects reports whether contents with that digest were rolled back.
func (s *set) rejects(digest string) (bool, error) {
	data, err := os.ReadFile(s.rejection())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for what was rolled back: %w", err)
	}
	return slices.Contains(strings.Fields(string(data)), digest), nil
}

// accept forgets what was rolled back.
func (s *set) accept() {
	if s.keeps() == 0 {
		return
	}
	r := s.members[0]
	if err := r.sys.remove(s.rejection()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("forgetting what was rolled back", "err", err)
	}
}
