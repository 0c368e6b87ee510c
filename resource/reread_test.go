// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// rereading returns a runner that loads its resources from the directory.
func (c *confdir) rereading(b *memory, sh *commands) *Runner {
	opts := c.options()
	load := func() ([]*Resource, error) {
		resources, err := LoadDir(c.path, opts)
		for _, r := range resources {
			r.shell = sh.run
		}
		return resources, err
	}
	resources, err := load()
	if err != nil {
		c.t.Fatal(err)
	}
	return NewRunner(Config{Backend: b, Resources: resources, Load: load, Log: opts.Log})
}

// Resources are read again one by one while the others go on. (kelseyhightower/confd#588;
// a broken file that came later ended confd 0.16.)
func TestFollowRereads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload a"`)
		c.resource("b", `reload_cmd = "reload b"`)
		c.resource("gone", `reload_cmd = "reload gone"`)
		sh, b := counting("a", "b", "gone", "new")
		run := c.rereading(b, sh)
		stop := follow(t, run)
		reread := func() {
			t.Helper()
			run.Reread(t.Context(), false)
			synctest.Wait()
		}
		reread() // nothing has changed, and nothing is done
		if len(sh.ran) != 3 {
			t.Errorf("ran %q", sh.ran)
		}

		// One that is new, one that is gone, one whose template has changed.
		c.resource("new")
		os.Remove(filepath.Join(c.path, "conf.d/gone.toml"))
		c.file("templates/b.tmpl", "b={{getv \"/b\"}}\n")
		reread()
		c.want("0", "a", "new")
		c.wantFile(c.dest("b"), "b=0\n")
		b.set("/gone", "1")
		b.set("/new", "1")
		synctest.Wait()
		c.want("1", "new")
		c.want("0", "gone")
		if sh.count("reload a") != 1 || sh.count("reload b") != 2 {
			t.Errorf("ran %q", sh.ran)
		}

		// Broken ones are told, each fault once, and their old versions keep working.
		c.file("templates/a.tmpl", "{{getv")
		c.file("conf.d/b.toml", "[template]\nsrc = 'b.tmpl'\ndest = '/x'\nreload-cmd = 'x'\nmode = 'rw'\n")
		reread()
		reread()
		setAll(b, "2", "a", "b", "new")
		synctest.Wait()
		c.want("2", "a", "new")
		c.wantFile(c.dest("b"), "b=2\n")
		if got := c.log.count("go on as they were"); got != 3 {
			t.Errorf("told %d times:\n%s", got, c.log)
		}

		// And then they are in order.
		c.file("templates/a.tmpl", "fresh={{getv \"/a\"}}\n")
		c.resource("b", `reload_cmd = "reload a"`)
		reread()
		c.wantFile(c.dest("a"), "fresh=2\n")
		if c.log.count("in order again") != 1 || len(run.lanes) != 2 {
			t.Errorf("%d lanes, log:\n%s", len(run.lanes), c.log)
		}
		setAll(b, "3", "a", "b")
		synctest.Wait()
		c.want("3", "b")
		stop()
		c.wantMarkers(0)
	})
}

// A reload that hangs holds up neither reading again nor the lanes that it does not
// concern, old ones and new ones; and what it owes goes over to the new version, also by
// way of one that never came to its turn.
func TestRereadWhileAReloadHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "hang"`)
		c.resource("b", `reload_cmd = "reload"`)
		sh, b := counting("a", "b", "c")
		sh.do = func(ctx context.Context, line string) error {
			if line == "hang" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		run := c.rereading(b, sh)
		stop := follow(t, run)
		start := time.Now()
		for _, line := range []string{`reload_cmd = "hang"`, `reload_cmd = "reload a1"`, `reload_cmd = "reload a"`} {
			c.resource("a", line)
			run.Reread(t.Context(), false)
		}
		c.resource("b", `reload_cmd = "reload b"`)
		c.resource("c")
		run.Reread(t.Context(), false)
		b.set("/b", "1")
		synctest.Wait()
		c.want("1", "b")
		c.want("0", "c")
		if took := time.Since(start); took != 0 || sh.count("reload b") != 1 || sh.count("reload a") != 0 {
			t.Errorf("after %v ran %q", took, sh.ran)
		}
		if s := run.Status()[0]; !s.Pending || s.Seen == 0 {
			t.Errorf("while it hangs: %+v", s)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if s := run.Status()[0]; s.Pending || s.Err != nil || sh.count("hang") != 1 || sh.count("reload a1") != 0 || sh.count("reload a") != 1 {
			t.Errorf("got %+v, ran %q", s, sh.ran)
		}
		stop()
		c.wantMarkers(0)
	})
}

// Resources that come, go and change their lanes leave no goroutine and no outage behind.
func TestRereadLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		sh, b := counting("a", "b", "c")
		c.resource("a")
		var down atomic.Bool
		b.fail = func(string) error {
			if down.Load() {
				return errInjected
			}
			return nil
		}
		run := c.rereading(b, sh)
		stop := follow(t, run)
		select {
		case <-run.Passed():
		default:
			t.Error("the first pass is not told")
		}
		for i, line := range []string{`reload_cmd = "x"`, `bundle = "y"`, `wait = "1s"`, ""} {
			down.Store(i == 2)
			b.set("/a", line)
			time.Sleep(time.Minute)
			for _, name := range []string{"a", "b", "c"} {
				c.resource(name, line)
			}
			run.Reread(t.Context(), false)
			time.Sleep(time.Minute)
		}
		c.wantFile(c.dest("a"), "value=\n")
		synctest.Wait()
		for _, o := range []*outage{&run.reads, &run.waits} {
			o.mu.Lock()
			if len(o.down) != 0 {
				t.Errorf("outages: %v", o.down)
			}
			o.mu.Unlock()
		}
		stop() // the bubble fails if a goroutine is left
	})
}

func TestPollRereads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a")
		sh, b := counting("a", "b")
		run := c.rereading(b, sh)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- run.Poll(ctx, time.Hour) }()
		synctest.Wait()
		c.resource("b")
		b.set("/a", "1")
		run.Reread(t.Context(), true)
		synctest.Wait()
		c.want("1", "a")
		c.want("0", "b")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// An unreadable directory changes nothing.
func TestRereadWithoutConfdir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a")
		sh, b := counting("a")
		run := c.rereading(b, sh)
		stop := follow(t, run)
		os.RemoveAll(filepath.Join(c.path, "conf.d"))
		run.Reread(t.Context(), false)
		b.set("/a", "1")
		synctest.Wait()
		c.want("1", "a")
		stop()
	})
}

func TestSingle(t *testing.T) {
	one, two, three := errors.New("1"), errors.New("2"), errors.New("3")
	err := errors.Join(&FileError{Path: "x", Err: errors.Join(one, two)}, three)
	var got []string
	for _, e := range single(err) {
		got = append(got, e.Error())
	}
	if strings.Join(got, " ") != "1 2 3" {
		t.Errorf("got %q", got)
	}
}
