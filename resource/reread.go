// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// A reread asks Follow or Poll to read the resources anew.
type reread struct {
	retry bool          // what was rolled back is to be tried again
	done  chan struct{} // closed when it is done
}

// Reread has Follow or Poll read the resources anew (Config.Load), one by one: those
// that have changed begin anew, one that is broken is told (State) and goes on as it was, and
// all are applied. With retry, also what was rolled back. It returns when the resources
// are those of the runner, or ctx has ended. It may be called while Follow or Poll runs.
func (run *Runner) Reread(ctx context.Context, retry bool) {
	again := reread{retry, make(chan struct{})}
	select {
	case run.rereads <- again:
	case <-ctx.Done():
		return
	}
	select {
	case <-again.done:
	case <-ctx.Done():
	}
}

// reread loads the resources anew. leave is called with the lanes that are no more. Each new
// one has to take over from them, when nobody works them any more.
func (run *Runner) reread(retry bool, leave func(gone []*lane)) {
	if run.load == nil {
		return
	}
	fresh, err := run.load()
	run.tellFaults(err)
	broken, known := brokenFiles(err)
	if known {
		run.adopt(fresh, broken, leave)
	}
	run.noteBroken(err)
	if !known {
		return
	}
	if retry {
		for _, r := range run.resources {
			r.retry.Store(true)
		}
	}
}

// rereadIdle is reread while nobody works a lane.
func (run *Runner) rereadIdle(retry bool) {
	run.reread(retry, func([]*lane) {})
	for _, l := range run.lanes {
		l.takeOver()
	}
}

// tellFaults logs what is wrong with the resources, unless it did so the last time.
func (run *Runner) tellFaults(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == run.reported:
	case text == "":
		run.log.Info("all resource files are in order again")
	default:
		for _, e := range single(err) {
			run.log.Error("reading resources; those with faults go on as they were", "err", e)
		}
	}
	run.reported = text
}

// single returns the errors that one has joined.
func single(err error) []error {
	if file, ok := err.(*FileError); ok {
		return single(file.Err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, single(e)...)
	}
	return all
}

// brokenFiles returns the files that the error is about, and whether it is about files
// only.
func brokenFiles(err error) (paths map[string]bool, known bool) {
	paths = make(map[string]bool)
	if err == nil {
		return paths, true
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		file, ok := errors.AsType[*FileError](err)
		if !ok {
			return nil, false
		}
		paths[file.Path] = true
	}
	return paths, true
}

// adopt makes the fresh resources those of the runner. An unchanged one remains the
// object it is, one that has changed inherits what is left to do, and one whose file is
// broken stays, unless a fresh one has taken its destination.
func (run *Runner) adopt(fresh []*Resource, broken map[string]bool, leave func(gone []*lane)) {
	byPath, byDest := make(map[string]*Resource), make(map[string]*Resource)
	for _, old := range run.resources {
		byPath[old.Path], byDest[old.Dest] = old, old
	}
	var next []*Resource
	heirs := make(map[*Resource]*Resource) // :: fresh one → the one it takes over from
	taken := make(map[string]bool)
	for _, r := range fresh {
		if old := byPath[r.Path]; old != nil && old.sameAs(r) {
			r = old
		} else if old := byDest[r.Dest]; old != nil {
			heirs[r] = old
		}
		taken[r.Dest] = true
		next = append(next, r)
	}
	for _, old := range run.resources {
		if under(broken, old.Path) && !taken[old.Dest] {
			next = append(next, old)
		}
	}
	byFile(next)
	lanes := replaceLanes(run.lanes, next, heirs)
	gone := slices.DeleteFunc(slices.Clone(run.lanes), func(l *lane) bool { return slices.Contains(lanes, l) })
	leave(gone)
	for r, old := range heirs {
		r.resemble(old) // until it takes over
	}
	run.mu.Lock()
	run.resources, run.lanes = next, lanes
	run.mu.Unlock()
}

// under reports whether the file, or a directory above it, is in the set.
func under(set map[string]bool, file string) bool {
	for {
		if set[file] {
			return true
		}
		parent := filepath.Dir(file)
		if parent == file {
			return false
		}
		file = parent
	}
}

// byFile sorts resources by the paths of their files, component by component, which is
// the order in which LoadDir finds them.
func byFile(resources []*Resource) {
	slices.SortStableFunc(resources, func(a, b *Resource) int {
		return slices.Compare(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"))
	})
}
