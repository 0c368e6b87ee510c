// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package raftkv

import "github.com/hashicorp/raft-wal/types"

// syncsData returns f.
func syncsData(f types.WritableFile) types.WritableFile { return f }
