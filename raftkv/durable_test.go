// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"confd/raftkv/tree"
)

// writerEnv names the data directory for the process that TestKill kills.
const writerEnv = "CONFD_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	os.Exit(m.Run())
}

// writeUntilKilled writes keys from several goroutines and prints each one that has
// been acknowledged. Snapshots and new log files are frequent.
func writeUntilKilled(dir string) int {
	n, err := Open(context.Background(), Config{
		Name: "test", DataDir: dir, PeerAddr: "127.0.0.1:0", SnapshotCount: 100, SnapshotBytes: 1 << 20,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	start := n.View().Index()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("/%d/%d/%d", start, w, i)
				value := strings.Repeat("v", i%50*100)
				if i%40 == 39 {
					value = strings.Repeat("v", 1200<<10) // in chunks
				}
				if _, err := n.Do(context.Background(), &tree.Op{Action: tree.Set, Key: key, Value: value}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Println(key, len(value))
			}
		})
	}
	wg.Wait()
	return 1
}

// TestKill kills a writing process again and again. Every key it has printed must be
// there afterwards.
func TestKill(t *testing.T) {
	cfg := testConfig(t)
	acknowledged := map[string]int{} // :: key → length of its value
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+cfg.DataDir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for count := 0; lines.Scan(); count++ {
			key, size, ok := strings.Cut(lines.Text(), " ")
			length, err := strconv.Atoi(size)
			if !ok || err != nil {
				continue // the last line, cut off
			}
			acknowledged[key] = length
			if count == 200+150*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatalf("round %d: %s", round, stderr.String())
		}
		n := open(t, cfg)
		for key, length := range acknowledged {
			if node, err := n.View().Get(key); err != nil || len(node.Value) != length {
				t.Fatalf("round %d: acknowledged key %s: %v", round, key, err)
			}
		}
		closeNode(t, n)
	}
	t.Logf("%d keys acknowledged, none lost", len(acknowledged))
}

func TestTornTail(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	for i := range 10 {
		set(t, n, fmt.Sprintf("/k%d", i), "v")
	}
	closeNode(t, n)
	files, err := filepath.Glob(filepath.Join(cfg.DataDir, "wal", "*.wal"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	log, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	meta, err := os.ReadFile(filepath.Join(cfg.DataDir, "wal", "meta"))
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(log, "\x00"))
	for end%8 != 0 { // frames are aligned
		end++
	}
	// What a write that was cut short may leave behind the last commit.
	entry := log[32 : 32+64] // the file's first frame
	for name, tail := range map[string][]byte{
		"garbage":            bytes.Repeat([]byte{0xa5}, 100),
		"entry, no commit":   entry,
		"part of a header":   entry[:3],
		"entry, half of it":  append(bytes.Clone(entry[:20]), make([]byte, 44)...),
		"zeros then garbage": append(make([]byte, 64), 0xa5),
	} {
		t.Run(name, func(t *testing.T) {
			torn := bytes.Clone(log)
			copy(torn[end:], tail)
			err := errors.Join(os.WriteFile(files[0], torn, 0o644),
				os.WriteFile(filepath.Join(cfg.DataDir, "wal", "meta"), meta, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			n := open(t, cfg)
			for i := range 10 {
				want(t, n.View(), fmt.Sprintf("/k%d", i), "v")
			}
			set(t, n, "/after", name)
			closeNode(t, n)
			n = open(t, cfg)
			want(t, n.View(), "/after", name)
			closeNode(t, n)
		})
	}
}

func TestLocked(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	_, err := Open(t.Context(), cfg)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Fatalf("second Open: %v", err)
	}
	set(t, n, "/a", "1") // the first is none the worse
	closeNode(t, n)
	closeNode(t, open(t, cfg))
}

func TestOpenRefuses(t *testing.T) {
	write := func(name, content string) func(string) error {
		return func(dir string) error {
			return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
		}
	}
	for name, tt := range map[string]struct {
		spoil func(dir string) error
		hint  string
	}{
		"newer format":     {write("format", "3\n"), "newer version"},
		"no id":            {write("id", "me\n"), "hex digits"},
		"another's id":     {write("id", "abc\n"), "another node"},
		"damaged vote":     {write("vote", "confdvt1 and more than sixteen"), "damaged"},
		"log is missing":   {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "wal")) }, "missing"},
		"damaged metadata": {write("wal/meta", strings.Repeat("x", 8192)), "checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			closeNode(t, open(t, cfg))
			if err := tt.spoil(cfg.DataDir); err != nil {
				t.Fatal(err)
			}
			n, err := Open(t.Context(), cfg)
			if err == nil {
				n.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("%v: no %q in it", err, tt.hint)
			}
			// Nothing is left behind that keeps the directory.
			lock, err := lockFile(filepath.Join(cfg.DataDir, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			lock.Close()
		})
	}
}

// TestCrashWhileBootstrapping leaves what a crash between raft's first two writes does.
func TestCrashWhileBootstrapping(t *testing.T) {
	cfg := testConfig(t)
	d, err := openDataDir(cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStableStore(d.vote(), func(error) {})
	if err == nil {
		err = s.SetUint64([]byte(keyCurrentTerm), 1)
	}
	if err = errors.Join(err, d.close()); err != nil {
		t.Fatal(err)
	}
	n := open(t, cfg)
	set(t, n, "/a", "1")
}

func TestStableStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vote")
	openStore := func() *stableStore {
		s, err := openStableStore(path, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(s *stableStore, term, voteTerm uint64, candidate string) {
		t.Helper()
		gotTerm, err1 := s.GetUint64([]byte(keyCurrentTerm))
		gotVote, err2 := s.GetUint64([]byte(keyLastVoteTerm))
		gotCand, err3 := s.Get([]byte(keyLastVoteCand))
		if gotTerm != term || gotVote != voteTerm || string(gotCand) != candidate || errors.Join(err1, err2, err3) != nil {
			t.Errorf("got %d %d %q; want %d %d %q", gotTerm, gotVote, gotCand, term, voteTerm, candidate)
		}
	}
	s := openStore()
	check(s, 0, 0, "")
	s.SetUint64([]byte(keyCurrentTerm), 7)
	s.SetUint64([]byte(keyLastVoteTerm), 7)
	check(openStore(), 7, 0, "") // a crash between the steps of a vote leaves the old vote
	s.Set([]byte(keyLastVoteCand), []byte("a:7001"))
	check(s, 7, 7, "a:7001")
	check(openStore(), 7, 7, "a:7001")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openStableStore(path, nil); err == nil {
			t.Errorf("damage in byte %d was not found", i)
		}
	}
	if err := s.Set([]byte("other"), nil); err == nil {
		t.Error("an unknown key was taken")
	}
}
