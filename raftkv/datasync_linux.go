// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"os"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"
)

// A dataFile is a file of the log. A sync makes durable what is in it, and what has to be known to
// read that, but not when it was written, which would be one more thing for the file system to
// write. The first one makes all durable, as the file may be new.
type dataFile struct {
	types.WritableFile
	raw   syscall.RawConn
	known atomic.Bool // all of it is durable, but for what was written since
}

// syncsData returns a file that does the same as f with less to sync, or f itself if it is none of the
// operating system's.
func syncsData(f types.WritableFile) types.WritableFile {
	c, ok := f.(syscall.Conn)
	if !ok {
		return f
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return f
	}
	return &dataFile{WritableFile: f, raw: raw}
}

// Sync makes what was written durable. It may be called concurrently.
func (f *dataFile) Sync() error {
	if !f.known.Load() {
		err := f.WritableFile.Sync()
		f.known.Store(err == nil)
		return err
	}
	var failed error
	if err := f.raw.Control(func(fd uintptr) {
		for failed = unix.EINTR; failed == unix.EINTR; {
			failed = unix.Fdatasync(int(fd))
		}
	}); err != nil {
		return err
	}
	return os.NewSyscallError("fdatasync", failed)
}
