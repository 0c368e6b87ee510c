// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"slices"
	"time"
)

// A Broken is a resource file that cannot be used as it is now, for itself or for its
// template.
type Broken struct {
	Path  string    // of the file, or of a directory that cannot be read; "" is all of conf.d
	Names []string  // of the resources of it, whose versions of before go on; none if there was none
	Since time.Time // when it was found
	Err   error     // all that is wrong, joined, each as "file:line:column: …"
}

// noteBroken notes what Load has returned beside the resources, for State.
func (run *Runner) noteBroken(err error) {
	now := time.Now()
	run.mu.Lock()
	before, resources := run.broken, run.resources
	run.mu.Unlock()
	found := brokenOf(err)
	for i := range found {
		b := &found[i]
		b.Since = now
		if j := slices.IndexFunc(before, func(old Broken) bool { return old.Path == b.Path }); j >= 0 {
			b.Since = before[j].Since
		}
	}
	for _, r := range resources {
		var broken error
		for i := range found {
			if b := &found[i]; b.Path == "" || under(map[string]bool{b.Path: true}, r.Path) {
				b.Names = append(b.Names, r.Name)
				broken = b.Err
			}
		}
		r.setBroken(broken)
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.broken = found
}

// setBroken notes why the files of the resource cannot be used as they are now. It may be
// called while another goroutine applies the resource.
func (r *Resource) setBroken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Broken = err
}

// brokenOf takes an error of Load apart by files. What is about no file is one of its own.
func brokenOf(err error) []Broken {
	var found []Broken
	if err == nil {
		return nil
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		if file, ok := err.(*FileError); ok {
			found = append(found, Broken{Path: file.Path, Err: file.Err})
		} else {
			found = append(found, Broken{Err: err})
		}
	}
	return found
}
