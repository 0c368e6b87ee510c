// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func statOf(t *testing.T, path string) attributes {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return attributesOf(&stat)
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

func TestOnceWritesAndReloads(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = "check {{.src}} {{.dest}}"`, `reload_cmd = "reload"`)
	var staged string
	sh := &commands{}
	sh.do = func(_ context.Context, line string) error {
		if rest, ok := strings.CutPrefix(line, "check "); ok {
			src, dest, _ := strings.Cut(rest, " ")
			staged = src
			if of, ok := stageOf(filepath.Base(src)); dest != c.dest("a") || filepath.Dir(src) != filepath.Dir(dest) || !ok || of != "a" {
				t.Errorf("check_cmd is %q", line)
			}
			c.wantFile(src, "value=1\n")
			if _, err := os.Stat(dest); !errors.Is(err, fs.ErrNotExist) {
				t.Error("dest is there before it has been checked")
			}
		} else {
			c.wantFile(c.dest("a"), "value=1\n")
			c.wantMarkers(1)
		}
		return nil
	}
	b := newMemory("/a", "1")
	run := c.runner(b, sh.run)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantFile(c.dest("a"), "value=1\n")
	c.wantClean("a")
	c.wantMarkers(0)
	if got := statOf(t, c.dest("a")); got != (attributes{os.Geteuid(), os.Getegid(), 0o644}) {
		t.Errorf("got %+v", got)
	}
	if got := fmt.Sprint(sh.ran); got != fmt.Sprintf("[check %s %s reload]", staged, c.dest("a")) {
		t.Errorf("ran %s", got)
	}
	got := run.Status()[0]
	if got.SeenAt.IsZero() || got.WrittenAt.IsZero() || got.RenderTook <= 0 || got.CheckTook <= 0 || got.ReloadTook <= 0 {
		t.Errorf("got %+v", got)
	}
	got.SeenAt, got.WrittenAt, got.RenderTook, got.CheckTook, got.ReloadTook = time.Time{}, time.Time{}, 0, 0, 0
	if got != (Status{Name: "a.toml", Dest: c.dest("a"), Seen: 1, Rendered: 1, Checked: 1, Written: 1, Reloaded: 1, Writes: 1, Reloads: 1, Done: true}) {
		t.Errorf("got %+v", got)
	}

	// The same again: nothing is staged, checked, written or run.
	before := inode(t, c.dest("a"))
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if inode(t, c.dest("a")) != before || len(sh.ran) != 2 {
		t.Errorf("an unchanged file was applied again: ran %q", sh.ran)
	}
}

func TestOwnerAndMode(t *testing.T) {
	for _, test := range []struct {
		name  string
		lines []string
		has   *attributes // of the destination before; nil = there is none
		want  attributes
	}{
		{"new", nil, nil, attributes{0, 0, 0o644}},
		{"new, configured", []string{"uid = 3", "gid = 4", `mode = "0600"`}, nil, attributes{3, 4, 0o600}},
		{"new, by name", []string{`owner = "root"`, `group = "root"`, `mode = "4755"`}, nil, attributes{0, 0, 0o4755}},
		{"kept", nil, &attributes{5, 6, 0o640}, attributes{5, 6, 0o640}},
		{"mode only", []string{`mode = "600"`}, &attributes{5, 6, 0o640}, attributes{5, 6, 0o600}},
		{"group only", []string{"gid = 9"}, &attributes{5, 6, 0o2640}, attributes{5, 9, 0o2640}},
		{"zero is an owner", []string{"uid = 0"}, &attributes{5, 6, 0o640}, attributes{0, 6, 0o640}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, content := range []string{"old\n", "value=1\n"} { // other content, and only other attributes
				c := newConfdir(t)
				c.resource("a", append(test.lines, `reload_cmd = "reload"`)...)
				if test.has != nil {
					path := c.file("out/a", content)
					if err := errors.Join(os.Chown(path, test.has.uid, test.has.gid), unix.Chmod(path, test.has.mode)); err != nil {
						t.Fatal(err)
					}
				}
				sh := &commands{}
				run := c.runner(newMemory("/a", "1"), sh.run)
				for range 3 {
					if err := run.Once(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				c.wantFile(c.dest("a"), "value=1\n")
				if got := statOf(t, c.dest("a")); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
				reloads := 1
				if test.has != nil && *test.has == test.want && content == "value=1\n" {
					reloads = 0
				}
				if got := sh.count("reload"); got != reloads {
					t.Errorf("got %d reloads, want %d", got, reloads)
				}
			}
		})
	}
}

func TestNoop(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = "check"`, `reload_cmd = "reload"`)
	c.resource("b")
	c.file("out/b", "value=2\n")
	opts := c.options()
	opts.Noop = true
	sh := &commands{}
	run := NewRunner(Config{Backend: newMemory("/a", "1", "/b", "2"), Resources: c.load(opts, sh.run), Log: opts.Log})
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := run.Status(); !s[0].Differs || s[0].Written != 0 || s[1].Differs || s[1].Written != 2 {
		t.Errorf("got %+v", s)
	}
	if len(sh.ran) != 0 || c.log.count("would replace file") != 1 {
		t.Errorf("ran %q, log:\n%s", sh.ran, c.log)
	}
	c.wantClean("b")
	c.wantMarkers(0)
}

func TestSyncOnly(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = "check"`, `reload_cmd = "reload"`)
	opts := c.options()
	opts.SyncOnly = true
	sh := &commands{}
	run := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: c.load(opts, sh.run), Log: opts.Log})
	if err := run.Once(t.Context()); err != nil || len(sh.ran) != 0 {
		t.Errorf("got %v, ran %q", err, sh.ran)
	}
	c.wantFile(c.dest("a"), "value=1\n")
	c.wantMarkers(0)
	if s := run.Status()[0]; s.Reloaded != 1 || s.Pending {
		t.Errorf("got %+v", s)
	}
}

func TestKeepStageFile(t *testing.T) {
	for _, checked := range []bool{true, false} {
		c := newConfdir(t)
		c.resource("a", `check_cmd = "check"`)
		opts := c.options()
		opts.KeepStageFile = true
		sh := &commands{do: func(context.Context, string) error {
			if !checked {
				return errInjected
			}
			return nil
		}}
		resources := c.load(opts, sh.run)
		err := NewRunner(Config{Backend: newMemory("/a", "1"), Resources: resources, Log: opts.Log}).Once(t.Context())
		if (err == nil) != checked {
			t.Errorf("got %v", err)
		}
		left, _ := filepath.Glob(filepath.Join(c.path, "out", ".a.confd-*"))
		if len(left) != 1 || !strings.Contains(c.log.String(), left[0]) {
			t.Fatalf("got %q, want one staged file, and its path in the log:\n%s", left, c.log)
		}
		c.wantFile(left[0], "value=1\n")
		// Attempts that are repeated do not fill the disk.
		b := newMemory("/a", "2")
		run := NewRunner(Config{Backend: b, Resources: resources, Log: opts.Log})
		for i := range 3 {
			b.set("/a", fmt.Sprint("x", i))
			run.Once(t.Context())
		}
		if left, _ = filepath.Glob(filepath.Join(c.path, "out", ".a.confd-*")); len(left) != 1 {
			t.Fatalf("got %q, want the last staged file only", left)
		}
		c.wantFile(left[0], "value=x2\n")
		// The next start without the option sweeps.
		if err := c.runner(newMemory("/a", "1"), (&commands{}).run).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.wantFile(c.dest("a"), "value=1\n")
		c.wantClean("a")
	}
}

func TestSweep(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	digits := "0123456789abcdef"
	keep := []string{".a.confd-" + digits + "0", ".a.confd-x" + digits[1:], ".aconfd-" + digits, ".b.confd-" + digits, "a.confd-" + digits}
	for _, name := range append(keep, ".a.confd-"+digits, ".a.confd-"+strings.Repeat("f", 16)) {
		c.file("out/"+name, "x")
	}
	run := c.runner(newMemory("/a", "1"), nil)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantClean(".a.confd-"+digits+"0", ".a.confd-x"+digits[1:], ".aconfd-"+digits, ".b.confd-"+digits, "a", "a.confd-"+digits)
}

// kelseyhightower/confd ran nothing again after a failed check until a key changed.
func TestCheckFails(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = "check"`, `reload_cmd = "reload"`)
	c.file("out/a", "old\n")
	before := inode(t, c.dest("a"))
	fail := true
	sh := &commands{do: func(_ context.Context, line string) error {
		if fail && line == "check" {
			return errInjected
		}
		return nil
	}}
	run := c.runner(newMemory("/a", "1"), sh.run)
	err := run.Once(t.Context())
	if !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "checking: ") {
		t.Errorf("got %v", err)
	}
	c.wantFile(c.dest("a"), "old\n")
	c.wantClean("a")
	c.wantMarkers(0)
	if inode(t, c.dest("a")) != before || sh.count("reload") != 0 {
		t.Error("dest was touched, or a reload run, after a failed check")
	}
	if s := run.Status()[0]; s.Seen != 1 || s.Rendered != 1 || s.Checked != 0 || s.Written != 0 || s.Failures != 1 || s.Err == nil || s.Retry.IsZero() {
		t.Errorf("got %+v", s)
	}
	fail = false
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantFile(c.dest("a"), "value=1\n")
	if s := run.Status()[0]; sh.count("reload") != 1 || s.Err != nil || s.Failures != 0 || s.Reloaded != 1 {
		t.Errorf("got %+v, ran %q", s, sh.ran)
	}
}

func TestFailureStopsNobody(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	c.resource("b", `check_cmd = "false"`)
	c.resource("c", `reload_cmd = "reload"`)
	c.resource("d", `reload_cmd = "reload"`)
	c.file("templates/a.tmpl", `{{getv "/none"}}`)
	sh := &commands{do: func(context.Context, string) error { return errInjected }}
	err := c.runner(newMemory("/a", "1", "/b", "secret", "/c", "1", "/d", "1"), sh.run).Once(t.Context())
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != 4 {
		t.Fatalf("got %d lines, want one per failed resource:\n%v", len(lines), err)
	}
	for i, want := range []string{"a.toml", "b.toml", "c.toml", "d.toml"} {
		if !strings.HasPrefix(lines[i], "resource "+want+" (dest ") {
			t.Errorf("line %d is %q, want that of %s", i, lines[i], want)
		}
	}
	c.wantFile(c.dest("c"), "value=1\n")
	c.wantFile(c.dest("d"), "value=1\n")
	c.wantMarkers(2)
	if strings.Contains(c.log.String()+err.Error(), "secret") {
		t.Error("a value has reached the log or an error")
	}
}

func TestSharedReloadOncePerPass(t *testing.T) {
	c := newConfdir(t)
	for _, name := range []string{"a", "b", "c"} {
		c.resource(name, `reload_cmd = "reload all"`)
	}
	c.resource("ba", `reload_cmd = "reload other"`)
	sh := &commands{do: func(_ context.Context, line string) error {
		if line == "reload all" {
			for _, name := range []string{"a", "b", "c"} {
				c.wantFile(c.dest(name), "value=1\n") // all members are written
			}
		}
		return nil
	}}
	run := c.runner(newMemory("/a", "1", "/b", "1", "/c", "1", "/ba", "1"), sh.run)
	if err := run.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(sh.ran); got != "[reload all reload other]" {
		t.Errorf("ran %s", got)
	}
}

// A reload that failed is due until it has succeeded, also in another process.
func TestPendingSurvivesRestart(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`)
	b := newMemory("/a", "1")
	sh := &commands{do: func(context.Context, string) error { return errInjected }}
	for i := range 3 {
		run := c.runner(b, sh.run)
		if err := run.Once(t.Context()); !errors.Is(err, errInjected) {
			t.Fatalf("run %d: got %v", i, err)
		}
		c.wantMarkers(1)
		if s := run.Status()[0]; !s.Pending || s.Written != 1 || s.Reloaded != 0 || s.Err == nil {
			t.Errorf("run %d: got %+v", i, s)
		}
	}
	// Noop and sync-only leave the note where it is.
	for _, opts := range []Options{{Noop: true}, {SyncOnly: true}} {
		opts.StateDir = c.options().StateDir
		if err := NewRunner(Config{Backend: b, Resources: c.load(opts, sh.run)}).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.wantMarkers(1)
	}
	sh.do = nil
	for range 2 {
		if err := c.runner(b, sh.run).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.wantMarkers(0)
	}
	if got := sh.count("reload"); got != 4 {
		t.Errorf("got %d reloads, want 3 that failed and 1", got)
	}
}

func TestMarkerOfRemovedCommand(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`)
	b := newMemory("/a", "1")
	sh := &commands{do: func(context.Context, string) error { return errInjected }}
	c.runner(b, sh.run).Once(t.Context())
	c.wantMarkers(1)
	c.resource("a")
	if err := c.runner(b, sh.run).Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantMarkers(0)
}

func TestMarkerCannotBeWritten(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `reload_cmd = "reload"`)
	c.file("state/pending", "a file where a directory belongs")
	sh := &commands{}
	b := newMemory("/a", "1")
	run := c.runner(b, sh.run)
	for i := range 3 {
		b.set("/a", fmt.Sprint(i))
		if err := run.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if sh.count("reload") != 3 || c.log.count("level=WARN") != 2 { // one from looking, one from noting
		t.Errorf("ran %q, log:\n%s", sh.ran, c.log)
	}
}

func TestBackendFailsOnce(t *testing.T) {
	c := newConfdir(t)
	c.resource("a")
	b := newMemory()
	b.fail = func(string) error { return errInjected }
	if err := c.runner(b, nil).Once(t.Context()); !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "reading values") {
		t.Errorf("got %v", err)
	}
}

func TestStopDuringCheck(t *testing.T) {
	c := newConfdir(t)
	c.resource("a", `check_cmd = "check"`)
	ctx, cancel := context.WithCancel(t.Context())
	sh := &commands{do: func(context.Context, string) error { cancel(); return nil }}
	run := c.runner(newMemory("/a", "1"), sh.run)
	if err := run.Once(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.wantClean() // nothing was begun after the stop
}

func TestDelay(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 7: 16 * time.Second, 8: 30 * time.Second, 1000: 30 * time.Second} {
		for range 100 {
			if got := delay(failures); got < want*3/4 || got > want*5/4 {
				t.Errorf("after %d failures: got %v, want about %v", failures, got, want)
			}
		}
	}
}
