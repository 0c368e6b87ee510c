// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func TestStoreHint(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ENOSPC: "free space", syscall.EDQUOT: "free space", syscall.EIO: "kernel's log", errors.New("other"): "",
	} {
		var b strings.Builder
		report(&b, storeHint(fmt.Errorf("the store has failed: %w", err)))
		if !strings.Contains(b.String(), err.Error()) || !strings.Contains(b.String(), want) || want == "" && strings.Contains(b.String(), "hint") {
			t.Errorf("%v: %s", err, b.String())
		}
	}
}
