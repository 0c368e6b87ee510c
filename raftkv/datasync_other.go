// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package raftkv

import "github.com/hashicorp/raft-wal/types"

// systemSync returns nil: there is no other sync than that of the file.
func systemSync(types.WritableFile) func() error { return nil }
