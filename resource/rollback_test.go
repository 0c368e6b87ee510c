// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A service refuses to reload with some values: it has the last value that it took.
type service struct {
	c    *confdir
	file string

	mu  sync.Mutex
	bad func(text string) bool
	has string
	log []string // what it was asked to load, "!" in front if it refused
}

func (s *service) reload(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := os.ReadFile(s.file)
	text := strings.TrimSpace(string(data))
	if err != nil {
		text = "nothing"
	}
	if s.bad(text) {
		s.log = append(s.log, "!"+text)
		return errInjected
	}
	s.has = text
	s.log = append(s.log, text)
	return nil
}

// refuse has it refuse other values from here on.
func (s *service) refuse(bad func(text string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = bad
}

func (s *service) want(t *testing.T, log string) {
	t.Helper()
	if got := strings.Join(s.log, " "); got != log {
		t.Errorf("the service was asked for %s, want %s", got, log)
	}
}

func bads(values ...string) func(string) bool {
	return func(text string) bool {
		for _, v := range values {
			if text == "value="+v {
				return true
			}
		}
		return false
	}
}

// A reload that fails brings the earlier file back, once; the same content is left
// alone, by another process too, and new content is tried.
func TestRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `rollback = true`, `reload_cmd = "reload"`, `mode = "0640"`)
		b := newMemory("/a", "1", "/b", "1")
		svc := &service{c: c, file: c.dest("a"), bad: bads("2", "4")}
		sh := &commands{do: svc.reload}
		run := c.runner(b, sh.run)
		stop := follow(t, run)
		b.set("/a", "2")
		synctest.Wait()
		c.want("1", "a")
		svc.want(t, "value=1 !value=2 value=1")
		s := run.Status()[0]
		if s.Err == nil || !errors.Is(s.Err, errInjected) || !errors.Is(s.Err, errRolledBack) || s.Pending || s.Rollbacks != 1 || s.Written != 2 || !s.Retry.IsZero() {
			t.Errorf("got %+v", s)
		}
		if c.log.count("is back in place") != 1 {
			t.Errorf("log:\n%s", c.log)
		}
		b.set("/b", "2")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		svc.want(t, "value=1 !value=2 value=1")

		b.set("/a", "3")
		synctest.Wait()
		c.want("3", "a")
		if s := run.Status()[0]; s.Err != nil || s.Reloaded != b.index {
			t.Errorf("got %+v", s)
		}
		b.set("/a", "4")
		synctest.Wait()
		c.want("3", "a")
		stop()
		svc.want(t, "value=1 !value=2 value=1 value=3 !value=4 value=3")

		// The next process does not try it again.
		run = c.runner(b, sh.run)
		stop = follow(t, run)
		time.Sleep(time.Hour)
		synctest.Wait()
		c.want("3", "a")
		if s := run.Status()[0]; s.Err == nil || !strings.Contains(s.Err.Error(), "not applied again") {
			t.Errorf("got %+v", s)
		}
		svc.want(t, "value=1 !value=2 value=1 value=3 !value=4 value=3")
		b.set("/a", "5")
		synctest.Wait()
		c.want("5", "a")
		stop()
		c.wantClean("a")
		c.wantMarkers(0)
	})
}

// SIGHUP asks to try again what was rolled back.
func TestRollbackIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `rollback = true`, `reload_cmd = "reload"`)
		b := newMemory("/a", "1")
		svc := &service{c: c, file: c.dest("a"), bad: bads("2")}
		sh := &commands{do: svc.reload}
		opts := c.options()
		load := func() ([]*Resource, error) { return c.load(opts, sh.run), nil }
		run := NewRunner(Config{Backend: b, Resources: c.load(opts, sh.run), Load: load})
		stop := follow(t, run)
		b.set("/a", "2")
		synctest.Wait()
		run.Reread(t.Context(), false) // as after an edit of some other resource
		synctest.Wait()
		svc.want(t, "value=1 !value=2 value=1")
		svc.refuse(bads())
		run.Reread(t.Context(), true)
		synctest.Wait()
		svc.want(t, "value=1 !value=2 value=1 value=2")
		c.want("2", "a")
		if s := run.Status()[0]; s.Err != nil || s.Pending {
			t.Errorf("got %+v", s)
		}
		stop()
	})
}

// What to go back to is the last version that was reloaded, not the one before the last
// write; and of a first version, nothing.
func TestRollbackToWhatWasReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `rollback = true`, `reload_cmd = "reload"`, `min_reload_interval = "1m"`)
		b := newMemory("/a", "0")
		svc := &service{c: c, file: c.dest("a"), bad: bads("0", "3")}
		run := c.runner(b, (&commands{do: svc.reload}).run)
		stop := follow(t, run)
		if _, err := os.Stat(c.dest("a")); err == nil {
			t.Error("a first version that fails stays")
		}
		svc.want(t, "!value=0 nothing")
		b.set("/a", "1")
		time.Sleep(65 * time.Second)
		synctest.Wait()
		svc.want(t, "!value=0 nothing value=1")
		for _, v := range []string{"2", "3"} { // both within the interval
			b.set("/a", v)
			time.Sleep(time.Second)
			c.want(v, "a")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		c.want("1", "a")
		svc.want(t, "!value=0 nothing value=1 !value=3 value=1")
	})
}

// Files and service fail for good: the earlier files are put back once, and reloading
// them goes on being tried.
func TestRollbackDoesNotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `rollback = true`, `reload_cmd = "reload"`)
		b := newMemory("/a", "1")
		svc := &service{c: c, file: c.dest("a"), bad: bads()}
		run := c.runner(b, (&commands{do: svc.reload}).run)
		stop := follow(t, run)
		svc.refuse(func(string) bool { return true })
		b.set("/a", "2")
		time.Sleep(time.Hour)
		synctest.Wait()
		s := run.Status()[0]
		if s.Rollbacks != 1 || s.Writes != 2 || !s.Pending || !errors.Is(s.Err, errRolledBack) || !s.Retry.IsZero() {
			t.Errorf("got %+v", s)
		}
		if in := time.Until(s.ReloadRetry); !errors.Is(s.ReloadErr, errInjected) || errors.Is(s.ReloadErr, errRolledBack) || in <= 0 || in > 40*time.Second {
			t.Errorf("the next reload is in %v; %+v", in, s)
		}
		c.want("1", "a")
		svc.refuse(bads("2"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := run.Status()[0]; svc.has != "value=1" || s.Pending || s.ReloadErr != nil || !s.ReloadRetry.IsZero() || !errors.Is(s.Err, errRolledBack) {
			t.Errorf("the service has %q; %+v", svc.has, s)
		}
		stop()
	})
}

// The next run that is told of a reload that has failed is not before min_reload_interval.
func TestReloadRetryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload"`, `min_reload_interval = "1m"`)
		b := newMemory("/a", "1")
		sh := &commands{do: func(context.Context, string) error { return errInjected }}
		run := c.runner(b, sh.run)
		start := time.Now()
		stop := follow(t, run)
		if s := run.Status()[0]; !s.Retry.Equal(start.Add(time.Minute)) || !s.ReloadRetry.Equal(s.Retry) {
			t.Errorf("got %+v", s)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if sh.count("reload") != 2 {
			t.Errorf("ran %q", sh.ran)
		}
		b.set("/a", "2") // written, and not reloaded yet
		synctest.Wait()
		if s := run.Status()[0]; !s.Pending || s.ReloadErr != nil || !s.ReloadRetry.IsZero() {
			t.Errorf("got %+v", s)
		}
		stop()
	})
}

// A bundle goes back as one, every reload of it runs again, and what shares a reload
// without asking for a rollback stays.
func TestRollbackOfABundle(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `bundle = "x"`, `rollback = true`, `reload_cmd = "reload one"`)
	c.resource("b", `bundle = "x"`, `reload_cmd = "reload two"`)
	c.resource("c", `bundle = "x"`)
	c.resource("d", `reload_cmd = "reload two"`)
	c.file("templates/c.tmpl", "value=0\n")
	sh, b := counting("a", "b", "c", "d")
	run := c.runner(b, sh.run)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	setAll(b, "1", "a", "b", "d")
	sh.ran = nil
	sh.do = func(_ context.Context, line string) error {
		data, _ := os.ReadFile(c.dest("b"))
		if line == "reload two" && string(data) == "value=1\n" {
			return errInjected
		}
		return nil
	}
	err := run.Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "b.toml") || !errors.Is(err, errRolledBack) || strings.Contains(err.Error(), "d.toml") {
		t.Errorf("got %v", err)
	}
	c.want("0", "a", "b", "c")
	c.want("1", "d")
	if got := fmt.Sprint(sh.ran); got != "[reload one reload two reload one reload two]" {
		t.Errorf("ran %s", got)
	}
	for i, pending := range []bool{false, false, false, false} {
		if s := run.Status()[i]; s.Pending != pending || (s.Err == nil) != (i == 3) {
			t.Errorf("got %+v", s)
		}
	}
	// All of the bundle is at what it had together before, the member without a reload too.
	for i, s := range run.Status()[:3] {
		if first := run.Status()[0]; s.Written != first.Written || s.Reloaded != first.Written || s.Written >= s.Rendered {
			t.Errorf("member %d: %+v", i, s)
		}
	}
	c.wantMarkers(0)
}

// The process dies before the reload: the next one reloads, and can still go back.
func TestRollbackAfterARestart(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `rollback = true`, `reload_cmd = "reload"`)
	b := newMemory("/a", "1")
	svc := &service{c: c, file: c.dest("a"), bad: bads("2")}
	sh := &commands{do: svc.reload}
	if err := c.runner(b, sh.run).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.set("/a", "2")
	ctx, cancel := context.WithCancel(t.Context())
	dying := &commands{do: func(ctx context.Context, _ string) error { cancel(); <-ctx.Done(); return context.Cause(ctx) }}
	opts := c.options()
	NewRunner(Config{Backend: b, Resources: c.load(opts, dying.run), StopTimeout: time.Millisecond}).Once(ctx)
	c.wantMarkers(1)
	c.want("2", "a")
	run := c.runner(b, sh.run)
	if err := run.Once(t.Context()); !errors.Is(err, errRolledBack) {
		t.Errorf("got %v", err)
	}
	c.want("1", "a")
	c.wantMarkers(0)
}

func TestBackup(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `backup = 3`)
	os.Chmod(c.file("out/a", "value=0\n"), 0o640)
	b := newMemory()
	run := c.runner(b, nil)
	for i := 1; i <= 6; i++ {
		b.set("/a", fmt.Sprint(i))
		if err := run.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := run.resources[0]
	names, err := r.history().list()
	if err != nil || len(names) != 3 {
		t.Fatalf("got %q, %v; want the last three", names, err)
	}
	for i, name := range names {
		v, err := r.history().read(name)
		if want := fmt.Sprintf("value=%d\n", 3+i); err != nil || string(v.content) != want || v.Dest != r.Dest || v.Mode != 0o640 {
			t.Errorf("version %d: got %+v, %q, %v", i, v, v.content, err)
		}
	}
	info, err := os.Stat(filepath.Join(r.history().dir, names[0]))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
}

// What cannot be kept is not replaced.
func TestBackupFails(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `backup = 1`)
	c.file("out/a", "value=0\n")
	c.file("state/backup", "a file where a directory belongs")
	if err := c.runner(newMemory("/a", "1"), nil).Once(t.Context()); err == nil || !strings.Contains(err.Error(), "earlier version") {
		t.Errorf("got %v", err)
	}
	c.want("0", "a")
	c.wantClean("a")
}

// By hand, one can go back as far as there are versions; what is put back stays.
func TestRollBackByHand(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `backup = 5`, `reload_cmd = "reload"`, `bundle = "x"`)
	c.resource("b", `bundle = "x"`)
	c.resource("other")
	sh, b := counting("a", "b", "other")
	daemon := c.runner(b, sh.run)
	pass := func() error { return daemon.Once(t.Context()) }
	if err := pass(); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		setAll(b, fmt.Sprint(i), "a")
		if i == 2 {
			setAll(b, "2", "b")
		}
		if err := pass(); err != nil {
			t.Fatal(err)
		}
	}
	hand := c.runner(nil, sh.run) // another process, without a backend
	earlier, err := hand.Earlier(c.dest("a"))
	if err != nil || len(earlier) != 4 || !earlier[3].Absent || earlier[0].Size != len("value=2\n") {
		t.Fatalf("got %+v, %v", earlier, err)
	}
	if err := hand.RollBack(t.Context(), c.dest("b"), ""); err != nil { // the last change of b, and all since
		t.Fatal(err)
	}
	c.want("1", "a")
	c.want("0", "b")
	if sh.count("reload") != 5 {
		t.Errorf("ran %q", sh.ran)
	}
	// The daemon has not looked at the files again, and knows all the same.
	for _, st := range daemon.State().Resources {
		if byHand := st.Dest != c.dest("other"); byHand != errors.Is(st.Err, errByHand) || byHand == st.UpToDate() {
			t.Errorf("%s: got %v", st.Name, st.Err)
		}
	}
	for range 3 {
		if err := pass(); !errors.Is(err, errRolledBack) {
			t.Errorf("got %v", err)
		}
	}
	c.want("1", "a")
	if err := hand.RollBack(t.Context(), c.dest("a"), ""); err != nil {
		t.Fatal(err)
	}
	if err := pass(); !errors.Is(err, errRolledBack) {
		t.Errorf("got %v", err)
	}
	c.want("0", "a", "b")
	for dest, want := range map[string]string{
		"/nowhere": "no resource has the destination", c.dest("other"): "no earlier version is kept",
	} {
		if err := hand.RollBack(t.Context(), dest, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", dest, err)
		}
	}
	if err := hand.RollBack(t.Context(), c.dest("a"), "x"); err == nil || !errors.Is(err, ErrNoVersion) {
		t.Errorf("got %v", err)
	}
	setAll(b, "9", "a", "b")
	if err := pass(); err != nil {
		t.Fatal(err)
	}
	c.want("9", "a", "b")
	c.wantMarkers(0)
}
