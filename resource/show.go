// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A Change is what would become of a destination.
type Change struct {
	Name   string // of the resource
	Dest   string // the file that would be replaced: where symbolic links lead
	Exists bool   // the file is there
	Old    []byte // what it has, nil if it is not there
	New    []byte // what it would have

	OldOwner, NewOwner string // "UID:GID", with "-" for an id that the system chooses
	OldMode, NewMode   uint32
}

// show tells Options.Show what would become of the target.
func (r *Resource) show(t target, content []byte) {
	if r.opts.Show == nil {
		return
	}
	want := r.wanted(t)
	c := Change{
		Name: r.Name, Dest: t.path, Exists: t.exists, New: content,
		OldOwner: owner(t.has), NewOwner: owner(want), OldMode: t.has.mode, NewMode: want.mode,
	}
	if t.exists {
		old, err := readTarget(t.path)
		if err != nil {
			r.log.Warn("reading dest, to show what would change", "dest", t.path, "err", err)
		}
		c.Old = old
	}
	r.opts.Show(c)
}

// readTarget returns what a target has. It has been looked at before, and may be another
// file by now: a link is not followed, a pipe not waited for.
func readTarget(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	content := make([]byte, info.Size())
	n, err := f.ReadAt(content, 0)
	if n < len(content) {
		return content[:n], err
	}
	return content, nil
}

func owner(a attributes) string {
	id := func(n int) string {
		if n < 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	return id(a.uid) + ":" + id(a.gid)
}
