// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	flags "flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

var update = flags.Bool("update", false, "write the golden files of the present format")

// The golden files hold what older programs have written, and are never written anew:
//
//	testdata/format1.tar.gz  a data directory of format 1, with the list of the log's files in bbolt
//	testdata/format2.tar.gz  one of format 2
//
//	testdata/backup1.gz      a backup of format 1
//
// When a format changes (formatVersion, backupFormat, or the version of an entry or a
// snapshot of package fsm), give the new files a name of their own in the table below,
// run "go test ./raftkv -run TestGolden -update" once, which writes only what is not
// there yet, and commit them. The files of before stay, and so does the code that reads
// them.
var (
	goldenDirs    = []string{"format1", "format2"}
	goldenBackups = []string{"backup1"}
)

// goldenNow is the wall clock of the one who wrote the golden files.
var goldenNow = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// goldenUser is a record as package auth writes it.
const goldenUser = `{"hash":"$2a$10$JrMrTvr4IDbmhd2sg0vpDeY0H6Oe6wZXmPCbGWpuVnGgTDPO0vWR6","roles":["root"]}`

// fillGolden makes the state of the golden files: some of it before the snapshot, some of
// it in the log only.
func fillGolden(t *testing.T, n *Node) {
	do := func(op tree.Op) {
		t.Helper()
		if _, err := n.Do(t.Context(), &op); err != nil {
			t.Fatal(err)
		}
	}
	do(tree.Op{Action: tree.Set, Key: "/app/port", Value: "80"})
	do(tree.Op{Action: tree.Set, Key: "/app/_hidden", Value: "bytes \xff\x00"})
	do(tree.Op{Action: tree.Create, Key: "/queue", Value: "first", InOrder: true})
	do(tree.Op{Action: tree.Set, Key: "/empty", Dir: true})
	do(tree.Op{Action: tree.Set, Key: "/lease", Value: "v", HasTTL: true, TTL: 3_000_000_000})
	do(tree.Op{Action: tree.Set, Key: "/large", Value: strings.Repeat("0123456789abcdef", 40<<10)}) // in chunks, in the files of formats 1 and 2
	for key, value := range map[string]string{"auth/user/root": goldenUser, "auth/enabled": "true"} {
		if err := n.SetMeta(t.Context(), key, nil, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.snapshot(); err != nil {
		t.Fatal(err)
	}
	do(tree.Op{Action: tree.CompareAndSwap, Key: "/app/port", Value: "81", PrevValue: "80"})
	do(tree.Op{Action: tree.Set, Key: "/gone", Value: "x"})
	do(tree.Op{Action: tree.CompareAndDelete, Key: "/gone", PrevValue: "x"})
	do(tree.Op{Action: tree.Set, Key: "/late", Value: "after the snapshot"})
	do(tree.Op{Action: tree.Set, Key: "/late2", Value: strings.Repeat("fedcba9876543210", 40<<10)})
}

// goldenIndex is the index of the tree that fillGolden leaves.
const goldenIndex = 11

// checkGolden checks that the state of fillGolden is there, and that it can be changed.
func checkGolden(t *testing.T, n *Node) {
	t.Helper()
	v := n.View()
	for key, value := range map[string]string{
		"/app/port": "81", "/app/_hidden": "bytes \xff\x00", "/lease": "v", "/late": "after the snapshot",
		"/large": strings.Repeat("0123456789abcdef", 40<<10), "/late2": strings.Repeat("fedcba9876543210", 40<<10),
	} {
		want(t, v, key, value)
	}
	if node, err := v.Get("/app/port"); err != nil || node.Created != 7 && node.Created != 1 || node.Modified != 7 {
		t.Errorf("/app/port: %+v, %v", node, err)
	}
	if node, err := v.Get("/lease"); err != nil || node.Expires != goldenNow.Add(3_000_000_000*time.Second).UnixNano() {
		t.Errorf("/lease: %+v, %v", node, err)
	}
	if node, err := v.Get("/empty"); err != nil || !node.Dir {
		t.Errorf("/empty: %+v, %v", node, err)
	}
	if node, err := v.Get("/queue/00000000000000000003"); err != nil || node.Value != "first" {
		t.Errorf("in-order key: %+v, %v", node, err)
	}
	if v.Len() != 10 {
		t.Errorf("%d keys", v.Len())
	}
	if meta := *n.Meta(); string(meta["auth/user/root"]) != goldenUser || string(meta["auth/enabled"]) != "true" {
		t.Error("users are not what they were")
	}
	set(t, n, "/new", "1") // it goes on from there
}

func goldenConfig(t *testing.T) Config {
	cfg := testConfig(t)
	cfg.SnapshotBytes = 4 << 20 // log files of 1 MiB
	cfg.Now = func() time.Time { return goldenNow }
	return cfg
}

// TestGoldenDirectories opens data directories that older programs have written.
func TestGoldenDirectories(t *testing.T) {
	for i, name := range goldenDirs {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".tar.gz")
			if _, err := os.Stat(file); err != nil && *update && i == len(goldenDirs)-1 {
				cfg := goldenConfig(t)
				n := open(t, cfg)
				fillGolden(t, n)
				closeNode(t, n)
				pack(t, cfg.DataDir, file)
			}
			cfg := goldenConfig(t)
			unpack(t, file, cfg.DataDir)
			n := open(t, cfg)
			if got := n.View().Index(); got != goldenIndex {
				t.Errorf("index %d", got)
			}
			checkGolden(t, n)
			closeNode(t, n)
			n = open(t, cfg)
			want(t, n.View(), "/new", "1")
		})
	}
}

// TestGoldenBackups restores backups that older programs have written.
func TestGoldenBackups(t *testing.T) {
	for i, name := range goldenBackups {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".gz")
			if _, err := os.Stat(file); err != nil && *update && i == len(goldenBackups)-1 {
				n := open(t, goldenConfig(t))
				fillGolden(t, n)
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				if _, err := z.Write(backup(t, n)); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(z.Close(), os.WriteFile(file, b.Bytes(), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			cfg := goldenConfig(t)
			cfg.DataDir = filepath.Join(cfg.DataDir, "store")
			if _, err := Restore(restoreConfig(cfg.DataDir), z); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, open(t, cfg))
		})
	}
}

func pack(t *testing.T, dir, file string) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: rel, Mode: 0o600, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	for _, err := range []error{err, w.Close(), z.Close(), os.WriteFile(file, b.Bytes(), 0o644)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpack(t testing.TB, file, dir string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(fmt.Errorf("unpacking %s: %w", h.Name, err))
		}
	}
}

// TestNewerSnapshot gives a node a snapshot of a version that is not known yet. It must
// not go back to the one before.
func TestNewerSnapshot(t *testing.T) {
	for name, magic := range map[string]string{"state": "confdkv\n", "tree": "ctree\x00"} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			n := open(t, cfg)
			set(t, n, "/a", "1")
			if err := n.snapshot(); err != nil {
				t.Fatal(err)
			}
			meta, err := n.lastSnapshot()
			if err != nil {
				t.Fatal(err)
			}
			_, r, err := n.snapshots.Open(meta.ID)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil {
				t.Fatal(err)
			}
			closeNode(t, n)
			b[bytes.Index(b, []byte(magic))+len(magic)] = 99
			_, trans := raft.NewInmemTransport("")
			sink, err := n.snapshots.Create(1, meta.Index+1, meta.Term, meta.Configuration, meta.ConfigurationIndex, trans)
			if err == nil {
				_, err = sink.Write(b)
			}
			if err = errors.Join(err, sink.Close()); err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), "99; this program knows 1 and older: it may have been written by a newer one") || errors.Is(err, ErrDamaged) {
				t.Errorf("opened: %v", err)
			}
		})
	}
}
