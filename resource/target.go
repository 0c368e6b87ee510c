// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a destination may lead over, as in Linux.
const maxLinks = 40

// resolve returns the path of the file that dest, an absolute path, leads to: dest with
// all symbolic links followed. The file itself need not exist, its directory must. info is
// of the file, nil if there is none.
//
// The links are read here and not by the kernel, so its protection is repeated: a link
// that somebody else has put into a directory where everybody may, such as /tmp, is
// refused. It might lead to any file on the machine.
func resolve(dest string) (path string, info fs.FileInfo, err error) {
	path = "/"
	rest := strings.Split(dest, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." { // the parent of what a link leads to
			path, info = filepath.Dir(path), nil
			continue
		}
		next := filepath.Join(path, name)
		info, err = os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(rest) == 0:
			return next, nil, nil
		case errors.Is(err, fs.ErrNotExist):
			return "", nil, absent("directory %q does not exist; create it, or correct dest", next)
		case err != nil:
			return "", nil, fmt.Errorf("resolving dest: %w", err)
		case info.Mode()&fs.ModeSymlink == 0:
			path = next
			continue
		}
		if links++; links > maxLinks {
			return "", nil, fmt.Errorf("resolving dest: more than %d symbolic links at %q", maxLinks, dest)
		}
		if foreign(path, info) {
			return "", nil, fmt.Errorf("resolving dest: %q is a symbolic link that another user has made, in a directory that everybody may write to; remove it, or use another directory", next)
		}
		link, err := os.Readlink(next)
		if err != nil {
			return "", nil, fmt.Errorf("resolving dest: %w", err)
		}
		if info = nil; filepath.IsAbs(link) {
			path = "/"
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	if info == nil {
		if info, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return path, info, err
}

// paths remembers what directories lead to, for what may be as old as they are. The zero
// value is ready to use, concurrently.
type paths struct {
	mu   sync.Mutex
	dirs map[string]string // :: as written → without symbolic links
}

// resolve is resolve without looking at the directories again.
func (p *paths) resolve(dest string) (string, error) {
	dir, name := filepath.Split(dest)
	if name == "" || name == "." || name == ".." {
		path, _, err := resolve(dest)
		return path, err
	}
	p.mu.Lock()
	known, ok := p.dirs[dir]
	p.mu.Unlock()
	if ok {
		path := filepath.Join(known, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
	}
	path, _, err := resolve(dest)
	if err != nil || filepath.Base(path) != name {
		return path, err // perhaps of a link in that place
	}
	if at, _, err := resolve(dir); err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dirs == nil {
			p.dirs = make(map[string]string)
		}
		p.dirs[dir] = at
	}
	return path, nil
}

// foreign reports whether a directory entry may have been put there by anybody: the
// directory is one like /tmp, and the entry belongs neither to this process nor to the
// owner of the directory. The rule is that of the kernel (fs.protected_symlinks).
func foreign(dir string, entry fs.FileInfo) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return true
	}
	if info.Mode()&fs.ModeSticky == 0 || info.Mode()&0o002 == 0 {
		return false
	}
	owner := entry.Sys().(*syscall.Stat_t).Uid
	return int(owner) != os.Geteuid() && owner != info.Sys().(*syscall.Stat_t).Uid
}

// A target is the file a destination leads to, as it is now.
type target struct {
	path    string
	exists  bool
	has     attributes // if it exists
	same    bool       // its content is the rendered one
	foreign bool       // anybody may have put it there: its owner and mode mean nothing
}

// inspect looks at the file that dest leads to, and compares its content.
func inspect(dest string, content []byte) (target, error) {
	path, info, err := resolve(dest)
	if err != nil {
		return target{}, err
	}
	t := target{path: path}
	switch {
	case info == nil:
		return t, nil
	case !info.Mode().IsRegular():
		return t, fmt.Errorf("dest %q is not a regular file but %s", path, kind(info.Mode()))
	}
	// It may be another one by now: a link is not followed, a pipe not waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return t, fmt.Errorf("reading dest: %w", err)
	}
	defer f.Close()
	t.exists, t.foreign = true, foreign(filepath.Dir(path), info)
	if t.has, err = (osFile{f}).attributes(); err != nil {
		return t, fmt.Errorf("reading dest: %w", err)
	}
	t.same, err = holds(f, content)
	if err != nil {
		return t, fmt.Errorf("reading dest: %w", err)
	}
	return t, nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory; name a file in it"
	case mode&fs.ModeDevice != 0:
		return "a device"
	default:
		return "a socket or a pipe"
	}
}

// holds reports whether the rest of f is content.
func holds(f io.Reader, content []byte) (bool, error) {
	buf := make([]byte, min(len(content)+1, 64<<10)) // as most files are small
	for {
		n, err := f.Read(buf)
		if n > len(content) || !bytes.Equal(buf[:n], content[:n]) {
			return false, nil
		}
		content = content[n:]
		if err == io.EOF {
			return len(content) == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
}
