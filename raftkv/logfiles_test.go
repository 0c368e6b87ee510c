// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// slowDeletes is a file system that removes nothing before begin is closed.
type slowDeletes struct {
	types.VFS
	begin  chan struct{}
	names  []string
	failed error
}

func (s *slowDeletes) Delete(dir, name string) error {
	<-s.begin
	s.names = append(s.names, name)
	return errors.Join(s.failed, s.VFS.Delete(dir, name))
}

// TestCutDoesNotWaitForFiles: entries are written while the files that were cut off are still
// there, and they go.
func TestCutDoesNotWaitForFiles(t *testing.T) {
	dir := t.TempDir()
	slow := &slowDeletes{VFS: fs.New(), begin: make(chan struct{})}
	remover := &fileRemover{VFS: slow, log: slog.New(slog.DiscardHandler)}
	log, err := wal.Open(dir, wal.WithSegmentSize(1<<20), wal.WithSegmentFiler(newSegmentFiles(dir, remover, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	remover.isOpen()
	value := make([]byte, 300<<10)
	store := func(first, last uint64) {
		t.Helper()
		for i := first; i <= last; i++ {
			if err := log.StoreLog(&raft.Log{Index: i, Term: 1, Data: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
	store(1, 40)
	before := walFiles(t, dir)
	if err := log.DeleteRange(1, 30); err != nil {
		t.Fatal(err)
	}
	store(41, 44)
	if got := walFiles(t, dir); len(got) < len(before) {
		t.Errorf("%d files, %d before the cut: somebody has waited", len(got), len(before))
	}
	close(slow.begin)
	remover.removing.Wait()
	after := walFiles(t, dir)
	if len(after) >= len(before) || len(slow.names) == 0 {
		t.Errorf("%d files after the cut, %d before", len(after), len(before))
	}
	if slices.ContainsFunc(slow.names, func(name string) bool { return slices.Contains(after, name) }) {
		t.Errorf("removed %q, and there are %q", slow.names, after)
	}
}

// TestRemovesAtOnceBeforeOpen: while the log is opened a file is gone when Delete returns, and
// an error is told; later it is only logged, and the next file goes all the same.
func TestRemovesAtOnceBeforeOpen(t *testing.T) {
	dir := t.TempDir()
	slow := &slowDeletes{VFS: fs.New(), begin: make(chan struct{}), failed: errors.New("broken")}
	close(slow.begin)
	var logged strings.Builder
	remover := &fileRemover{VFS: slow, log: slog.New(slog.NewTextHandler(&logged, nil))}
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := remover.Delete(dir, "0"); !errors.Is(err, slow.failed) || len(slow.names) != 1 {
		t.Errorf("got %v after %d removals", err, len(slow.names))
	}
	remover.isOpen()
	for _, name := range []string{"1", "2"} {
		if err := remover.Delete(dir, name); err != nil {
			t.Error(err)
		}
	}
	remover.removing.Wait()
	if want := []string{"0", "1", "2"}; !slices.Equal(slow.names, want) || strings.Count(logged.String(), "broken") != 2 {
		t.Errorf("removed %q, logged %q", slow.names, logged.String())
	}
}

// walFiles returns the names of the files of the log.
func walFiles(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range all {
		all[i] = filepath.Base(path)
	}
	return all
}

// TestRemovesFromDisk: on a disk, too, a file goes, and the error of one that does not is logged.
func TestRemovesFromDisk(t *testing.T) {
	dir := t.TempDir()
	var logged strings.Builder
	remover := &fileRemover{VFS: fs.New(), log: slog.New(slog.NewTextHandler(&logged, nil))}
	remover.isOpen()
	if err := os.WriteFile(filepath.Join(dir, "there.wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"missing.wal", "there.wal"} {
		if err := remover.Delete(dir, name); err != nil {
			t.Error(err)
		}
	}
	remover.removing.Wait()
	if left := walFiles(t, dir); len(left) != 0 || strings.Count(logged.String(), "missing.wal") != 1 {
		t.Errorf("there are %q, logged %q", left, logged.String())
	}
}

// TestMarkOfAnotherFile: the mark falls behind a file that is to be written to, also if that has
// the number of one that could not be made.
func TestMarkOfAnotherFile(t *testing.T) {
	m, _, err := openLogMeta(filepath.Join(t.TempDir(), "meta"), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	full := types.SegmentInfo{ID: 1, BaseIndex: 1, MinIndex: 1, MaxIndex: 9, SealTime: time.Now()}
	for _, base := range []uint64{10, 7} { // the second after entries were dropped from the end
		full.MaxIndex = base - 1
		next := types.SegmentInfo{ID: 2, BaseIndex: base, MinIndex: base}
		if err := m.CommitState(types.PersistentState{NextSegmentID: 3, Segments: []types.SegmentInfo{full, next}}); err != nil {
			t.Fatal(err)
		}
		if m.durable() != base-1 || m.marked() {
			t.Errorf("the mark is %d, and the file begins with entry %d", m.durable(), base)
		}
	}
}
