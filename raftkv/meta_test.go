// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"testing"
)

func TestMeta(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	for i, step := range []struct {
		prev, value string // "" is nil
		err         error
	}{
		{"", "1", nil},
		{"", "2", ErrMetaChanged},
		{"2", "3", ErrMetaChanged},
		{"1", "3", nil},
		{"1", "", ErrMetaChanged},
		{"3", "", nil},
		{"", "4", nil},
	} {
		before := n.Meta()
		bytes := func(s string) []byte {
			if s == "" {
				return nil
			}
			return []byte(s)
		}
		err := n.SetMeta(t.Context(), "k", bytes(step.prev), bytes(step.value))
		if !errors.Is(err, step.err) {
			t.Fatalf("step %d: %v, want %v", i, err, step.err)
		}
		if changed := n.Meta() != before; changed != (step.err == nil) {
			t.Errorf("step %d: the map has changed: %v", i, changed)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if got := string((*open(t, cfg).Meta())["k"]); got != "4" {
		t.Errorf("after a restart: %q", got)
	}
}
