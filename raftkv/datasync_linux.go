// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"os"
	"syscall"

	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"
)

// systemSync returns fdatasync for a file of the operating system, nil for another. Errors are of
// type *os.PathError, as those of fsync, if the file has a name.
func systemSync(f types.WritableFile) func() error {
	c, ok := f.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	name := ""
	if n, ok := f.(interface{ Name() string }); ok {
		name = n.Name()
	}
	return func() error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			for failed = unix.EINTR; failed == unix.EINTR; {
				failed = unix.Fdatasync(int(fd))
			}
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return &os.PathError{Op: "sync", Path: name, Err: err}
		}
		return nil
	}
}
