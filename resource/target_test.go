// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

func TestSymlinks(t *testing.T) {
	for _, test := range []struct {
		name  string
		links [][2]string // name, target; from the first
		want  string      // the file that is written, below the confdir
	}{
		{"file", [][2]string{{"out/a", "../real/x"}}, "real/x"},
		{"absolute", [][2]string{{"out/a", "ROOT/real/x"}}, "real/x"},
		{"chain", [][2]string{{"out/a", "b"}, {"out/b", "../real/x"}}, "real/x"},
		{"dangling", [][2]string{{"out/a", "../real/new"}}, "real/new"},
		{"through a linked directory", [][2]string{{"out/dir", "../real/deep"}, {"out/a", "dir/../x"}}, "real/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConfdir(t)
			c.resource("a")
			c.file("real/x", "old")
			c.file("real/deep/y", "")
			for _, l := range test.links {
				if err := os.Symlink(strings.ReplaceAll(l[1], "ROOT", c.path), filepath.Join(c.path, l[0])); err != nil {
					t.Fatal(err)
				}
			}
			run := c.runner(newMemory("/a", "1"), nil)
			if err := run.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.wantFile(filepath.Join(c.path, test.want), "value=1\n")
			if info, err := os.Lstat(c.dest("a")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
				t.Error("the link was replaced")
			}
		})
	}
}

// In a directory like /tmp, another user's link is not followed, be it the destination
// or on the way to it, and another user's file does not become the owner of what is
// written.
func TestSharedDirectory(t *testing.T) {
	const other = 65534
	for _, test := range []struct {
		name  string
		link  string // below out
		owner int
		mode  os.FileMode // of out
		bad   bool
	}{
		{"another's link", "a", other, 0o777 | fs.ModeSticky, true},
		{"own link", "a", os.Geteuid(), 0o777 | fs.ModeSticky, false},
		{"private directory", "a", other, 0o755 | fs.ModeSticky, false},
		{"another's directory", "dir", other, 0o777 | fs.ModeSticky, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConfdir(t)
			c.resource("a")
			c.file("real/x", "old")
			target := "../real/x"
			if test.link == "dir" {
				target = "../real"
				c.file("conf.d/a.toml", fmt.Sprintf("[template]\nsrc = \"a.tmpl\"\ndest = %q\nkeys = [\"/\"]\n", c.dest("dir/x")))
			}
			if err := errors.Join(os.Symlink(target, c.dest(test.link)), os.Lchown(c.dest(test.link), test.owner, -1),
				os.Chmod(filepath.Dir(c.dest("a")), test.mode)); err != nil {
				t.Fatal(err)
			}
			err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
			if bad := err != nil && strings.Contains(err.Error(), "another user has made"); bad != test.bad {
				t.Errorf("got %v", err)
			}
			want := "value=1\n"
			if test.bad {
				want = "old"
			}
			c.wantFile(filepath.Join(c.path, "real/x"), want)
		})
	}
	for _, sticky := range []os.FileMode{0, fs.ModeSticky} {
		c := newConfdir(t)
		c.resource("a")
		c.file("out/a", "value=1\n") // the right content already
		if err := errors.Join(os.Chmod(c.dest("a"), 0o666), os.Chown(c.dest("a"), other, other),
			os.Chmod(filepath.Dir(c.dest("a")), 0o777|sticky)); err != nil {
			t.Fatal(err)
		}
		if err := c.runner(newMemory("/a", "1"), nil).Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := attributes{other, other, 0o666}
		if sticky != 0 {
			want = attributes{os.Geteuid(), os.Getegid(), 0o644}
		}
		if got := statOf(t, c.dest("a")); got != want {
			t.Errorf("sticky %v: got %+v, want %+v", sticky != 0, got, want)
		}
	}
}

func TestDestFaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func(c *confdir) error
		want  string
	}{
		{"no directory", func(c *confdir) error { return os.Remove(filepath.Join(c.path, "out")) },
			"out\" does not exist; create it, or correct dest"},
		{"directory", func(c *confdir) error { return os.Mkdir(c.dest("a"), 0o755) }, "is not a regular file but a directory; name a file in it"},
		{"pipe", func(c *confdir) error { return unix.Mkfifo(c.dest("a"), 0o600) }, "a socket or a pipe"},
		{"circle", func(c *confdir) error { return os.Symlink("a", c.dest("a")) }, "more than 40 symbolic links"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newConfdir(t)
			c.resource("a")
			if err := test.setup(c); err != nil {
				t.Fatal(err)
			}
			err := c.runner(newMemory("/a", "1"), nil).Once(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "resource a.toml (dest ") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "file does not exist") {
				t.Errorf("it says the same twice: %v", err)
			}
		})
	}
}

// TestHolds compares contents of all kinds of lengths with files that have them, and with
// files that differ in one byte or in their length, read in pieces of any size.
func TestHolds(t *testing.T) {
	for _, n := range []int{0, 1, 2, 511, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200 << 10} {
		content := bytes.Repeat([]byte("x"), n)
		files := map[string]bool{string(content): true, string(content) + "x": false}
		if n > 0 {
			files[string(content[1:])] = false
			files["y"+string(content[1:])] = false
			files[string(content[1:])+"y"] = false
		}
		for file, want := range files {
			for name, f := range map[string]io.Reader{
				"whole": strings.NewReader(file), "halves": iotest.HalfReader(strings.NewReader(file)),
				"end with data": iotest.DataErrReader(strings.NewReader(file)),
			} {
				if got, err := holds(f, content); err != nil || got != want {
					t.Errorf("%s: %d bytes, a file of %d: %v, %v, want %v", name, n, len(file), got, err, want)
				}
			}
		}
	}
}

// TestPaths: what is remembered of directories leads to the same files.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(
		os.MkdirAll(at("a/b"), 0o755), os.Mkdir(at("c"), 0o755), os.WriteFile(at("a/b/file"), nil, 0o600),
		os.Symlink("a", at("link")), os.Symlink("../../c/there", at("a/b/away")), os.Symlink("a/b/away", at("twice")), os.Symlink("loop", at("loop")),
	)
	if err != nil {
		t.Fatal(err)
	}
	var known paths
	for range 2 {
		for _, name := range []string{
			"a/b/file", "a/b/other", "link/b/file", "link/b/other", "link/b/away", "a/b/away", "twice", "a/b/../x", "a/b/..", "a/b/.", "a/b/", "loop", "none/x", "a/b/file/x", "link",
		} {
			dest := dir + "/" + name
			got, err := known.resolve(dest)
			want, info, wantErr := resolve(dest)
			if got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("%s: got %q, %v; want %q, %v", name, got, err, want, wantErr)
			}
			if exists, err := os.Lstat(want); (err == nil) != (info != nil) || err == nil && !os.SameFile(exists, info) {
				t.Errorf("%s: info %v, want %v", name, info, exists)
			}
		}
	}
	if err := errors.Join(os.Remove(at("a/b/file")), os.Symlink("/dev/null", at("a/b/file"))); err != nil {
		t.Fatal(err)
	}
	if got, err := known.resolve(at("a/b/file")); err != nil || got != "/dev/null" {
		t.Errorf("a link in the place of a file leads to %q, %v", got, err)
	}
}
