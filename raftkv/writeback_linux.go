// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// writeBack sends a part of a file to the disk, and returns when that has it. It makes
// nothing durable by itself: fsync does, which then has little left to do.
func writeBack(f *os.File, offset, size int64) error {
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	for {
		err := unix.SyncFileRange(int(f.Fd()), offset, size, all)
		switch {
		case err == unix.EINTR:
		case err == nil, errors.Is(err, errors.ErrUnsupported): // a file system that has nothing to send
			return nil
		default:
			return os.NewSyscallError("sync_file_range", err)
		}
	}
}
