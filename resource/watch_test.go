// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Each kind of edit is told once it is over, and nothing else is.
func TestWatchDir(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	os.MkdirAll(filepath.Join(c.path, "v1/sub"), 0o755)
	os.MkdirAll(filepath.Join(c.path, "v2/sub"), 0o755)
	os.Symlink("../v1/sub", filepath.Join(c.path, "conf.d/linked"))
	os.Symlink(".", filepath.Join(c.path, "templates/circle"))
	told := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- WatchDir(ctx, c.path, func() { told <- struct{}{} }) }()
	ready := false
	for i := 0; !ready; i++ { // until the first edit is seen it may not watch yet
		c.file("conf.d/first.toml", "")
		select {
		case <-told:
			ready = true
		case <-time.After(time.Second):
		}
	}
	for _, edit := range []struct {
		what string
		do   func()
		want bool
	}{
		{"a resource", func() { c.file("conf.d/a.toml", "x") }, true},
		{"a template", func() { c.file("templates/a.tmpl", "x") }, true},
		{"a new directory", func() { c.file("templates/new/x.tmpl", "x") }, true},
		{"in the new directory", func() { c.file("templates/new/y.tmpl", "x") }, true},
		{"behind a link", func() { c.file("v1/sub/x.toml", "x") }, true},
		{"a link that is swapped", func() {
			os.Symlink("../v2/sub", filepath.Join(c.path, "conf.d/.next"))
			os.Rename(filepath.Join(c.path, "conf.d/.next"), filepath.Join(c.path, "conf.d/linked"))
		}, true},
		{"behind the new link", func() { c.file("v2/sub/x.toml", "x") }, true},
		{"a removed file", func() { os.Remove(filepath.Join(c.path, "conf.d/a.toml")) }, true},
		{"a replaced directory", func() {
			os.Rename(filepath.Join(c.path, "templates"), filepath.Join(c.path, "old"))
			c.file("templates/a.tmpl", "x")
		}, true},
		{"in the replaced directory", func() { c.file("templates/a.tmpl", "y") }, true},
		{"a file in the confdir", func() { c.file("confd.log", "x") }, false},
		{"a destination", func() { c.file("out/a", "x") }, false},
	} {
		edit.do()
		select {
		case <-told:
			if !edit.want {
				t.Errorf("%s: told", edit.what)
			}
		case <-time.After(map[bool]time.Duration{true: 10 * time.Second, false: 3 * editQuiet}[edit.want]):
			if edit.want {
				t.Errorf("%s: not told", edit.what)
			}
		}
		select {
		case <-told:
			t.Errorf("%s: told twice", edit.what)
		case <-time.After(2 * editQuiet):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := WatchDir(t.Context(), "/no/such", nil); err == nil {
		t.Error("a directory that is not there is watched")
	}
}
