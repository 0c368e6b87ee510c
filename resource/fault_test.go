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
	"testing"

	"golang.org/x/sys/unix"
)

// faulty is the real system, of which each call can fail before or after its effect.
type faulty struct {
	real   system
	mount  string                                     // a path that cannot be renamed to
	reason error                                      // why not
	call   func(op string, effect func() error) error // makes the call, or fails it
}

func (s *faulty) create(path string) (file, error) {
	var f file
	err := s.call("create", func() (err error) { f, err = s.real.create(path); return err })
	return s.wrap(f, err)
}

func (s *faulty) open(path string) (file, error) {
	var f file
	err := s.call("open", func() (err error) { f, err = s.real.open(path); return err })
	return s.wrap(f, err)
}

func (s *faulty) wrap(f file, err error) (file, error) {
	if err != nil {
		if f != nil {
			f.close()
		}
		return nil, err
	}
	return &faultyFile{f, s}, nil
}

func (s *faulty) rename(from, to string) error {
	return s.call("rename", func() error {
		if to == s.mount {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: s.reason}
		}
		return s.real.rename(from, to)
	})
}

func (s *faulty) link(from, to string) error {
	return s.call("link", func() error { return s.real.link(from, to) })
}

func (s *faulty) remove(path string) error {
	op := "remove"
	if filepath.Base(filepath.Dir(path)) == "pending" {
		op = "unmark"
	}
	return s.call(op, func() error { return s.real.remove(path) })
}

func (s *faulty) syncDir(path string) error {
	return s.call("syncDir", func() error { return s.real.syncDir(path) })
}

func (s *faulty) mark(path, text string) error {
	return s.call("mark", func() error { return s.real.mark(path, text) })
}

type faultyFile struct {
	file
	s *faulty
}

func (f *faultyFile) Write(p []byte) (n int, err error) {
	err = f.s.call("write", func() (err error) { n, err = f.file.Write(p); return err })
	return n, err
}

func (f *faultyFile) chown(uid, gid int) error {
	return f.s.call("chown", func() error { return f.file.chown(uid, gid) })
}

func (f *faultyFile) chmod(mode uint32) error {
	return f.s.call("chmod", func() error { return f.file.chmod(mode) })
}

func (f *faultyFile) attributes() (a attributes, err error) {
	err = f.s.call("attributes", func() (err error) { a, err = f.file.attributes(); return err })
	return a, err
}

func (f *faultyFile) truncate(size int64) error {
	return f.s.call("truncate", func() error { return f.file.truncate(size) })
}

func (f *faultyFile) sync() error { return f.s.call("sync", f.file.sync) }

func (f *faultyFile) close() error {
	err := f.s.call("close", f.file.close)
	f.file.close() // a close that failed before its effect must not leak
	return err
}

// Each system call fails once, before or after its effect. The destination is whole at
// any moment, no file is left, and once the fault has gone the file equals the
// rendering, and was reloaded after its last change.
func TestEverySystemCallFails(t *testing.T) {
	replaced := []string{"create", "chown", "chmod", "attributes", "write", "sync", "close", "mark", "rename", "remove", "syncDir", "unmark"}
	inPlace := []string{"create", "open", "chown", "chmod", "attributes", "write", "truncate", "sync", "close", "mark", "rename", "remove", "unmark"}
	for name, ops := range map[string][]string{"replaced": replaced, "in place": inPlace, "kept": append(replaced, "link")} {
		for _, op := range ops {
			for _, after := range []bool{false, true} {
				for nth := 1; nth <= 3; nth++ {
					t.Run(fmt.Sprintf("%s/%s/after=%v/%d", name, op, after, nth), func(t *testing.T) {
						systemCallFails(t, name, op, after, nth)
					})
				}
			}
		}
	}
}

func systemCallFails(t *testing.T, way, op string, after bool, nth int) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`, `mode = "0640"`, "uid = 5")
	loaded := ""
	sh := &commands{do: func(context.Context, string) error {
		data, _ := os.ReadFile(c.dest("a"))
		loaded = string(data)
		return nil
	}}
	opts := c.options()
	opts.KeepStageFile = way == "kept"
	b := newMemory("/a", "old")
	resources := c.load(opts, sh.run)
	run := NewRunner(Config{Backend: b, Resources: resources, Log: opts.Log})
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}

	whole := func() {
		data, err := os.ReadFile(c.dest("a"))
		if got := string(data); err != nil || got != "value=old\n" && got != "value=new value\n" {
			t.Errorf("after a system call dest holds %q (%v)", got, err)
		}
		if got := statOf(t, c.dest("a")); got != (attributes{5, os.Getegid(), 0o640}) {
			t.Errorf("after a system call dest has %+v", got)
		}
	}
	count, hit := 0, false
	sys := &faulty{real: osSystem{}}
	sys.call = func(name string, effect func() error) error {
		if way != "in place" {
			defer whole()
		}
		if name == op {
			count++
		}
		if name != op || count != nth {
			return effect()
		}
		hit = true
		if after {
			effect()
		}
		return &os.PathError{Op: name, Path: "x", Err: unix.EIO}
	}
	if way == "in place" {
		sys.mount, sys.reason = c.dest("a"), unix.EBUSY
	}
	resources[0].sys = sys
	b.set("/a", "new value")
	for range 4 { // the first meets the fault; should the fault be in the second pass, that one does
		run.Once(t.Context())
	}
	if !hit && nth == 1 && (op != "remove" || way == "in place") {
		t.Errorf("%s was not called", op)
	}
	if err := run.Once(t.Context()); err != nil {
		t.Errorf("after the fault: %v", err)
	}
	c.wantFile(c.dest("a"), "value=new value\n")
	whole()
	if way != "kept" {
		c.wantClean("a")
	}
	c.wantMarkers(0)
	if loaded != "value=new value\n" {
		t.Errorf("the service has read %q last", loaded)
	}
	if s := run.Status()[0]; s.Reloaded != 2 || s.Pending || s.Err != nil {
		t.Errorf("got %+v", s)
	}
	if sh.count("reload") > 3 {
		t.Errorf("%d reloads for two values", sh.count("reload"))
	}
}

// The reload does not wait until the new name is on disk. The pass does, and reports a disk
// that fails; the next one syncs once more, and does not reload again.
func TestReloadBesideSync(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`)
	reloaded := make(chan struct{})
	sh := &commands{do: func(context.Context, string) error {
		c.wantFile(c.dest("a"), "value=1\n")
		close(reloaded)
		return nil
	}}
	resources := c.load(c.options(), sh.run)
	syncs := 0
	resources[0].sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
		if op != "syncDir" {
			return effect()
		}
		if syncs++; syncs == 1 {
			<-reloaded // the test hangs if the reload waits for this
			return unix.EIO
		}
		return effect()
	}}
	run := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: resources})
	if err := run.Once(t.Context()); !errors.Is(err, unix.EIO) || !strings.Contains(err.Error(), "syncing the directory") {
		t.Errorf("got %v", err)
	}
	if s := run.Status()[0]; !errors.Is(s.Err, unix.EIO) || s.Failures != 1 || s.Reloads != 1 {
		t.Errorf("after the failure: %+v", s)
	}
	if err := run.Once(t.Context()); err != nil {
		t.Error(err)
	}
	if s := run.Status()[0]; s.Err != nil || s.Reloads != 1 || s.Writes != 1 || syncs != 2 {
		t.Errorf("%d syncs, %+v", syncs, s)
	}
}

// A rename that fails for good, as on an immutable file, never runs the reload.
func TestRenameFailsForGood(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`)
	c.file("out/a", "old\n")
	sh := &commands{}
	resources := c.load(c.options(), sh.run)
	resources[0].sys = &faulty{real: osSystem{}, mount: c.dest("a"), reason: unix.EPERM, call: pass}
	run := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: resources})
	for range 5 {
		if err := run.Once(t.Context()); !errors.Is(err, unix.EPERM) {
			t.Errorf("got %v", err)
		}
	}
	c.wantFile(c.dest("a"), "old\n")
	c.wantClean("a")
	c.wantMarkers(0)
	if len(sh.ran) != 0 {
		t.Errorf("ran %q", sh.ran)
	}
}

// A staged file that could not even be made is not reported as kept.
func TestKeepNothing(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	opts := c.options()
	opts.KeepStageFile = true
	resources := c.load(opts, nil)
	resources[0].sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
		if op == "create" {
			return errInjected
		}
		return effect()
	}}
	run := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: resources, Log: opts.Log})
	if err := run.Once(t.Context()); !errors.Is(err, errInjected) || c.log.count("kept staged file") != 0 {
		t.Errorf("got %v, and log:\n%s", err, c.log)
	}
}

func pass(_ string, effect func() error) error { return effect() }

// A destination that cannot be renamed to is rewritten, owner and mode too, and the
// next pass finds nothing to do: the reload loop of confd 0.16 on bind mounts.
func TestRewriteInPlace(t *testing.T) {
	for _, reason := range []error{unix.EBUSY, unix.EXDEV} {
		c := newConfdir(t)
		c.resource("a", `reload_cmd = "reload"`, `mode = "0600"`, "uid = 5", "gid = 6")
		c.file("out/a", "something that is longer than the new content\n")
		before := inode(t, c.dest("a"))
		sh := &commands{}
		resources := c.load(c.options(), sh.run)
		resources[0].sys = &faulty{real: osSystem{}, mount: c.dest("a"), reason: reason, call: pass}
		run := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: resources})
		for range 5 {
			if err := run.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.wantFile(c.dest("a"), "value=1\n")
		c.wantClean("a")
		if got := statOf(t, c.dest("a")); got != (attributes{5, 6, 0o600}) || inode(t, c.dest("a")) != before {
			t.Errorf("got %+v", got)
		}
		if got := sh.count("reload"); got != 1 {
			t.Errorf("got %d reloads, want 1", got)
		}
	}
}

// While a rewrite has failed half way no reload runs, not even one of another resource
// or in another process.
func TestTornFileIsNotLoaded(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`, `check_cmd = "check"`)
	c.resource("b", `reload_cmd = "reload"`)
	c.file("out/a", "old\n")
	failing := ""
	sh := &commands{do: func(_ context.Context, line string) error {
		if line == failing {
			return errInjected
		}
		return nil
	}}
	b := newMemory("/a", "1", "/b", "1")
	start := func(call func(op string, effect func() error) error) *Runner {
		resources := c.load(c.options(), sh.run)
		resources[0].sys = &faulty{real: osSystem{}, mount: c.dest("a"), reason: unix.EBUSY, call: call}
		return NewRunner(Config{Backend: b, Resources: resources})
	}
	opened := false
	run := start(func(op string, effect func() error) error {
		opened = opened || op == "open"
		if opened && op == "write" {
			return os.WriteFile(c.dest("a"), []byte("val"), 0) // and then the disk is full
		}
		if opened && op == "truncate" {
			return unix.ENOSPC
		}
		return effect()
	})
	for range 2 {
		opened = false
		if err := run.Once(t.Context()); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
	}
	c.wantFile(c.dest("b"), "value=1\n")
	failing = "check" // the next process cannot repair the file yet
	run = start(pass)
	if err := run.Once(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("got %v", err)
	}
	if sh.count("reload") != 0 {
		t.Error("a torn file was loaded")
	}
	failing = ""
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantFile(c.dest("a"), "value=1\n")
	c.wantMarkers(0)
	if sh.count("reload") != 1 {
		t.Errorf("got %d reloads, want 1", sh.count("reload"))
	}
}

// An owner or mode that cannot be had fails the resource; confd 0.16 ignored it.
func TestOwnerCannotBeSet(t *testing.T) {
	for _, test := range []struct {
		name, line, op string
		want           string // "" = success
	}{
		{"configured owner", "uid = 5", "chown", "setting the owner: "},
		{"configured mode", `mode = "0600"`, "chmod", "setting the mode: "},
		{"mode not configured", "", "chmod", "setting the mode: "},
		{"kept owner", "", "chown", ""},
		{"mode that does not stick", `mode = "0640"`, "keep", "leave mode out"},
		{"owner that does not stick", `uid = 7`, "keep", "leave the owner out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConfdir(t)
			c.resource("a", test.line, `reload_cmd = "reload"`)
			c.file("out/a", "old\n")
			sh := &commands{}
			opts := c.options()
			resources := c.load(opts, sh.run)
			resources[0].sys = &faulty{real: osSystem{}, call: func(op string, effect func() error) error {
				switch {
				case test.op == op:
					return &os.PathError{Op: op, Path: "x", Err: unix.EPERM}
				case test.op == "keep" && (op == "chown" || op == "chmod"):
					return nil
				}
				return effect()
			}}
			err := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: resources}).Once(t.Context())
			if test.want == "" {
				if err != nil || c.log.count("cannot be kept") != 1 {
					t.Errorf("got %v, log:\n%s", err, c.log)
				}
				c.wantFile(c.dest("a"), "value=1\n")
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			c.wantFile(c.dest("a"), "old\n")
			c.wantClean("a")
			if len(sh.ran) != 0 {
				t.Errorf("ran %q", sh.ran)
			}
		})
	}
}
