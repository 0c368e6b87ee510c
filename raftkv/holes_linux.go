// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// nextData returns where at or behind at a file may have something that is not zero: the
// file system knows which parts were never written to. It returns io.EOF if nothing
// follows, and at where that cannot be told.
func nextData(f io.ReaderAt, at int64) (int64, error) {
	s, ok := f.(io.Seeker)
	if !ok {
		return at, nil
	}
	data, err := s.Seek(at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return at, io.EOF
	case err != nil || data < at:
		return at, nil
	}
	return data, nil
}

// noReadAhead has the system read no more of a file than it is asked for. What it has read
// where nothing was written counts as data from then on, so that to look at the first block
// behind the data would end in reading all of the file.
func noReadAhead(f io.ReaderAt) {
	c, ok := f.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Fadvise(int(fd), 0, 0, unix.FADV_RANDOM) }) // a hint
	}
}
