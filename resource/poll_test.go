// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload"`)
		b := newMemory("/a", "1", "/b", "1")
		sh := &commands{}
		opts := c.options()
		loads := 0
		run := NewRunner(Config{Backend: b, Resources: c.load(opts, sh.run), Log: opts.Log, Load: func() ([]*Resource, error) {
			loads++
			resources, err := LoadDir(c.path, opts)
			for _, r := range resources {
				r.shell = sh.run
			}
			return resources, err
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- run.Poll(ctx, time.Minute) }()
		time.Sleep(time.Second) // from here on each pass is one second before the look at it
		c.wantFile(c.dest("a"), "value=1\n")

		b.set("/a", "2")
		c.resource("b") // a new file is taken up
		synctest.Wait()
		c.wantFile(c.dest("a"), "value=1\n")
		time.Sleep(time.Minute)
		c.wantFile(c.dest("a"), "value=2\n")
		c.wantFile(c.dest("b"), "value=1\n")

		// A file that is broken is told once, and goes on as it was; a template too.
		c.file("conf.d/a.toml", "[template]\nbroken\n")
		c.file("templates/b.tmpl", "{{")
		b.set("/a", "3")
		time.Sleep(10 * time.Minute)
		c.wantFile(c.dest("a"), "value=3\n")
		c.wantFile(c.dest("b"), "value=1\n")
		if got := c.log.count("reading resources"); got != 2 { // once for each file
			t.Errorf("told %d times:\n%s", got, c.log)
		}

		// One that has changed, and one that has gone.
		c.resource("a", `reload_cmd = "other"`, `mode = "0600"`)
		os.Remove(filepath.Join(c.path, "conf.d/b.toml"))
		time.Sleep(time.Minute)
		if got := statOf(t, c.dest("a")).mode; got != 0o600 || sh.count("other") != 1 {
			t.Errorf("got mode %o, ran %q", got, sh.ran)
		}
		if s := run.Status(); len(s) != 1 || s[0].Name != "a.toml" {
			t.Errorf("got %+v", s)
		}
		if sh.count("reload") != 3 {
			t.Errorf("ran %q", sh.ran)
		}
		cancel()
		if err := <-done; err != nil || loads != 13 {
			t.Errorf("got %v after %d loads", err, loads)
		}
	})
}

// What fails is not left until the next interval, and is not forgotten when the
// resource changes.
func TestPollRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload"`)
		b := newMemory("/a", "1")
		var failing, down atomic.Bool
		failing.Store(true)
		b.fail = func(string) error {
			if down.Load() {
				return errInjected
			}
			return nil
		}
		sh := &commands{do: func(context.Context, string) error {
			if failing.Load() {
				return errInjected
			}
			return nil
		}}
		opts := c.options()
		load := func() ([]*Resource, error) { return c.load(opts, sh.run), nil }
		run := NewRunner(Config{Backend: b, Resources: c.load(opts, sh.run), Load: load})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- run.Poll(ctx, time.Hour) }()
		time.Sleep(59 * time.Minute)
		if got := sh.count("reload"); got < 60 {
			t.Errorf("%d tries in an hour", got)
		}
		c.resource("a", `reload_cmd = "other"`)
		failing.Store(false)
		time.Sleep(2 * time.Minute)
		if s := run.Status()[0]; s.Pending {
			t.Errorf("got %+v", s)
		}
		c.wantMarkers(0)

		down.Store(true)
		time.Sleep(5 * time.Hour)
		down.Store(false)
		b.set("/a", "2")
		time.Sleep(scoutDelay) // and not a delay that grew with the outage
		synctest.Wait()
		c.wantFile(c.dest("a"), "value=2\n")
		cancel()
		<-done
		if err := run.Poll(t.Context(), 0); err == nil {
			t.Error("an interval of zero is a hot loop, and accepted")
		}
	})
}

func TestAdoptUnknownError(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	opts := c.options()
	run := NewRunner(Config{Backend: newMemory(), Resources: c.load(opts, nil), Log: opts.Log,
		Load: func() ([]*Resource, error) { return nil, errors.New("conf.d has gone") }})
	run.reread(false, func([]*lane) {})
	if len(run.Status()) != 1 {
		t.Error("the resources are gone because they could not be read")
	}
}
