// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A broken edit is a state of its own: what is wrong, since when, and whether a version
// of before goes on.
func TestBrokenEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a")
		c.resource("b")
		sh, b := counting("a", "b")
		run := c.rereading(b, sh)
		stop := follow(t, run)
		reread := func() State {
			t.Helper()
			run.Reread(t.Context(), false)
			synctest.Wait()
			return run.State()
		}
		if s := reread(); s.Broken != nil || !s.Resources[0].UpToDate() {
			t.Errorf("got %+v", s)
		}

		first := time.Now()
		template := c.file("templates/a.tmpl", "x\n {{gettv \"/a\"}}")
		s := reread()
		if len(s.Broken) != 1 || !slices.Equal(s.Broken[0].Names, []string{"a.toml"}) || !s.Broken[0].Since.Equal(first) ||
			!strings.HasPrefix(s.Broken[0].Err.Error(), template+":2:4: function") {
			t.Errorf("got %+v", s.Broken)
		}
		if a, b := s.Resources[0], s.Resources[1]; a.Broken == nil || a.UpToDate() || a.Err != nil || !b.UpToDate() {
			t.Errorf("got %+v and %+v", a, b)
		}

		// Another mistake does not begin anew; one in a new file has no version of before.
		time.Sleep(time.Minute)
		c.file("templates/a.tmpl", "{{if}}")
		fresh := c.file("conf.d/new.toml", "[template]\nsrc = 'b.tmpl'\n")
		s = reread()
		if len(s.Broken) != 2 || !s.Broken[0].Since.Equal(first) || !strings.Contains(s.Broken[0].Err.Error(), "missing value for if") ||
			s.Broken[1].Path != fresh || s.Broken[1].Names != nil || !s.Broken[1].Since.Equal(first.Add(time.Minute)) {
			t.Errorf("got %+v", s.Broken)
		}

		// In order again, it is forgotten; so it is if the broken file has gone.
		c.resource("a")
		os.Remove(fresh)
		if s = reread(); s.Broken != nil || !s.Resources[0].UpToDate() || s.Resources[0].Broken != nil {
			t.Errorf("got %+v", s)
		}

		// Without conf.d every resource goes on as it was.
		os.Rename(filepath.Join(c.path, "conf.d"), filepath.Join(c.path, "away"))
		if s = reread(); len(s.Broken) != 1 || len(s.Broken[0].Names) != 2 || s.Resources[0].UpToDate() {
			t.Errorf("got %+v", s)
		}
		stop()
	})
}

// What is broken when the process starts is told as well.
func TestBrokenAtStart(t *testing.T) {
	c := newConfdir(t)
	path := c.file("conf.d/a.toml", "[template]\n")
	resources, err := LoadDir(c.path, c.options())
	s := NewRunner(Config{Resources: resources, Broken: err}).State()
	if len(s.Broken) != 1 || s.Broken[0].Path != path || s.Broken[0].Names != nil {
		t.Errorf("got %+v", s)
	}
}
