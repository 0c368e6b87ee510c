// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"confd/raftkv/tree"
)

// An image is the files of a data directory :: path in it → content.
type image map[string][]byte

func readImage(t testing.TB, dir string) image {
	t.Helper()
	files := image{}
	for _, pattern := range []string{"*", "wal/*", "snapshots/*/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				continue
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[path[len(dir)+1:]] = b
		}
	}
	return files
}

func (files image) write(t testing.TB, dir string) {
	t.Helper()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// memoryDir returns a directory where a sync costs nothing, if there is such a place.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "confd-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func corruptConfig(dir string) Config {
	return Config{
		Name: "test", DataDir: dir, PeerAddr: "127.0.0.1:0", ElectionTimeout: 10 * time.Minute, Timeout: 10 * time.Second,
		SnapshotBytes: 4 << 20, SnapshotCount: 1 << 40, Log: slog.New(slog.DiscardHandler),
	}
}

// The state of all images, and what was written last.
const (
	imageKeys = 50
	lastKey   = "/last"
)

func imageKey(i int) string { return fmt.Sprintf("/k%02d", i) }

func imageValue(i int) string {
	if i%4 == 3 {
		return strings.Repeat(fmt.Sprintf("%08d", i), 13<<10) // the log gets a second file
	}
	return fmt.Sprintf("value %d", i)
}

// images returns a directory as three ends of its node leave it: killed, before the mark
// has followed the last writes; closed; and closed with the log cut as far as the last
// snapshot goes.
func images(t testing.TB) map[string]image {
	dir := memoryDir(t)
	n := open(t, corruptConfig(dir))
	for i := range imageKeys {
		set(t, n, imageKey(i), imageValue(i))
		if i == 10 || i == imageKeys-6 {
			if err := n.snapshot(); err != nil {
				t.Fatal(err)
			}
		}
	}
	set(t, n, lastKey, "last")
	all := map[string]image{"killed": readImage(t, dir)}
	first, err := n.wal.FirstIndex()
	if err != nil || first != 1 {
		t.Fatalf("the log has been cut before %d: %v", first, err)
	}
	closeNode(t, n)
	all["closed"] = readImage(t, dir)
	n = open(t, corruptConfig(dir))
	last, err := n.lastSnapshot()
	if err == nil {
		err = n.logs.DeleteRange(1, last.Index)
	}
	if err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	all["cut"] = readImage(t, dir)
	return all
}

// A harm is one thing that happens to one file. It returns nil if the file is gone.
type harm struct {
	what string
	do   func([]byte) []byte
}

func harmsAt(off int) []harm {
	return []harm{
		{fmt.Sprintf("bit of byte %d flipped", off), func(b []byte) []byte { b[off] ^= 1 << (off % 8); return b }},
		{fmt.Sprintf("cut at byte %d", off), func(b []byte) []byte { return b[:off] }},
		{fmt.Sprintf("512 bytes from %d are zeros", off), func(b []byte) []byte { clear(b[off:min(off+512, len(b))]); return b }},
		{fmt.Sprintf("a block of zeros around %d", off), func(b []byte) []byte { clear(b[off&^4095 : min(off&^4095+4096, len(b))]); return b }},
	}
}

// frames returns where the frames of a file of the log begin, and where the last ends.
func frames(b []byte) (starts []int) {
	at := segmentHeader
	for at+frameHeader <= len(b) && b[at] != 0 {
		starts = append(starts, at)
		kind, value := b[at], binary.LittleEndian.Uint32(b[at+4:])
		at += frameHeader
		if kind != frameCommit {
			at += int(padded(value))
		}
	}
	return append(starts, at)
}

// batchEnds returns where the batches of a file of the log end, after where the first begins.
func batchEnds(b []byte) []int {
	ends := []int{0}
	for _, at := range frames(b) {
		if at < len(b) && b[at] == frameCommit {
			ends = append(ends, at+frameHeader)
		}
	}
	return ends
}

// offsets returns the interesting places of a file, and some others.
func offsets(name string, b []byte, r *rand.Rand) []int {
	var all []int
	add := func(offs ...int) {
		for _, off := range offs {
			if 0 <= off && off < len(b) {
				all = append(all, off)
			}
		}
	}
	add(0, 1, len(b)/2, len(b)-1, len(b)-4)
	switch {
	case strings.HasSuffix(name, ".wal"):
		starts := frames(b)
		for off := range segmentHeader {
			add(off)
		}
		// Every boundary of the last ones, and a sample of the others.
		for i, at := range starts {
			if i%9 == 0 || i > len(starts)-8 {
				add(at-1, at, at+1, at+4, at+7, at+frameHeader, at+frameHeader+1)
			}
		}
		end := starts[len(starts)-1]
		for range 30 {
			add(r.IntN(end + 1))
		}
	case len(b) < 600:
		for off := range b {
			add(off)
		}
	default:
		for range 40 {
			add(r.IntN(len(b)))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestCorruption damages every file of a data directory in every interesting place. The
// node must have everything or refuse to start, and say which file it is. There is one
// exception: if all is harmed that a node has written in the second before it was killed,
// from some write on, the log looks as after a write that was cut short.
func TestCorruption(t *testing.T) {
	share := 64 // each 64th harm, from a random one on
	if os.Getenv("CONFD_TEST_EFFORT") != "" {
		share = 1
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for kind, files := range images(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, uint64(len(kind))))
			opened, refused, count := 0, 0, r.IntN(share)
			for name, b := range files {
				if name == "lock" {
					continue // for people only
				}
				harms := []harm{{"missing", func([]byte) []byte { return nil }}}
				for _, off := range offsets(name, b, r) {
					harms = append(harms, harmsAt(off)...)
				}
				for i, h := range harms {
					if count++; count%share != 0 && i > 0 {
						continue
					}
					after := h.do(bytes.Clone(b))
					if bytes.Equal(after, b) {
						continue
					}
					if openHarmed(t, files, kind, name, h.what, after) {
						opened++
					} else {
						refused++
					}
				}
			}
			t.Logf("%d opened with everything, %d refused", opened, refused)
			if opened == 0 || refused == 0 {
				t.Error("nothing was tried")
			}
		})
	}
}

func openHarmed(t *testing.T, files image, kind, name, what string, after []byte) bool {
	t.Helper()
	dir := memoryDir(t)
	defer os.RemoveAll(dir)
	files.write(t, dir)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, after, 0o600); err != nil {
		t.Fatal(err)
	}
	if after == nil {
		os.Remove(path)
	}
	where := fmt.Sprintf("%s: %s: %s", kind, name, what)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n, err := Open(ctx, corruptConfig(dir))
	if err != nil {
		text := err.Error()
		if strings.Contains(text, "goroutine") || errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(text, filepath.Base(name)) && !strings.Contains(text, filepath.Dir(name)) {
			t.Errorf("%s: %v", where, err)
		}
		return false
	}
	defer n.Close()
	missing := 0
	for i := range imageKeys {
		node, err := n.View().Get(imageKey(i))
		switch {
		case err != nil:
			missing++
		case node.Value != imageValue(i) || missing > 0:
			t.Errorf("%s: opened, and %s is wrong, or there without what came before", where, imageKey(i))
		}
	}
	if _, err := n.View().Get(lastKey); err != nil {
		missing++
	}
	if missing > 0 && !(kind == "killed" && strings.HasSuffix(name, ".wal") && missing <= harmedToEnd(files[name], after)) {
		t.Errorf("%s: opened without the last %d writes", where, missing)
	}
	if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/after", Value: "1"}); err != nil {
		t.Errorf("%s: opened, and cannot write: %v", where, err)
	}
	return true
}

// harmedToEnd returns how many batches at the end of a log file have been harmed, all of
// them from some batch on; 0 if a whole one follows.
func harmedToEnd(before, after []byte) int {
	ends := batchEnds(before)
	harmed := 0
	for i := len(ends) - 1; i > 0; i-- {
		if len(after) >= ends[i] && bytes.Equal(before[ends[i-1]:ends[i]], after[ends[i-1]:ends[i]]) {
			break
		}
		harmed++
	}
	return harmed
}
