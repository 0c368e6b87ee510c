// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A history is the earlier versions of one destination, a folder of StateDir. Each
// version is a file that is called by its generation: the time at which it was about to
// be replaced, the same for all members of a set. It begins with a line of JSON, and the
// content follows. Nobody but the user that confd runs as can read it.
type history struct {
	dir string
}

func (r *Resource) history() history {
	return history{filepath.Join(r.opts.StateDir, "backup", nameOf(r.Dest))}
}

// A version is what a destination was.
type version struct {
	Dest   string    `json:"dest"`
	Saved  time.Time `json:"saved"`
	Absent bool      `json:"absent,omitempty"` // there was no file
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	Mode   uint32    `json:"mode"`

	content []byte
}

func versionOf(dest string, b body, now time.Time) version {
	return version{dest, now, b.absent, b.want.uid, b.want.gid, b.want.mode, b.content}
}

func (v version) body() body {
	return body{content: v.content, absent: v.Absent, want: attributes{v.UID, v.GID, v.Mode}, earlier: true}
}

func (v version) same(other version) bool {
	return v.Absent == other.Absent && v.UID == other.UID && v.GID == other.GID && v.Mode == other.Mode &&
		bytes.Equal(v.content, other.content)
}

// generation returns the name of the versions that are replaced at a time. Names are in
// the order of time.
func generation(now time.Time) string { return now.UTC().Format("20060102T150405.000000000Z") }

// list returns the generations, the oldest first.
func (h history) list() ([]string, error) {
	entries, err := os.ReadDir(h.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading earlier versions: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "Z") { // else it is half written
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (h history) read(name string) (version, error) {
	data, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		return version{}, fmt.Errorf("reading an earlier version: %w", err)
	}
	head, content, _ := bytes.Cut(data, []byte("\n"))
	var v version
	if err := json.Unmarshal(head, &v); err != nil {
		return version{}, fmt.Errorf("reading an earlier version: %q is damaged: %w", filepath.Join(h.dir, name), err)
	}
	v.content = content
	return v, nil
}

// save adds a version, and returns its generation: that of the newest one if that is the
// same, as after a replacement that has failed and is tried again.
func (h history) save(sys system, v version) (string, error) {
	names, err := h.list()
	if err != nil {
		return "", err
	}
	if len(names) > 0 {
		last, err := h.read(names[len(names)-1])
		if err == nil && last.same(v) {
			return names[len(names)-1], nil
		}
	}
	head, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("keeping the old file: %w", err)
	}
	name := generation(v.Saved)
	path := filepath.Join(h.dir, name)
	if err := sys.mark(path+".new", string(head)+"\n"+string(v.content)); err != nil {
		return "", fmt.Errorf("keeping the old file: %w", err)
	}
	if err := sys.rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keeping the old file: %w", err)
	}
	return name, nil
}

// prune removes all versions but the newest ones, and those from a generation on. What
// cannot be removed stays until the next time.
func (h history) prune(sys system, keep int, from string) {
	names, err := h.list()
	if err != nil {
		return
	}
	for _, name := range names[:max(len(names)-keep, 0)] {
		if from == "" || name < from {
			sys.remove(filepath.Join(h.dir, name))
		}
	}
}

// since returns the version that there was before the generation: the oldest one that
// is not older. It is false if nothing has been replaced since then.
func (h history) since(gen string) (version, bool, error) {
	names, err := h.list()
	if err != nil {
		return version{}, false, err
	}
	i, _ := slices.BinarySearch(names, gen)
	if i == len(names) {
		return version{}, false, nil
	}
	v, err := h.read(names[i])
	return v, err == nil, err
}

// drop removes the versions from a generation on.
func (h history) drop(sys system, gen string) error {
	names, err := h.list()
	if err != nil {
		return err
	}
	i, _ := slices.BinarySearch(names, gen)
	for _, name := range names[i:] {
		if err := sys.remove(filepath.Join(h.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing an earlier version: %w", err)
		}
	}
	return nil
}
