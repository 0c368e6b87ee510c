// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || race

package rawio

import "syscall"

// The race detector knows by these two what one goroutine has sent to another.

// Read is syscall.Read; see the package comment.
func Read(fd int, b []byte) (int, error) { return syscall.Read(fd, b) }

// Write is syscall.Write; see the package comment.
func Write(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
