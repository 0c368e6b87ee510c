// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// bundle adds the resources as one bundle with one reload.
func (c *confdir) bundle(names ...string) {
	for _, name := range names {
		c.resource(name, `bundle = "all"`, `reload_cmd = "reload"`, `check_cmd = "check {{.dest}}"`)
	}
}

// want checks that each file has the value.
func (c *confdir) want(value string, names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.wantFile(c.dest(name), "value="+value+"\n")
	}
}

// setAll gives each key the value.
func setAll(b *memory, value string, names ...string) {
	for _, name := range names {
		b.set("/"+name, value)
	}
}

// A bundle is replaced whole or not at all, whichever member fails and at which step, and
// reloaded once. (hashicorp/consul-template#1006, #1799; none of the family can.)
func TestBundleAllOrNone(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, step := range []string{"render", "guard", "check", "stage", "rename", "inspect"} {
		for _, bad := range names {
			t.Run(step+"/"+bad, func(t *testing.T) {
				c := newConfdir(t)
				c.bundle(names...)
				c.file("templates/b.tmpl", "value={{getv \"/b\"}}\n")
				if step == "guard" {
					c.resource(bad, `bundle = "all"`, `reload_cmd = "reload"`, `required = ["/gate"]`)
				}
				if step == "render" {
					c.file("templates/"+bad+".tmpl", fmt.Sprintf("value={{getv \"/%s\"}}\n{{if not (exists \"/gate\")}}{{getv \"/gate\"}}{{end}}", bad))
				}
				sh, b := counting(names...)
				b.set("/gate", "open")
				failing := false
				sh.do = func(_ context.Context, line string) error {
					if failing && step == "check" && line == "check "+c.dest(bad) {
						return errInjected
					}
					return nil
				}
				opts := c.options()
				resources := c.load(opts, sh.run)
				for _, r := range resources {
					r.sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
						if failing && r.Dest == c.dest(bad) && (step == "stage" && op == "write" || step == "rename" && op == "rename") {
							return unix.ENOSPC
						}
						return effect()
					}}
				}
				run := NewRunner(Config{Backend: b, Resources: resources, Log: opts.Log})
				if err := run.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
				failing = true
				setAll(b, "1", names...)
				switch step {
				case "render", "guard":
					b.m.Delete("/gate")
				case "inspect":
					os.Remove(c.dest(bad))
					os.Mkdir(c.dest(bad), 0o755)
				}
				err := run.Once(t.Context())
				if err == nil || !strings.Contains(err.Error(), "resource "+bad+".toml") || strings.Count(err.Error(), "\n") > 0 {
					t.Errorf("got %v, want an error about %s alone", err, bad)
				}
				for i, name := range names {
					if step != "inspect" || name != bad {
						c.want("0", name)
					}
					s := run.Status()[i]
					if s.Err == nil || name != bad && !strings.Contains(s.Err.Error(), "held back, because "+bad+".toml") {
						t.Errorf("%s: got %+v", name, s)
					}
				}
				if sh.count("reload") != 1 {
					t.Errorf("ran %q", sh.ran)
				}
				c.wantClean(names...)
				c.wantMarkers(0)
				failing = false
				b.set("/gate", "open")
				if step == "inspect" {
					os.Remove(c.dest(bad))
				}
				if err := run.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
				c.want("1", names...)
				c.wantClean(names...)
				c.wantMarkers(0)
				if sh.count("reload") != 2 {
					t.Errorf("ran %q", sh.ran)
				}
			})
		}
	}
}

// A member that is changed brings the checks of the others with it, and each check can
// name the new files of all.
func TestBundleIsCheckedAsOne(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `bundle = "all"`, `check_cmd = 'check {{.src}} {{index .srcs "`+c.dest("b")+`"}}'`)
	c.resource("b", `bundle = "all"`)
	sh, b := counting("a", "b")
	run := c.runner(b, sh.run)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.set("/b", "1")
	sh.do = func(_ context.Context, line string) error {
		words := strings.Fields(line)
		c.wantFile(words[1], "value=0\n")
		c.wantFile(words[2], "value=1\n")
		if words[1] != c.dest("a") || words[2] == c.dest("b") {
			t.Errorf("ran %q; want the file of a that is there, and the new one of b", line)
		}
		return nil
	}
	if err := run.Once(t.Context()); err != nil || len(sh.ran) != 2 {
		t.Errorf("got %v, ran %q", err, sh.ran)
	}
}

// The process dies in the middle of replacing a bundle: what it has not got to is
// replaced by the next one before anything is reloaded, even if that finds another
// fault first.
func TestBundleAfterACrash(t *testing.T) {
	names := []string{"a", "b", "c"}
	for died := 1; died <= 4; died++ { // before the rename of this one
		t.Run(fmt.Sprint(died), func(t *testing.T) {
			c := newConfdir(t)
			c.bundle(names...)
			sh, b := counting(names...)
			opts := c.options()
			if err := c.runner(b, sh.run).Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			setAll(b, "1", names...)
			var dead atomic.Bool
			var mu sync.Mutex // of what is below; directories are synced beside the rest
			renames := 0
			resources := c.load(opts, func(ctx context.Context, _ *slog.Logger, cmd command) error {
				if dead.Load() {
					return errInjected
				}
				return sh.run(ctx, nil, cmd)
			})
			for _, r := range resources {
				r.sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
					mu.Lock()
					defer mu.Unlock()
					if op == "rename" {
						renames++
					}
					if renames == died || died == 4 && renames == 3 && op == "mark" {
						dead.Store(true)
					}
					if dead.Load() {
						return errInjected // nothing has an effect any more
					}
					return effect()
				}}
			}
			NewRunner(Config{Backend: b, Resources: resources}).Once(t.Context())
			if !dead.Load() || sh.count("reload") != 1 {
				t.Fatalf("the process did not die, or reloaded: %q", sh.ran)
			}
			fail := true
			sh.do = func(_ context.Context, line string) error {
				if fail && line == "check "+c.dest("c") {
					return errInjected
				}
				if line == "reload" {
					c.want("1", names...)
				}
				return nil
			}
			run := c.runner(b, sh.run)
			if err := run.Once(t.Context()); err == nil && died < 4 || sh.count("reload") != 1 {
				t.Errorf("got %v, ran %q: a bundle that is not whole must not be loaded", err, sh.ran)
			}
			fail = false
			if err := run.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.want("1", names...)
			c.wantClean(names...)
			c.wantMarkers(0)
			if sh.count("reload") != 2 {
				t.Errorf("ran %q", sh.ran)
			}
		})
	}
}

// The old files cannot be put back either: nothing is reloaded until the bundle is whole.
func TestBundleCannotBePutBack(t *testing.T) {
	c := newConfdir(t)
	c.bundle("a", "b")
	c.resource("other", `reload_cmd = "reload"`)
	sh, b := counting("a", "b", "other")
	opts := c.options()
	resources := c.load(opts, sh.run)
	failing, renames := false, 0
	for _, r := range resources[:2] {
		r.sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
			if failing && op == "rename" {
				if renames++; renames > 1 {
					return unix.EROFS
				}
			}
			return effect()
		}}
	}
	run := NewRunner(Config{Backend: b, Resources: resources, Log: opts.Log})
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	failing = true
	setAll(b, "1", "a", "b", "other")
	if err := run.Once(t.Context()); !errors.Is(err, unix.EROFS) {
		t.Errorf("got %v", err)
	}
	c.want("1", "a", "other")
	c.want("0", "b")
	if sh.count("reload") != 1 || c.log.count("nothing is reloaded until the bundle is whole") != 1 {
		t.Errorf("ran %q, log:\n%s", sh.ran, c.log)
	}
	failing = false
	if err := run.Once(t.Context()); err != nil || sh.count("reload") != 2 {
		t.Errorf("got %v, ran %q", err, sh.ran)
	}
	c.want("1", "a", "b", "other")
	c.wantClean("a", "b", "other")
	c.wantMarkers(0)
}

// Mount points are put back too, although not by a rename.
func TestBundleOnMountPoints(t *testing.T) {
	names := []string{"a", "b"}
	c := newConfdir(t)
	c.bundle(names...)
	for _, name := range names {
		c.file("out/"+name, "value=0\n")
	}
	sh, b := counting(names...)
	setAll(b, "one", names...)
	failing := true
	resources := c.load(c.options(), sh.run)
	for i, r := range resources {
		sys := &faulty{real: osSystem{}, mount: r.Dest, reason: unix.EBUSY}
		opened := false
		sys.call = func(op string, effect func() error) error {
			opened = opened || op == "open"
			if failing && i == 1 && opened && op == "truncate" {
				failing = false // there is room for what was there before
				return unix.ENOSPC
			}
			return effect()
		}
		r.sys = sys
	}
	run := NewRunner(Config{Backend: b, Resources: resources})
	if err := run.Once(t.Context()); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	c.want("0", names...)
	if sh.count("reload") != 0 {
		t.Errorf("ran %q", sh.ran)
	}
	if err := run.Once(t.Context()); err != nil || sh.count("reload") != 1 {
		t.Errorf("got %v, ran %q", err, sh.ran)
	}
	c.want("one", names...)
	c.wantClean(names...)
	c.wantMarkers(0)
}

// A burst over a bundle is one pass, and a bundle of two reloads runs each once.
func TestFollowBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `bundle = "x"`, `reload_cmd = "reload one"`, `wait = "1s"`)
		c.resource("b", `bundle = "x"`, `reload_cmd = "reload two"`)
		c.resource("c", `bundle = "x"`)
		sh, b := counting("a", "b", "c")
		stop := follow(t, c.runner(b, sh.run))
		setAll(b, "1", "a", "b", "c")
		synctest.Wait()
		c.want("0", "a", "b", "c")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		c.want("1", "a", "b", "c")
		if got := fmt.Sprint(sh.ran); got != "[reload one reload two reload one reload two]" {
			t.Errorf("ran %s", got)
		}
		stop()
	})
}

func TestLanes(t *testing.T) {
	for _, test := range []struct {
		resources []string // bundle and reload of each
		want      string   // lanes, their sets, their members by number
	}{
		{[]string{"-:-", "-:-"}, "[[0]] [[1]]"},
		{[]string{"-:r", "-:-", "-:r"}, "[[0] [2]] [[1]]"},
		{[]string{"x:-", "-:-", "x:-"}, "[[0 2]] [[1]]"},
		{[]string{"x:r", "y:s", "x:s", "-:t"}, "[[0 2] [1]] [[3]]"},
		{[]string{"-:r", "-:s", "x:t", "x:s", "x:r"}, "[[0] [1] [2 3 4]]"},
	} {
		c := newConfdir(t)
		for i, text := range test.resources {
			bundle, reload, _ := strings.Cut(text, ":")
			var lines []string
			if bundle != "-" {
				lines = append(lines, fmt.Sprintf("bundle = %q", bundle))
			}
			if reload != "-" {
				lines = append(lines, fmt.Sprintf("reload_cmd = %q", reload))
			}
			c.resource(fmt.Sprint(i), lines...)
		}
		var got []string
		for _, l := range lanesOf(c.load(Options{}, nil)) {
			var sets []string
			for _, s := range l.sets {
				var members []string
				for _, r := range s.members {
					members = append(members, strings.TrimSuffix(r.Name, ".toml"))
				}
				sets = append(sets, fmt.Sprint(members))
			}
			got = append(got, fmt.Sprint(sets))
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%v: got %s, want %s", test.resources, text, test.want)
		}
	}
}
