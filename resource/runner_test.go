// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// follow runs Follow in a bubble until the returned function is called.
func follow(t *testing.T, run *Runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- run.Follow(ctx) }()
	synctest.Wait()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Follow: %v", err)
		}
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload"`)
		b := newMemory("/a", "1", "/other", "1")
		sh := &commands{}
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		c.wantFile(c.dest("a"), "value=1\n")
		for i := 2; i < 10; i++ {
			index := b.set("/a", fmt.Sprint(i))
			synctest.Wait() // no time passes: the change is applied at once
			c.wantFile(c.dest("a"), fmt.Sprintf("value=%d\n", i))
			if s := run.Status()[0]; s.Reloaded != index || s.Pending {
				t.Errorf("got %+v, want all at %d", s, index)
			}
		}
		if got := sh.count("reload"); got != 9 {
			t.Errorf("got %d reloads, want 9", got)
		}
		// A key that was not read wakes nobody, although it is one of the resource's.
		snapshots := b.asked["snapshot"]
		b.set("/other", "2")
		time.Sleep(time.Hour)
		if got := b.asked["snapshot"]; got != snapshots {
			t.Errorf("%d snapshots for a key that nobody read", got-snapshots)
		}
		stop()
	})
}

func TestFollowWithoutResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := NewRunner(Config{Backend: newMemory()}).Follow(ctx); err != nil || time.Since(start) != time.Hour {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// Only the members of a group that read the key are rendered again.
func TestFollowGroupAppliesTheConcerned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		b := newMemory()
		for i := range 20 {
			c.resource(fmt.Sprint("r", i), `reload_cmd = "reload"`, `check_cmd = "check {{.dest}}"`)
			b.set(fmt.Sprint("/r", i), "1")
		}
		sh := &commands{}
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		if got := sh.count("reload"); got != 1 {
			t.Errorf("got %d reloads of one command in one pass", got)
		}
		for _, s := range run.Status() {
			if s.Reloaded != 20 {
				t.Errorf("got %+v", s)
			}
		}
		os.Remove(c.dest("r4")) // would be written again if r4 were looked at
		index := b.set("/r3", "2")
		synctest.Wait()
		c.wantFile(c.dest("r3"), "value=2\n")
		if _, err := os.Stat(c.dest("r4")); err == nil {
			t.Error("a resource that did not read the key was applied")
		}
		if sh.count("reload") != 2 || sh.count("check") != 21 {
			t.Errorf("got %d reloads, %d checks", sh.count("reload"), sh.count("check"))
		}
		for _, s := range run.Status() {
			if s.Reloaded != index || s.Seen != index {
				t.Errorf("got %+v, want all at %d", s, index)
			}
		}
		stop()
	})
}

// kelseyhightower/confd#671: what failed was not tried again until a key changed.
func TestFollowRetries(t *testing.T) {
	for _, step := range []string{"check", "reload", "render", "snapshot", "wait", "write"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfdir(t)
				c.resource("a", `check_cmd = "check"`, `reload_cmd = "reload"`)
				bad := filepath.Join(c.path, "bad")
				c.file("templates/a.tmpl", fmt.Sprintf("value={{getv \"/a\"}}\n{{if fileExists %q}}{{getv \"/none\"}}{{end}}", bad))
				b := newMemory("/a", "1")
				var failing atomic.Bool
				fail := func(op string) error {
					if failing.Load() && op == step {
						return errInjected
					}
					return nil
				}
				b.fail = fail
				sh := &commands{do: func(_ context.Context, line string) error { return fail(line) }}
				resources := c.load(c.options(), sh.run)
				resources[0].sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
					if err := fail(op); err != nil {
						return err
					}
					return effect()
				}}
				run := NewRunner(Config{Backend: b, Resources: resources, Log: c.options().Log})
				stop := follow(t, run)
				failing.Store(true)
				if step == "render" {
					c.file("bad", "")
				}
				b.set("/a", "2")
				time.Sleep(10 * time.Minute)
				tries := c.log.count("level=ERROR") + c.log.count("injected")
				want := 25
				if step == "snapshot" { // the one that finds out for all when an outage ends
					want = int(10 * time.Minute / scoutDelay)
				}
				if step != "wait" && (tries < want/2 || tries > want*3) {
					t.Errorf("%d tries in ten minutes, want about %d", tries, want)
				}
				failing.Store(false)
				if step == "render" {
					os.Remove(bad)
				}
				time.Sleep(time.Minute) // more than the longest delay, without a change of a key
				c.wantFile(c.dest("a"), "value=2\n")
				c.wantMarkers(0)
				if s := run.Status()[0]; s.Reloaded != 2 || s.Err != nil || s.Pending {
					t.Errorf("got %+v", s)
				}
				tries = c.log.count("injected")
				time.Sleep(time.Hour)
				if got := c.log.count("injected"); got != tries {
					t.Errorf("%d tries after success", got-tries)
				}
				b.set("/a", "3") // that the backend can wait is known when it has
				synctest.Wait()
				if step == "snapshot" || step == "wait" {
					if c.log.count("level=WARN") != 1 || c.log.count("works again") != 1 {
						t.Errorf("an outage is not told once:\n%s", c.log)
					}
				}
				stop()
			})
		})
	}
}

// An outage that a thousand groups find out is told once, and none of them is late when
// it is over, however long it has lasted.
func TestFollowOutageIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		b := newMemory()
		for i := range 20 {
			c.resource(fmt.Sprint("r", i))
			b.set(fmt.Sprint("/r", i), "1")
		}
		var down atomic.Bool
		down.Store(true)
		b.fail = func(string) error {
			if down.Load() {
				return errInjected
			}
			return nil
		}
		run := c.runner(b, nil)
		stop := follow(t, run)
		time.Sleep(time.Hour)
		before := b.snapshots()
		time.Sleep(time.Minute)
		if got := b.snapshots() - before; got < 60/2 || got > 60+20*3 {
			t.Errorf("%d tries in a minute; want one of the groups to try often, and the others not", got)
		}
		down.Store(false)
		time.Sleep(scoutDelay)
		synctest.Wait()
		for i := range 20 {
			c.wantFile(c.dest(fmt.Sprint("r", i)), "value=1\n")
		}
		if c.log.count("level=WARN") != 1 || c.log.count("reading values works again") != 1 {
			t.Errorf("got log:\n%s", c.log)
		}
		stop()
	})
}

func TestFollowHangingCommandDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "hang"`)
		c.resource("b", `check_cmd = "hang"`)
		c.resource("c", `reload_cmd = "reload"`)
		b := newMemory("/a", "1", "/b", "1", "/c", "1")
		var running, most atomic.Int32
		sh := &commands{do: func(ctx context.Context, line string) error {
			if line != "hang" {
				return nil
			}
			n := running.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			defer running.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		}}
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		for i := range 5 {
			for _, key := range []string{"/a", "/b", "/c"} {
				b.set(key, fmt.Sprint(i))
			}
			synctest.Wait()
			c.wantFile(c.dest("c"), fmt.Sprintf("value=%d\n", i))
		}
		if most.Load() != 2 { // the reload of a, the check of b; neither twice at once
			t.Errorf("%d commands hung at once", most.Load())
		}
		stop()
		c.wantClean("a", "c") // the staged file of b is gone
	})
}

func TestFollowOneReloadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		b := newMemory()
		for i := range 5 {
			c.resource(fmt.Sprint("r", i), `reload_cmd = "reload"`)
			b.set(fmt.Sprint("/r", i), "0")
		}
		var running atomic.Int32
		sh := &commands{do: func(context.Context, string) error {
			if running.Add(1) > 1 {
				t.Error("two reloads overlap")
			}
			time.Sleep(10 * time.Second)
			running.Add(-1)
			return nil
		}}
		stop := follow(t, c.runner(b, sh.run))
		for i := range 100 { // all while the first reload runs, and then some
			b.set(fmt.Sprint("/r", i%5), fmt.Sprint(i))
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		for i := range 5 {
			c.wantFile(c.dest(fmt.Sprint("r", i)), fmt.Sprintf("value=%d\n", 95+i))
		}
		if got := sh.count("reload"); got != 3 && got != 4 {
			t.Errorf("got %d reloads, want one for each ten seconds", got)
		}
		stop()
	})
}

// A reload that runs when the process is told to stop is waited for, within a bound.
func TestFollowStop(t *testing.T) {
	for _, test := range []struct {
		takes, want time.Duration
		markers     int
	}{{10 * time.Second, 10 * time.Second, 0}, {time.Hour, 30 * time.Second, 1}} {
		synctest.Test(t, func(t *testing.T) {
			c := newConfdir(t)
			c.resource("a", `reload_cmd = "reload"`, `reload_cmd_timeout = "24h"`)
			sh := &commands{do: func(ctx context.Context, _ string) error {
				select {
				case <-time.After(test.takes):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
			stop := follow(t, c.runner(newMemory("/a", "1"), sh.run))
			start := time.Now()
			stop()
			if took := time.Since(start); took != test.want {
				t.Errorf("a reload of %v: stopped after %v, want %v", test.takes, took, test.want)
			}
			c.wantMarkers(test.markers)
			if sh.count("reload") != 1 {
				t.Errorf("got %d reloads", sh.count("reload"))
			}
		})
	}
}

func TestFollowRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload"`)
		sh := &commands{}
		opts := c.options()
		run := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: c.load(opts, sh.run), Recheck: time.Minute})
		stop := follow(t, run)
		for range 3 {
			c.file("out/a", "somebody else was here")
			time.Sleep(67 * time.Second)
			c.wantFile(c.dest("a"), "value=1\n")
		}
		if sh.count("reload") != 4 {
			t.Errorf("got %d reloads, want 4", sh.count("reload"))
		}
		stop()
	})
}

// Random writes, with a quarter of all calls of the backend, the file system and the
// commands failing: the last value always arrives, and is reloaded after.
func TestFollowLosesNothing(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { losesNothing(t, seed) })
		})
	}
}

func losesNothing(t *testing.T, seed uint64) {
	c := newConfdir(t)
	random := rand.New(rand.NewPCG(seed, 0))
	fail := make(chan bool) // serves random decisions to all goroutines
	var healthy atomic.Bool
	served := make(chan struct{})
	go func() {
		for {
			select {
			case fail <- random.IntN(4) == 0:
			case <-served:
				return
			}
		}
	}()
	faulted := func(string) error {
		if !healthy.Load() && <-fail {
			return &os.PathError{Op: "x", Path: "y", Err: unix.EIO}
		}
		return nil
	}
	names := []string{"a", "b", "c", "d", "e"}
	b := newMemory()
	b.fail = faulted
	loaded := make(map[string]*atomic.Value)
	for _, name := range names {
		command, more := "reload "+name, ""
		if name <= "c" {
			command = "reload abc"
		} else if seed%2 == 1 {
			more = `bundle = "de"` // and half of the time with what it takes to keep versions
			if seed%4 == 1 {
				more += "\nbackup = 2"
			}
		}
		c.resource(name, fmt.Sprintf("reload_cmd = %q", command), `check_cmd = "check"`, more)
		b.set("/"+name, "0")
		loaded[name] = &atomic.Value{}
	}
	sh := &commands{do: func(_ context.Context, line string) error {
		if err := faulted(line); err != nil {
			return err
		}
		if which, ok := strings.CutPrefix(line, "reload "); ok {
			for _, name := range strings.Split(which, "") {
				data, _ := os.ReadFile(c.dest(name))
				loaded[name].Store(string(data))
			}
		}
		return nil
	}}
	resources := c.load(c.options(), sh.run)
	for i, r := range resources {
		sys := &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
			err := faulted(op)
			if err == nil || op == "close" || len(op)%2 == 0 { // half of the faults come after the effect
				if e := effect(); err == nil {
					err = e
				}
			}
			return err
		}}
		if i%2 == 0 {
			c.file("out/"+names[i], "old\n") // what is mounted exists
			sys.mount, sys.reason = r.Dest, unix.EBUSY
		}
		r.sys = sys
	}
	run := NewRunner(Config{Backend: b, Resources: resources, Log: c.options().Log})
	stop := follow(t, run)
	last := make(map[string]string)
	writes := rand.New(rand.NewPCG(seed, 1))
	for i := range 200 {
		name := names[writes.IntN(len(names))]
		last[name] = fmt.Sprint(seed, "-", i)
		b.set("/"+name, last[name])
		time.Sleep(time.Duration(writes.IntN(2000)) * time.Millisecond)
	}
	healthy.Store(true)
	time.Sleep(2 * time.Minute)
	for i, name := range names {
		want := fmt.Sprintf("value=%s\n", last[name])
		c.wantFile(c.dest(name), want)
		if got := loaded[name].Load(); got != want {
			t.Errorf("the service has read %q last, want %q", got, want)
		}
		if s := run.Status()[i]; s.Pending || s.Err != nil || s.Reloaded != s.Seen {
			t.Errorf("got %+v", s)
		}
	}
	c.wantClean(names...)
	stop()
	close(served)
}

func TestNarrow(t *testing.T) {
	for _, test := range []struct{ reads, keys, want []string }{
		{nil, []string{"/a"}, nil},
		{[]string{}, []string{"/a"}, []string{}},
		{[]string{"/a/b"}, []string{"/a"}, []string{"/a/b"}},
		{[]string{"/"}, []string{"/a", "/b"}, []string{"/a", "/b"}},
		{[]string{"/c"}, []string{"/a"}, []string{}},
		{[]string{"/a/x", "/b"}, []string{"/a", "/b/y", "/b/z"}, []string{"/a/x", "/b/y", "/b/z"}},
	} {
		got := narrow(test.reads, test.keys)
		if fmt.Sprint(got) != fmt.Sprint(test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("narrow(%q, %q) = %q, want %q", test.reads, test.keys, got, test.want)
		}
	}
}
