// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"confd/integration/bench/load"
)

// build builds a program of this module as confd is shipped, in dir, and returns its path.
func build(ctx context.Context, dir, pkg string) (string, error) {
	linked := filepath.Join(dir, "linked")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", linked, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	return path, errors.Join(copyProgram(linked, path), os.Remove(linked))
}

// copyProgram copies a program, as one that is installed: a file that the linker has written since
// the machine was started takes a fifth longer to start than the same bytes in a copy.
func copyProgram(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

// etcdVersion returns the version that etcd tells.
func etcdVersion(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking etcd for its version: %w; make deps installs Debian's", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(line, "etcd Version: "), nil
}

// machine describes what is measured on, a line each.
func machine(ctx context.Context, o options, etcd string) ([]string, error) {
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return nil, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(o.dir, &disk); err != nil {
		return nil, err
	}
	sync, err := syncFloor(o)
	if err != nil {
		return nil, err
	}
	goVersion, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return nil, err
	}
	return []string{
		"command:    " + o.command,
		"date:       " + time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		fmt.Sprintf("processor:  %s, %d cores, %s", procField("/proc/cpuinfo", "model name"), runtime.NumCPU(), runtime.GOARCH),
		"memory:     " + procField("/proc/meminfo", "MemTotal"),
		"load:       " + firstLine("/proc/loadavg"),
		"kernel:     " + unix.ByteSliceToString(uname.Release[:]),
		"disk:       " + filesystem(disk.Type) + journal(o.dir, disk.Type),
		fmt.Sprintf("fdatasync:  of 4 KiB, p50 %v, p99 %v", sync.Quantile(0.5).Round(time.Microsecond), sync.Quantile(0.99).Round(time.Microsecond)),
		"go:         " + strings.TrimSpace(string(goVersion)),
		"etcd:       " + etcd + ", " + o.etcd,
		fmt.Sprintf("rounds:     %d of %v", o.rounds, o.round),
	}, nil
}

// syncFloor measures how long the disk takes for the smallest durable write.
func syncFloor(o options) (*load.Histogram, error) {
	f, err := os.CreateTemp(o.dir, "confd-bench-sync-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := bytes.Repeat([]byte("x"), 4096)
	var h load.Histogram
	for range 200 {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		h.Record(time.Since(start))
	}
	return &h, nil
}

// filesystem returns the name of a type of file system.
func filesystem(kind int64) string {
	switch kind {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs: no disk, syncing costs nothing; see -dir"
	}
	return fmt.Sprintf("file system of type %#x", kind)
}

// journal returns whether an ext4 has a journal, and what it lies on: most have one, and then
// syncs and new files take other times. It returns "" for other file systems, and if that cannot be known.
func journal(dir string, kind int64) string {
	var info unix.Stat_t
	if err := unix.Stat(dir, &info); err != nil || kind != unix.EXT4_SUPER_MAGIC {
		return ""
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(info.Dev), unix.Minor(info.Dev)))
	if err != nil {
		return ""
	}
	name := filepath.Base(device)
	if found, err := filepath.Glob("/proc/fs/jbd2/" + name + "-*"); err != nil || len(found) == 0 {
		return " without a journal, on " + name
	}
	return " with a journal, on " + name
}

// procField returns the first field of that name in a file of /proc.
func procField(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}
