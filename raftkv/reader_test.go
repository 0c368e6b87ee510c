// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"confd/raftkv/tree"
)

// openReader opens a store that is closed at the end of the test.
func openReader(t testing.TB, cfg Config) *Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := OpenReader(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// state returns all that a tree shows.
func state(t *tree.Tree) string {
	var b bytes.Buffer
	fmt.Fprintln(&b, t.View().Index(), t.View().Len())
	for key, node := range t.View().Files("/") {
		fmt.Fprintf(&b, "%s %q %+v\n", key, node.Value, *node)
	}
	return b.String()
}

// TestReader: what is read without a node is what the node shows, nothing is written and no
// port is opened, nobody else gets the directory meanwhile, and the node goes on afterwards.
func TestReader(t *testing.T) {
	all := images(t)
	for _, kind := range []string{"closed", "cut"} {
		t.Run(kind, func(t *testing.T) {
			cfg := corruptConfig(memoryDir(t))
			all[kind].write(t, cfg.DataDir)
			n := open(t, cfg)
			set(t, n, "/large", strings.Repeat("large", 1<<20)) // in chunks
			closeNode(t, n)
			before := readImage(t, cfg.DataDir)

			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			reading := cfg
			reading.PeerAddr = taken.Addr().String()
			r := openReader(t, reading)
			<-r.Ready()
			if since, err := r.Outage(); r.node != nil || err != nil || !since.IsZero() {
				t.Fatalf("a node was started, or an outage: %v, %v", since, err)
			}
			if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrLocked) {
				t.Errorf("opened meanwhile: %v", err)
			}
			if _, err := OpenReader(t.Context(), cfg); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
				t.Errorf("read by another meanwhile: %v", err)
			}
			got := state(r.Tree())
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			after := readImage(t, cfg.DataDir)
			delete(before, "lock")
			delete(after, "lock")
			if !maps.EqualFunc(before, after, bytes.Equal) {
				t.Errorf("files have changed: %d of %d are left", len(after), len(before))
			}
			n = open(t, cfg)
			if want := state(n.Tree()); got != want {
				t.Errorf("the reader shows %d bytes, the node %d", len(got), len(want))
			}
			set(t, n, "/after", "1")
			closeNode(t, n)
			want(t, openReader(t, cfg).Tree().View(), "/after", "1")
		})
	}
}

// TestReaderOfAnEmptyFile: a node may be closed when the last file of its log is full, and the
// next one empty.
func TestReaderOfAnEmptyFile(t *testing.T) {
	cfg := corruptConfig(memoryDir(t))
	n := open(t, cfg)
	for i := 0; i == 0 || n.logMeta.marked(); i++ {
		set(t, n, "/large", strings.Repeat(fmt.Sprint(i%10), 300<<10))
	}
	shown := state(n.Tree())
	closeNode(t, n)
	r := openReader(t, cfg)
	if r.node != nil || state(r.Tree()) != shown {
		t.Errorf("a node was started: %v", r.node != nil)
	}
}

// TestReaderExpires: what has expired is not shown, whenever the node was closed, and it is
// left to the node to remove it.
func TestReaderExpires(t *testing.T) {
	wall := newFakeClock()
	cfg := testConfig(t)
	cfg.Now = wall.now
	n := open(t, cfg)
	for key, ttl := range map[string]uint64{"/minute": 60, "/day": 86400, "/dir/hour": 3600} {
		if _, err := n.Do(t.Context(), ttlOp(key, ttl)); err != nil {
			t.Fatal(err)
		}
	}
	set(t, n, "/ever", "v")
	closeNode(t, n)
	for _, step := range []struct {
		after time.Duration // since the step before
		keys  string
	}{
		{0, "/day /dir/hour /ever /minute"},
		{time.Minute - 1, "/day /dir/hour /ever /minute"},
		{1, "/day /dir/hour /ever"},
		{time.Hour, "/day /ever"},
		{-time.Hour, "/day /dir/hour /ever"}, // nothing was written
		{365 * 24 * time.Hour, "/ever"},
	} {
		wall.add(step.after)
		r := openReader(t, cfg)
		var keys []string
		for key := range r.Tree().View().Files("/") {
			keys = append(keys, key)
		}
		if got := strings.Join(keys, " "); got != step.keys || r.node != nil {
			t.Errorf("after %v: %s, want %s; with a node %v", step.after, got, step.keys, r.node != nil)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The state machine's time does not run back when the wall clock does.
	n = open(t, cfg)
	eventually(t, "the keys to expire", func() bool { return n.View().Len() == 2 }) // and /dir
	closeNode(t, n)
	wall.add(-365 * 24 * time.Hour)
	want(t, openReader(t, cfg).Tree().View(), "/day", "")
}

// TestReaderNeedsNode: everything else than what a lone node leaves when it is closed is left
// to a node, which leaves that, unless it is not what makes the difference.
func TestReaderNeedsNode(t *testing.T) {
	stays := map[string]bool{"other nodes are named": true, "another without a vote": true, "what is left of three": true}
	for name, prepare := range map[string]func(*testing.T) Config{
		"new": func(t *testing.T) Config { return testConfig(t) },
		"killed, the mark is behind": func(t *testing.T) Config {
			return imageConfig(t, "killed")
		},
		"killed soon after the mark was moved": func(t *testing.T) Config {
			n := open(t, imageConfig(t, "closed"))
			if err := n.markDurable(t.Context()); err != nil {
				t.Fatal(err)
			}
			set(t, n, "/behind", "v")
			cfg := corruptConfig(memoryDir(t))
			readImage(t, n.cfg.DataDir).write(t, cfg.DataDir)
			return cfg
		},
		"a write that was cut short": func(t *testing.T) Config {
			cfg := imageConfig(t, "closed")
			paths, err := filepath.Glob(filepath.Join(cfg.DataDir, "wal", "*.wal"))
			if err != nil || len(paths) < 2 {
				t.Fatal(paths, err)
			}
			b, err := os.ReadFile(paths[len(paths)-1])
			if err != nil {
				t.Fatal(err)
			}
			ends := batchEnds(b)
			b[ends[len(ends)-1]+16] = 1
			if err := os.WriteFile(paths[len(paths)-1], b, 0o600); err != nil {
				t.Fatal(err)
			}
			return cfg
		},
		"a file was sealed, and no other begun": func(t *testing.T) Config {
			cfg, _ := sealing(t)
			return cfg
		},
		"an older format": func(t *testing.T) Config {
			cfg := goldenConfig(t)
			unpack(t, filepath.Join("testdata", "format1.tar.gz"), cfg.DataDir)
			return cfg
		},
		"other nodes are named": func(t *testing.T) Config {
			cfg := imageConfig(t, "closed")
			cfg.Peers = []string{"127.0.0.1:1"}
			return cfg
		},
		"another without a vote": func(t *testing.T) Config {
			cfg := testConfig(t)
			n := open(t, cfg)
			set(t, n, lastKey, "last")
			if err := n.raft.AddNonvoter("abc", "127.0.0.1:1", 0, 0).Error(); err != nil {
				t.Fatal(err)
			}
			closeNode(t, n)
			return cfg
		},
		"what is left of three": func(t *testing.T) Config {
			nodes := openThree(t)
			leader := leaderOf(t, nodes)
			for _, n := range nodes {
				if n == leader {
					continue
				}
				if err := leader.RemoveMember(t.Context(), n.dir.id); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "the others to be gone", func() bool { return leader.voters() == 1 })
			set(t, leader, lastKey, "last")
			closeNode(t, leader)
			cfg := leader.cfg
			cfg.Peers = nil
			return cfg
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := prepare(t)
			for round := range 2 {
				r := openReader(t, cfg)
				if r.node == nil && (round == 0 || stays[name]) || r.node != nil && round > 0 && !stays[name] {
					t.Errorf("round %d: with a node: %v", round, r.node != nil)
				}
				<-r.Ready()
				if name != "new" && r.Tree().View().Len() == 0 {
					t.Error("there is nothing")
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// imageConfig writes one of the images.
func imageConfig(t *testing.T, kind string) Config {
	cfg := corruptConfig(memoryDir(t))
	images(t)[kind].write(t, cfg.DataDir)
	return cfg
}

// TestReaderOfLostQuorum: entries that only others could commit are not shown.
func TestReaderOfLostQuorum(t *testing.T) {
	cfg, _ := lostQuorum(t)
	r := openReader(t, cfg)
	if r.node == nil {
		t.Fatal("it was read without a node")
	}
	select {
	case <-r.Ready():
		t.Error("it is ready without the others")
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := r.Outage(); err == nil {
		t.Error("no outage")
	}
}
