// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A found is a file to be read, as a scan met it.
type found struct {
	name string // as the user knows it
	info fs.FileInfo
}

// A scan looks for files, and watches the way to them while it goes, so that whatever
// changes after it has looked makes an event.
type scan struct {
	filter string
	watch  func(dir, name string) // dir is free of symlinks; name "" is everything in it
	files  []found
}

// root adds the file at an absolute path, or the files in the directory there.
func (s *scan) root(name string) error {
	if info, err := os.Stat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		s.files = append(s.files, found{name, info}) // a pipe, whose link in /dev/fd leads nowhere
		return nil
	}
	real, info, err := s.follow(name)
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, reason(err))
	}
	if info.IsDir() {
		return s.dir(name, real, []fs.FileInfo{info})
	}
	s.files = append(s.files, found{name, info})
	return nil
}

// dir adds the files in a directory and in those below it, in lexical order. The chain
// is the directories on the way to it and itself: a link back to one of them is not
// followed.
func (s *scan) dir(name, real string, chain []fs.FileInfo) error {
	s.watch(real, "")
	entries, err := os.ReadDir(real)
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, reason(err))
	}
	for _, e := range entries {
		if litter(e.Name()) {
			continue
		}
		if err := s.entry(filepath.Join(name, e.Name()), filepath.Join(real, e.Name()), e, chain); err != nil {
			return err
		}
	}
	return nil
}

// entry adds one entry of a directory.
func (s *scan) entry(name, real string, e fs.DirEntry, chain []fs.FileInfo) error {
	matches, err := filepath.Match(s.filter, e.Name())
	if err != nil {
		return fmt.Errorf("filter %q: %w", s.filter, err)
	}
	var info fs.FileInfo
	switch e.Type() {
	case fs.ModeSymlink:
		if real, info, err = s.follow(real); err != nil && !matches {
			return nil
		}
	case fs.ModeDir:
		info, err = e.Info()
	default:
		if !matches {
			return nil
		}
		info, err = e.Info()
	}
	if errors.Is(err, fs.ErrNotExist) && e.Type() != fs.ModeSymlink {
		return nil // removed since the directory was listed
	}
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, reason(err))
	}
	if info.IsDir() {
		for _, above := range chain {
			if os.SameFile(above, info) {
				return nil
			}
		}
		return s.dir(name, real, append(chain[:len(chain):len(chain)], info))
	}
	if matches && info.Mode().IsRegular() {
		s.files = append(s.files, found{name, info})
	}
	return nil
}

// litter reports whether a directory entry is none of the user's: the inner directories
// of a mounted Kubernetes volume ("..data"), whose files are linked to from outside,
// and what editors leave beside a file that is being edited.
func litter(name string) bool {
	switch filepath.Ext(name) {
	case ".swp", ".swo", ".swx":
		return strings.HasPrefix(name, ".")
	}
	return strings.HasPrefix(name, "..") || strings.HasPrefix(name, ".#") ||
		strings.HasSuffix(name, "~") ||
		strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#")
}

// follow resolves an absolute path link by link. It watches the directory of each link
// and of the end, and where something is missing, the last directory there is.
func (s *scan) follow(name string) (real string, info fs.FileInfo, err error) {
	const maxLinks = 40 // as Linux has it
	rest := strings.Split(strings.Trim(filepath.Clean(name), "/"), "/")
	real = "/"
	for links := 0; len(rest) > 0; {
		part := rest[0]
		next := filepath.Join(real, part)
		info, err = os.Lstat(next)
		last := len(rest) == 1
		if err != nil || info.Mode()&fs.ModeSymlink != 0 || last {
			s.watch(real, part) // and look again: it may have changed before the watch
			info, err = os.Lstat(next)
		}
		if err != nil {
			return "", nil, err
		}
		rest = rest[1:]
		if info.Mode()&fs.ModeSymlink == 0 {
			real = next
			continue
		}
		if links++; links > maxLinks {
			return "", nil, errors.New("too many levels of symbolic links")
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", nil, err
		}
		if filepath.IsAbs(target) {
			real = "/"
		} else {
			target = filepath.Join(real, target) // real has no link: ".." may be cut lexically
			real = "/"
		}
		if trimmed := strings.Trim(filepath.Clean(target), "/"); trimmed != "" {
			rest = append(strings.Split(trimmed, "/"), rest...)
		}
	}
	if info == nil {
		info, err = os.Lstat(real)
	}
	return real, info, err
}

// reason returns an error of package os without the operation and the path, which the
// caller tells better.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// same reports whether two scans found the same files, each unchanged as far as its
// size and times tell.
func same(a, b []found) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].name != b[i].name || !unchanged(a[i].info, b[i].info) {
			return false
		}
	}
	return true
}

func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}
