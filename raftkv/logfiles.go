// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"

	"github.com/hashicorp/raft-wal/types"
)

// logFiles are the log's files, for raft-wal. A new file is made by a goroutine of its
// own, where raft-wal only logs what goes wrong: the node would learn of it with the next
// write, which says that the old file is sealed.
type logFiles struct {
	types.VFS
	fail func(error)
}

// Create makes a file of the full size.
func (l logFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := l.VFS.Create(dir, name, size)
	if err != nil {
		l.fail(fmt.Errorf("making a new file of the log: %w", err))
	}
	return f, err
}

// SyncDir makes the names in a directory durable.
func (l logFiles) SyncDir(dir string) error { return syncLogDir(l.VFS, dir) }
