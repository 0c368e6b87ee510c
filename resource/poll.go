// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Poll applies every resource at once and then every interval, until ctx ends; then it
// waits for reloads that run, up to Config.StopTimeout, and returns nil. Before each
// pass the resources are read anew (Config.Load). The groups of a pass do not wait for
// each other; the next pass waits for all of them. What failed is tried again in
// between. The interval must be longer than nothing.
func (run *Runner) Poll(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("interval of %v is not longer than nothing", interval)
	}
	var next time.Time // of the next pass over everything
	failures := 0
	for ctx.Err() == nil {
		all := !time.Now().Before(next)
		if all {
			run.reread()
			next = time.Now().Add(interval)
		}
		retry, err := run.pollOnce(ctx, all)
		if err != nil {
			failures++
			run.reads.failed(ctx, nil, err)
			retry = time.Now().Add(min(delay(failures), scoutDelay))
		} else {
			failures = 0
			run.reads.ended(ctx, nil)
		}
		until := next
		if !retry.IsZero() && retry.Before(next) {
			until = retry
		}
		if err != nil && all {
			next = until // what was not read is not done
		}
		sleep(ctx, time.Until(until))
	}
	return nil
}

// pollOnce makes one pass, and returns when something that failed in it is to be tried
// again. The error is that of reading the values.
func (run *Runner) pollOnce(ctx context.Context, all bool) (retry time.Time, err error) {
	snap, err := run.backend.Snapshot(ctx, run.keys())
	if err != nil {
		return time.Time{}, err
	}
	var wg sync.WaitGroup
	for _, g := range run.groups {
		wg.Go(func() {
			out := g.pass(ctx, run, snap, all)
			if ctx.Err() == nil {
				out.report(run.log)
			}
		})
	}
	wg.Wait()
	for _, g := range run.groups {
		if t := g.next(); !t.IsZero() && (retry.IsZero() || t.Before(retry)) {
			retry = t
		}
	}
	return retry, nil
}

// reread loads the resources anew.
func (run *Runner) reread() {
	if run.load == nil {
		return
	}
	fresh, err := run.load()
	text := ""
	if err != nil {
		text = err.Error()
		if text != run.reported {
			run.log.Error("reading resources; those with faults go on as they were", "err", err)
		}
	} else if run.reported != "" {
		run.log.Info("all resource files are in order again")
	}
	run.reported = text
	broken, known := brokenFiles(err)
	if !known {
		return
	}
	run.adopt(fresh, broken)
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
func (run *Runner) adopt(fresh []*Resource, broken map[string]bool) {
	byPath, byDest := make(map[string]*Resource), make(map[string]*Resource)
	for _, old := range run.resources {
		byPath[old.Path], byDest[old.Dest] = old, old
	}
	var next []*Resource
	taken := make(map[string]bool)
	for _, r := range fresh {
		if old := byPath[r.Path]; old != nil && old.sameAs(r) {
			r = old
		} else if old := byDest[r.Dest]; old != nil {
			r.inherit(old)
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
	retries := make(map[string]*group)
	for _, g := range run.groups {
		retries[g.command] = g
	}
	run.groups = groupBy(next)
	for _, g := range run.groups {
		if old := retries[g.command]; old != nil && g.command != "" {
			g.failures, g.retryAt = old.failures, old.retryAt
		}
	}
	run.mu.Lock()
	run.resources = next
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
