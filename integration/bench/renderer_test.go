// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestQuickRenderer runs the sections of the renderer at their smallest.
func TestQuickRenderer(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"-quick", "-only", "change,nested", "-rounds", "1", "-dir", t.TempDir()}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, &stdout, &stderr)
	}
	for _, want := range []string{
		"own store: until the reload command runs, p50 ms", "etcd v2: the same, p99 ms", "remote confd: a pass, ms", "own store: a pass, ms",
		"own store: of a pass, the rendering, ms", "etcd v2: of a pass, the rendering, ms",
		"own store: floor of a process, ms", "remote confd: floor of a listing, ms", "etcd v2: floor of a listing, ms", "The floors are measured by turns",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if t.Failed() {
		t.Logf("the report:\n%s", &stdout)
	}
}
