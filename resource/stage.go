// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// wanted returns the owner and mode the destination shall have. An id of -1 is left to
// the operating system.
func (r *Resource) wanted(t target) attributes {
	want := attributes{uid: r.uid, gid: r.gid, mode: r.mode}
	if t.foreign { // who has put it there must not get to read what is written now
		t.exists, t.has = true, attributes{uid: os.Geteuid(), gid: os.Getegid(), mode: 0o644}
	}
	if t.exists {
		if want.uid < 0 {
			want.uid = t.has.uid
		}
		if want.gid < 0 {
			want.gid = t.has.gid
		}
	}
	if want.mode == unsetMode {
		want.mode = 0o644
		if t.exists {
			want.mode = t.has.mode
		}
	}
	return want
}

// stage writes what the target shall be to a new file beside it, and returns its path.
// If it fails, no file is left.
func (r *Resource) stage(target string, b body) (path string, err error) {
	defer r.shared.disk.enter()()
	path = stageName(target)
	var f file
	err = r.shared.dirs.change(path, func() (err error) {
		f, err = r.sys.create(path)
		return err
	})
	if err != nil {
		r.unlink(path) // whether the file is there is not known; its name is ours alone
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			return "", fmt.Errorf("staging in the directory of dest, which must be writable: %w", err)
		}
		return "", fmt.Errorf("staging: %w", err)
	}
	err = r.fill(f, b)
	if cerr := f.close(); err == nil {
		err = cerr
	}
	if err != nil {
		r.discard(path)
		return "", fmt.Errorf("staging: %w", err)
	}
	return path, nil
}

// stageName returns a name beside path that no other file has.
func stageName(path string) string {
	dir, base := filepath.Split(path)
	var random [stageDigits / 2]byte
	rand.Read(random[:]) // never fails
	return filepath.Join(dir, "."+base+stageMark+hex.EncodeToString(random[:]))
}

func (r *Resource) fill(f file, b body) error {
	if err := r.own(f, b); err != nil {
		return err
	}
	if _, err := f.Write(b.content); err != nil {
		return err
	}
	return f.sync()
}

// own gives f the owner and mode. What is configured must hold afterwards; there are
// file systems that accept a mode and do not keep it.
func (r *Resource) own(f file, b body) error {
	want := b.want
	if want.uid >= 0 || want.gid >= 0 {
		err := f.chown(want.uid, want.gid)
		kept := r.uid < 0 || r.gid < 0 // an id that is only kept, not configured
		switch {
		case !errors.Is(err, fs.ErrPermission):
		case b.earlier:
			r.log.Warn("the owner of the earlier file cannot be had; run as root, or own the file", "dest", r.Dest)
			err = nil
		case kept:
			err = r.ownConfigured(f, want)
		}
		if err != nil {
			return fmt.Errorf("setting the owner: %w", err)
		}
	}
	// After chown, which takes the set-id bits away.
	if err := f.chmod(want.mode); err != nil {
		return fmt.Errorf("setting the mode: %w", err)
	}
	got, err := f.attributes()
	if err != nil || b.earlier {
		return err
	}
	switch {
	case r.mode != unsetMode && got.mode != r.mode:
		return fmt.Errorf("setting the mode: the file system made %04o of %04o; leave mode out", got.mode, r.mode)
	case r.uid >= 0 && got.uid != r.uid, r.gid >= 0 && got.gid != r.gid:
		return fmt.Errorf("setting the owner: the file system made %d:%d of it; leave the owner out", got.uid, got.gid)
	}
	return nil
}

// ownConfigured sets the ids that are configured, and keeps the group where this
// process is allowed to.
func (r *Resource) ownConfigured(f file, want attributes) error {
	r.log.Warn("the owner of the file cannot be kept; run as root, or own the file", "dest", r.Dest)
	if r.gid < 0 {
		if err := f.chown(-1, want.gid); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	if r.uid < 0 && r.gid < 0 {
		return nil
	}
	return f.chown(r.uid, r.gid)
}

// discard removes a staged file, or if that is asked for keeps it and removes the one
// kept before: attempts that fail are repeated without end.
func (r *Resource) discard(path string) {
	if r.opts.KeepStageFile {
		r.log.Info("kept staged file", "path", path)
		path, r.kept = r.kept, path
	}
	if path != "" {
		r.unlink(path)
	}
}

// unlink removes a staged file. What cannot be removed is remembered for tidy.
func (r *Resource) unlink(path string) {
	if err := r.sys.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.leftover = append(r.leftover, path)
	}
}

// tidy removes what could not be removed before.
func (r *Resource) tidy() error {
	var errs []error
	r.leftover = slices.DeleteFunc(r.leftover, func(path string) bool {
		err := r.sys.remove(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return true
		}
		errs = append(errs, fmt.Errorf("removing staged file: %w", err))
		return false
	})
	return errors.Join(errs...)
}

// replace makes the staged file the target; settle is to follow. It reports whether the
// target has been written, which may be so although an error is returned too.
func (r *Resource) replace(t target, staged string, b body) (written bool, err error) {
	from := staged
	if r.opts.KeepStageFile {
		// A second name for the same file goes to the target, the first one stays.
		from = stageName(t.path)
		if err := r.shared.dirs.change(from, func() error { return r.sys.link(staged, from) }); err != nil {
			r.sys.remove(from)
			return false, fmt.Errorf("keeping staged file: %w", err)
		}
	}
	before, _ := os.Lstat(from)
	err = r.shared.dirs.change(t.path, func() error { return r.sys.rename(from, t.path) })
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EXDEV):
		if from != staged {
			r.sys.remove(from)
		}
		err = r.rewrite(t, b)
		r.discard(staged)
		return err == nil, err
	case err != nil:
		// An error does not prove that nothing happened.
		now, statErr := os.Lstat(t.path)
		written = statErr == nil && before != nil && os.SameFile(before, now)
		if written {
			r.unsynced = filepath.Dir(t.path)
		}
		if from != staged {
			r.sys.remove(from)
		}
		r.discard(staged)
		return written, fmt.Errorf("replacing: %w", err)
	}
	if r.opts.KeepStageFile {
		r.discard(staged)
	}
	r.unsynced = filepath.Dir(t.path)
	return true, nil
}

// settle syncs the directory in which a name was changed, if there is one.
func (r *Resource) settle() error {
	if r.unsynced == "" {
		return nil
	}
	return r.hasSettled(r.syncNames(r.unsynced))
}

// beginSettle begins to do so. No name of the resource may change until endSettle.
func (r *Resource) beginSettle() {
	if r.unsynced == "" {
		return
	}
	dir, done := r.unsynced, make(chan error, 1)
	r.settling = done
	go func() { done <- r.syncNames(dir) }()
}

// endSettle waits for the end of what beginSettle has begun, if it has.
func (r *Resource) endSettle() error {
	if r.settling == nil {
		return nil
	}
	err := <-r.settling
	r.settling = nil
	return r.hasSettled(err)
}

// hasSettled notes how the sync has ended. After an error there is to be another.
func (r *Resource) hasSettled(err error) error {
	if err != nil {
		return fmt.Errorf("syncing the directory: %w", err)
	}
	r.unsynced = ""
	return nil
}

func (r *Resource) syncNames(dir string) error {
	return r.shared.dirs.of(dir).sync(func() error { return r.sys.syncDir(dir) })
}

// rewrite writes the content over that of a target that cannot be replaced. While it
// may have had a part of its effect the resource is torn. Owner and mode come first: if
// they cannot be set, the content is as it was. Writing over the old content before
// cutting what is left of it needs no space that the file does not already have,
// unless it grows.
func (r *Resource) rewrite(t target, b body) error {
	r.log.Debug("rewriting in place: dest is a mount point", "dest", t.path)
	f, err := r.sys.open(t.path)
	if err != nil {
		return fmt.Errorf("rewriting in place: %w", err)
	}
	err = r.overwrite(f, t, b)
	if cerr := f.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("rewriting in place: %w", err)
	}
	r.torn = false
	r.note()
	return nil
}

func (r *Resource) overwrite(f file, t target, b body) error {
	if err := r.own(f, b); err != nil {
		if now, aerr := f.attributes(); aerr != nil || now != t.has {
			r.tear()
		}
		return err
	}
	r.tear()
	if _, err := f.Write(b.content); err != nil {
		return err
	}
	if err := f.truncate(int64(len(b.content))); err != nil {
		return err
	}
	return f.sync()
}

// tear notes that the target is no longer what it was, and not yet what it shall be.
func (r *Resource) tear() {
	r.torn = true
	r.note()
}
