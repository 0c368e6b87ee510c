// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestFreeSpace(t *testing.T) {
	dir := t.TempDir()
	if free, err := freeSpace(dir); err != nil || free <= 0 {
		t.Errorf("%d bytes are free in a directory that can be written to: %v", free, err)
	}
	missing := filepath.Join(dir, "missing")
	if _, err := freeSpace(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("the error is %v, and does not say where", err)
	}
}
