// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
)

// TestReaderOfDamage: a reader makes of a directory that was damaged what the node makes of
// it: the same keys, or the same error.
func TestReaderOfDamage(t *testing.T) {
	share := 256 // each 256th harm, from a random one on
	if os.Getenv("CONFD_TEST_EFFORT") != "" {
		share = 2
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for kind, files := range images(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, uint64(len(kind))))
			count, read := r.IntN(share), 0
			for name, b := range files {
				harms := []harm{{"missing", func([]byte) []byte { return nil }}}
				for _, off := range offsets(name, b, r) {
					harms = append(harms, harmsAt(off)...)
				}
				for i, h := range harms {
					if count++; count%share == 0 || i == 0 {
						read += readHarmed(t, files, name, fmt.Sprintf("%s: %s: %s", kind, name, h.what), h.do(bytes.Clone(b)))
					}
				}
			}
			t.Logf("%d were read without a node", read)
		})
	}
}

// TestReaderOfOtherFiles has files that are whole, and not those of the directory.
func TestReaderOfOtherFiles(t *testing.T) {
	files := images(t)["closed"]
	for name, text := range map[string]string{"format": "1\n", "cluster": "abc\n", "id": "abc\n"} {
		if readHarmed(t, files, name, name, []byte(text)) != 0 {
			t.Errorf("%s: it was read without a node", name)
		}
	}
}

// TestReaderOfLogs has logs that do not say who votes, or have entries that nobody knows.
func TestReaderOfLogs(t *testing.T) {
	for name, tt := range map[string]struct {
		first, last raft.LogType
		alone       bool
	}{
		"usual":            {raft.LogConfiguration, raft.LogNoop, true},
		"no configuration": {raft.LogNoop, raft.LogNoop, false},
		"unknown entry":    {raft.LogConfiguration, 99, false},
	} {
		cfg, err := testConfig(t).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		n := newNode(cfg)
		if n.dir, err = openDataDir(cfg.DataDir); err != nil {
			t.Fatal(err)
		}
		err = errors.Join(n.openStores(), n.setCluster("abc"), n.stable.SetUint64([]byte(keyCurrentTerm), 1))
		op := fsm.Op{Meta: &fsm.Meta{Key: metaClusterID, Value: []byte("abc")}}
		err = errors.Join(err, n.logs.StoreLogs([]*raft.Log{
			{Index: 1, Term: 1, Type: tt.first, Data: raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(n.dir.id)}}})},
			{Index: 2, Term: 1, Type: raft.LogCommand, Data: fsm.AppendBatch(nil, 1, []fsm.Op{op})},
			{Index: 3, Term: 1, Type: tt.last},
		}), n.Close())
		if err != nil {
			t.Fatal(err)
		}
		r := readAlone(t.Context(), cfg)
		if (r != nil) != tt.alone {
			t.Errorf("%s: read without a node: %v", name, r != nil)
		}
		if r != nil {
			r.Close()
		}
	}
}

// readHarmed reads a directory with one file harmed, by a reader and by a node. It returns 1
// if the reader needed no node.
func readHarmed(t *testing.T, files image, name, where string, after []byte) (alone int) {
	t.Helper()
	dir := memoryDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cfg := corruptConfig(filepath.Join(dir, "d"))
	harm := func() {
		if err := os.RemoveAll(cfg.DataDir); err != nil {
			t.Fatal(err)
		}
		files.write(t, cfg.DataDir)
		path := filepath.Join(cfg.DataDir, name)
		if err := os.WriteFile(path, after, 0o600); err != nil {
			t.Fatal(err)
		}
		if after == nil {
			os.Remove(path)
		}
	}
	defer os.RemoveAll(dir)
	var got, want string
	harm()
	if r, err := OpenReader(ctx, cfg); err != nil {
		got = err.Error()
	} else {
		got = state(r.Tree())
		if r.node == nil {
			alone = 1
		}
		r.Close()
	}
	harm()
	if n, err := Open(ctx, cfg); err != nil {
		want = err.Error()
	} else {
		want = state(n.Tree())
		n.Close()
	}
	if got != want {
		t.Errorf("%s:\nthe reader: %.300s\nthe node:   %.300s", where, got, want)
	}
	return alone
}
