// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links are followed one after the other, as in Linux.
const maxLinks = 40

// output has write write to a file, which is replaced when all is there, or to standard
// output if path is empty or leads there. What is no file, as a pipe, is written to.
func (c *call) output(ctx context.Context, path string, write func(io.Writer) error) error {
	if path == "" {
		return write(c.out)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return failure("looking at the file: %w", err)
	case err == nil && c.isOutput(info): // /dev/stdout, whatever that is
		return write(c.out)
	case err == nil && !info.Mode().IsRegular():
		return c.copyInto(ctx, path, write)
	}
	return copyToFile(path, write)
}

// isOutput tells whether a file is standard output.
func (c *call) isOutput(info fs.FileInfo) bool {
	f, ok := c.stdout.(*os.File)
	if !ok {
		return false
	}
	out, err := f.Stat()
	return err == nil && os.SameFile(info, out)
}

// copyInto writes to what is no regular file, such as a pipe or a device.
func (c *call) copyInto(ctx context.Context, path string, write func(io.Writer) error) error {
	type opened struct {
		f   *os.File
		err error
	}
	openings := make(chan opened, 1)
	go func() { // opening a pipe waits for a reader and cannot be ended; after an interrupt it dies with the process
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		openings <- opened{f, err}
	}()
	var o opened
	select {
	case <-ctx.Done():
		return ctx.Err()
	case o = <-openings:
	}
	if o.err != nil {
		return failure("opening the file: %w", o.err)
	}
	defer o.f.Close()
	defer context.AfterFunc(ctx, func() { _ = o.f.SetWriteDeadline(time.Unix(1, 0)) })() // a device has none
	if err := write(o.f); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	err := o.f.Sync()
	if errors.Is(err, unix.EINVAL) { // a pipe has nothing to sync
		err = nil
	}
	if err := errors.Join(err, o.f.Close()); err != nil {
		return failure("writing the file: %w", err)
	}
	return nil
}

// copyToFile makes a file, or replaces it when the copy is whole.
func copyToFile(path string, write func(io.Writer) error) error {
	path, err := followLinks(path)
	if err != nil {
		return failure("looking at the file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return failure("making the file: %w", err)
	}
	defer os.Remove(f.Name()) // nothing is left there after the rename
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return failure("writing the file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return failure("putting the file in its place: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// followLinks returns the path of the file that a symbolic link leads to; that file
// need not exist.
func followLinks(path string) (string, error) {
	for range maxLinks {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		target, err := os.Readlink(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL): // EINVAL: no link
			return path, nil
		case err != nil:
			return "", err
		case !filepath.IsAbs(target):
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", fmt.Errorf("%s: %w", path, unix.ELOOP)
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return failure("putting the file in its place: %w", err)
	}
	return nil
}
