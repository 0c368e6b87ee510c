// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A system is the part of the operating system that changes files. Each method is one
// system call, or a sequence in which the first one that fails is reported, so that a
// test can fail exactly that one, before or after it has had its effect.
type system interface {
	create(path string) (file, error) // a new file with mode 0600
	open(path string) (file, error)   // an existing file that is no link, for writing at its start
	rename(from, to string) error
	link(from, to string) error
	remove(path string) error
	syncDir(path string) error
	mark(path, text string) error // a small file that need not be durable, and its directories
}

// A file is open for writing.
type file interface {
	io.Writer
	chown(uid, gid int) error // -1 leaves one as it is
	chmod(mode uint32) error  // permission and set-id bits
	attributes() (attributes, error)
	truncate(size int64) error
	sync() error
	close() error
}

// attributes are what a file has besides its content.
type attributes struct {
	uid, gid int
	mode     uint32 // permission and set-id bits
}

func attributesOf(stat *unix.Stat_t) attributes {
	return attributes{uid: int(stat.Uid), gid: int(stat.Gid), mode: stat.Mode & 0o7777}
}

type osSystem struct{}

func (osSystem) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return osFile{f}, err
}

func (osSystem) open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	return osFile{f}, err
}

func (osSystem) rename(from, to string) error { return os.Rename(from, to) }
func (osSystem) link(from, to string) error   { return os.Link(from, to) }
func (osSystem) remove(path string) error     { return os.Remove(path) }

func (osSystem) syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil // the file system syncs names with the file, or not at all
	}
	return err
}

func (osSystem) mark(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

type osFile struct{ *os.File }

func (f osFile) chown(uid, gid int) error  { return f.Chown(uid, gid) }
func (f osFile) truncate(size int64) error { return f.Truncate(size) }
func (f osFile) sync() error               { return f.Sync() }
func (f osFile) close() error              { return f.Close() }

func (f osFile) chmod(mode uint32) error {
	if err := unix.Fchmod(int(f.Fd()), mode); err != nil {
		return &os.PathError{Op: "chmod", Path: f.Name(), Err: err}
	}
	return nil
}

func (f osFile) attributes() (attributes, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return attributes{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return attributesOf(&stat), nil
}
