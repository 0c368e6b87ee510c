// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
)

// A snapshotDir is a store of snapshots in a directory, with what it logs.
type snapshotDir struct {
	*snapshotStore
	t      *testing.T
	base   string
	log    *syncedText
	failed chan struct{}
	trans  raft.Transport
	made   uint64 // snapshots
}

// A syncedText is a text that several write to.
type syncedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func newSnapshotDir(t *testing.T) *snapshotDir {
	s := &snapshotDir{t: t, base: t.TempDir(), log: new(syncedText), failed: make(chan struct{})}
	_, s.trans = raft.NewInmemTransport("")
	s.reopen()
	return s
}

// reopen closes the store, if it is open, and opens it.
func (s *snapshotDir) reopen() {
	s.t.Helper()
	if s.snapshotStore != nil {
		s.close()
	}
	store, err := openSnapshots(s.base, s.failed, newHCLog(slog.New(slog.NewTextHandler(s.log, nil))))
	if err != nil {
		s.t.Fatal(err)
	}
	store.remover.free = func(string) (int64, error) { return math.MaxInt64, nil }
	s.snapshotStore = store
	s.t.Cleanup(store.close)
}

// begin begins the next snapshot and writes what it holds.
func (s *snapshotDir) begin(size int) raft.SnapshotSink {
	s.t.Helper()
	s.made++
	sink, err := s.Create(1, s.made, 1, raft.Configuration{}, 1, s.trans)
	if err == nil {
		_, err = sink.Write(content(s.made, size))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return sink
}

// make makes the next snapshot and returns its id.
func (s *snapshotDir) make(size int) string {
	s.t.Helper()
	sink := s.begin(size)
	if err := sink.Close(); err != nil {
		s.t.Fatal(err)
	}
	return sink.ID()
}

// content is what the n-th snapshot holds.
func content(n uint64, size int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, size) }

// names returns what is in the directory of the snapshots.
func (s *snapshotDir) names() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// want checks what is in the directory, and that raft knows those that are no leftovers.
func (s *snapshotDir) want(names ...string) {
	s.t.Helper()
	slices.Sort(names)
	if got := s.names(); !slices.Equal(got, names) {
		s.t.Errorf("there are %q, want %q", got, names)
	}
	var listed []string
	metas, err := s.List()
	for _, m := range metas {
		listed = append(listed, m.ID)
	}
	slices.Sort(listed)
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, ".tmp") })
	if err != nil || !slices.Equal(listed, names) {
		s.t.Errorf("raft knows %q, want %q: %v", listed, names, err)
	}
}

// size returns how long the state of a snapshot is, whatever it is called now.
func (s *snapshotDir) size(name string) int64 {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(s.dir, name, "state.bin"))
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Size()
}
