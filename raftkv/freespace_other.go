// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package raftkv

import "errors"

// freeSpace returns an error: systems tell of it in different ways.
func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
