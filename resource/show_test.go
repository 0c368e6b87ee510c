// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"os"
	"testing"
	"time"

	"confd/backends"
)

// TestShow has Noop tell what would change, and change nothing.
func TestShow(t *testing.T) {
	c := newConfdir(t)
	for _, name := range []string{"fresh", "other", "same", "mode"} {
		mode := ""
		if name == "mode" {
			mode = "mode='0600'"
		}
		c.resource(name, mode)
	}
	for name, text := range map[string]string{"other": "old", "same": "value=new\n", "mode": "value=new\n"} {
		if err := os.WriteFile(c.dest(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	keys := backends.NewMap()
	for _, name := range []string{"/fresh", "/other", "/same", "/mode"} {
		keys.Set(name, "new")
	}
	shown := make(map[string]Change)
	opts := c.options()
	opts.Noop, opts.Show = true, func(change Change) { shown[change.Name] = change }
	resources, err := LoadDir(c.path, opts)
	if err != nil {
		t.Fatal(err)
	}
	runner := NewRunner(Config{Backend: backends.NewPoll(backends.PollConfig{Read: func(context.Context) (backends.Keys, error) { return keys.Keys(), nil }, Interval: time.Hour}), Resources: resources})
	if err := runner.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(shown) != 3 {
		t.Errorf("shown: %v", shown)
	}
	if got := shown["fresh.toml"]; got.Exists || got.Old != nil || string(got.New) != "value=new\n" || got.NewMode != 0o644 {
		t.Errorf("a new file: %+v", got)
	}
	if got := shown["other.toml"]; !got.Exists || string(got.Old) != "old" || string(got.New) != "value=new\n" || got.OldOwner != got.NewOwner {
		t.Errorf("a changed file: %+v", got)
	}
	if got := shown["mode.toml"]; string(got.Old) != "value=new\n" || got.OldMode != 0o644 || got.NewMode != 0o600 {
		t.Errorf("another mode: %+v", got)
	}
	c.wantFile(c.dest("other"), "old")
}
