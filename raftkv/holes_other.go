// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package raftkv

import "io"

// nextData returns at: all of the file has to be read.
func nextData(_ io.ReaderAt, at int64) (int64, error) { return at, nil }

// noReadAhead does nothing.
func noReadAhead(io.ReaderAt) {}
