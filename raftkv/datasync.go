// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"sync/atomic"

	"github.com/hashicorp/raft-wal/types"
)

// A dataFile is a file of the log. A sync makes durable what is in it, and what has to be known to
// read that, but not when it was written, which would be one more thing for the file system to
// write. The first one makes all durable, as the file may be new.
type dataFile struct {
	types.WritableFile
	syncData func() error
	known    atomic.Bool // all of it is durable, but for what was written since
}

// syncsData returns a file that does the same as f with less to sync, or f itself if that cannot be
// done. A file that is not the operating system's says how by SyncData.
func syncsData(f types.WritableFile) types.WritableFile {
	if s, ok := f.(interface{ SyncData() error }); ok {
		return &dataFile{WritableFile: f, syncData: s.SyncData}
	}
	if sync := systemSync(f); sync != nil {
		return &dataFile{WritableFile: f, syncData: sync}
	}
	return f
}

// Sync makes what was written durable. It may be called concurrently.
func (f *dataFile) Sync() error {
	if f.known.Load() {
		return f.syncData()
	}
	err := f.WritableFile.Sync()
	f.known.Store(err == nil)
	return err
}
