// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// An Earlier is an earlier version of a destination.
type Earlier struct {
	Version string    // its name
	Until   time.Time // when it was replaced
	Size    int
	Absent  bool // there was no file
}

// Earlier returns the versions of a destination that are kept, the newest first.
func (run *Runner) Earlier(dest string) ([]Earlier, error) {
	_, r, err := run.find(dest)
	if err != nil {
		return nil, err
	}
	names, err := r.history().list()
	if err != nil {
		return nil, err
	}
	var all []Earlier
	for _, name := range slices.Backward(names) {
		v, err := r.history().read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, Earlier{name, v.Saved, len(v.content), v.Absent})
	}
	return all, nil
}

// ErrNoVersion is the error of RollBack if there is no such version.
var ErrNoVersion = errors.New("there is no such version")

// find returns the set and the resource of a destination.
func (run *Runner) find(dest string) (*set, *Resource, error) {
	for _, l := range run.lanes {
		for _, s := range l.sets {
			for _, r := range s.members {
				if r.Dest == dest {
					return s, r, nil
				}
			}
		}
	}
	return nil, nil, fmt.Errorf("no resource has the destination %q", dest)
}

// RollBack puts a destination, and those of its bundle, back to an earlier version, the
// last one if it is not named, and reloads. What they have now is not applied again by
// any process until the keys make something else of it, or somebody asks for it. It
// takes no backend.
func (run *Runner) RollBack(ctx context.Context, dest, name string) error {
	s, r, err := run.find(dest)
	if err != nil {
		return err
	}
	names, err := r.history().list()
	if err != nil {
		return err
	}
	switch {
	case len(names) == 0 && s.keeps() == 0:
		return errors.New("no earlier version is kept; give the resource backup = N or rollback = true")
	case len(names) == 0:
		return errors.New("there is no earlier version yet")
	case name == "":
		name = names[len(names)-1]
	case !slices.Contains(names, name):
		return fmt.Errorf("%w: %q", ErrNoVersion, name)
	}
	if s.digest, err = s.present(); err != nil {
		return err
	}
	for _, r := range s.members {
		r.start()
	}
	if err := s.putBack(name); err != nil {
		return err
	}
	var errs []error
	for _, rl := range s.reloads {
		if due := rl.due(); len(due) > 0 {
			errs = append(errs, rl.run(ctx, run, due))
		}
	}
	return errors.Join(errs...)
}

// errByHand ends the message of a set that another process has rolled back.
var errByHand = fmt.Errorf("%w, by hand; it stays until keys or template change, or SIGHUP asks for what they make now", errRolledBack)

// noteApplied notes what takenBack compares with.
func (s *set) noteApplied(succeeded bool) {
	s.applied.Store(nil)
	if succeeded && s.keeps() > 0 {
		digest := s.digest
		s.applied.Store(&digest)
	}
}

// takenBack reports whether RollBack of another process has taken back what this one has
// applied, which it will not learn before it looks at the files again. It may be called at
// any time.
func (s *set) takenBack() bool {
	applied := s.applied.Load()
	if applied == nil {
		return false
	}
	rejected, err := s.rejects(*applied)
	if err != nil || !rejected {
		return false
	}
	now, err := s.present()
	return err == nil && now != *applied
}

// present returns the digest of what the files have.
func (s *set) present() (string, error) {
	var jobs []*job
	for _, r := range s.members {
		j := &job{r: r}
		path, _, err := resolve(r.Dest)
		if err == nil {
			j.content, err = os.ReadFile(path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("reading dest: %w", err)
		}
		jobs = append(jobs, j)
	}
	return digestOf(jobs), nil
}
