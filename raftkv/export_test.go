// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

// MemoryDir is for the tests that see the package from outside.
var MemoryDir = memoryDir
