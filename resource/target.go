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

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links a destination may lead over, as in Linux.
const maxLinks = 40

// resolve returns the path of the file that dest leads to: dest with all symbolic links
// followed. The file itself need not exist, its directory must.
func resolve(dest string) (string, error) {
	path := dest
	for range maxLinks {
		// Split keeps ".." in place: it means the parent of what a link leads to.
		dir, base := filepath.Split(path)
		real, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("directory %q does not exist; create it, or correct dest: %w", filepath.Clean(dir), fs.ErrNotExist)
		}
		if err != nil {
			return "", fmt.Errorf("resolving dest: %w", err)
		}
		path = filepath.Join(real, base)
		link, err := os.Readlink(path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EINVAL): // no file, no link
			return path, nil
		case err != nil:
			return "", fmt.Errorf("resolving dest: %w", err)
		case filepath.IsAbs(link):
			path = link
		default:
			path = real + string(filepath.Separator) + link
		}
	}
	return "", fmt.Errorf("resolving dest: more than %d symbolic links at %q", maxLinks, dest)
}

// A target is the file a destination leads to, as it is now.
type target struct {
	path   string
	exists bool
	has    attributes // if it exists
	same   bool       // its content is the rendered one
}

// inspect looks at the file that dest leads to, and compares its content.
func inspect(dest string, content []byte) (target, error) {
	path, err := resolve(dest)
	if err != nil {
		return target{}, err
	}
	t := target{path: path}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return t, fmt.Errorf("reading dest: %w", err)
	case !info.Mode().IsRegular():
		return t, fmt.Errorf("dest %q is not a regular file but %s", path, kind(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return t, fmt.Errorf("reading dest: %w", err)
	}
	defer f.Close()
	t.exists = true
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
	buf := make([]byte, 64<<10)
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

const (
	stageMark   = ".confd-"
	stageDigits = 16
)

// isStage reports whether name is that of a staged file for a file called base.
func isStage(name, base string) bool {
	digits, ok := strings.CutPrefix(name, "."+base+stageMark)
	return ok && len(digits) == stageDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// sweep removes staged files that an earlier process has left behind. What cannot be
// removed does no harm and stays.
func (r *Resource) sweep() {
	path, err := resolve(r.Dest)
	if err != nil {
		return // the attempt itself will tell
	}
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !isStage(entry.Name(), base) {
			continue
		}
		left := filepath.Join(dir, entry.Name())
		err := r.sys.remove(left)
		if err == nil {
			r.log.Info("removed leftover staged file", "path", left)
		} else if !errors.Is(err, fs.ErrNotExist) {
			r.log.Warn("removing leftover staged file", "err", err)
		}
	}
}
