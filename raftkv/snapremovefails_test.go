// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRemovalIsCutShort: a node that stops or has failed does not wait, and what it leaves goes
// when it starts again.
func TestRemovalIsCutShort(t *testing.T) {
	for _, stop := range []func(*snapshotDir){
		func(s *snapshotDir) { s.remover.end() },
		func(s *snapshotDir) { close(s.failed) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSnapshotDir(t)
			const size = 3*removeStep + 1000
			var ids []string
			for range keepSnapshots + 1 {
				ids = append(ids, s.make(size))
			}
			synctest.Wait()
			start := time.Now()
			stop(s)
			s.remover.removing.Wait()
			if took := time.Since(start); took != 0 {
				t.Errorf("it ended after %v", took)
			}
			s.want(ids[0]+removedSuffix, ids[1], ids[2])
			s.close()
			s.remover.wake()
			s.remover.removing.Wait()
			if got := s.size(ids[0] + removedSuffix); got != size-removeStep {
				t.Errorf("%d bytes are left", got)
			}
			d, err := openDataDir(s.base)
			if err != nil {
				t.Fatal(err)
			}
			defer d.close()
			s.want(ids[1:]...)
		})
	}
}

// TestEndedRemovalBeginsNoOther: what is old by then stays until the next start, too.
func TestEndedRemovalBeginsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshotDir(t)
		var ids []string
		for range keepSnapshots + 1 {
			ids = append(ids, s.make(removeStep+1000))
		}
		synctest.Wait() // after the first step
		ids = append(ids, s.make(1000))
		s.close()
		s.want(ids[0]+removedSuffix, ids[1], ids[2], ids[3])
	})
}

// TestRemovalFails: what cannot be renamed or removed is logged, and goes with the next
// snapshot.
func TestRemovalFails(t *testing.T) {
	s := newSnapshotDir(t)
	ids := []string{s.make(1000)}
	s.close()
	inTheWay := filepath.Join(s.dir, ids[0]+removedSuffix)
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil { // a directory cannot have its name
		t.Fatal(err)
	}
	s.reopen()
	for range keepSnapshots {
		ids = append(ids, s.make(1000))
		s.remover.removing.Wait()
	}
	if got := s.log.String(); !strings.Contains(got, "left until") || !strings.Contains(got, "rename "+s.dir) || !strings.Contains(got, "open "+inTheWay) {
		t.Errorf("logged %s", got)
	}
	if metas, err := s.List(); err != nil || len(metas) != keepSnapshots+1 {
		t.Errorf("raft knows %d snapshots, %v", len(metas), err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, s.make(1000))
	s.remover.removing.Wait()
	s.want(ids[len(ids)-keepSnapshots:]...)
}

// TestRemovalIsFinished: a directory that has lost its state and not the rest goes as well.
func TestRemovalIsFinished(t *testing.T) {
	s := newSnapshotDir(t)
	if err := os.Mkdir(filepath.Join(s.dir, "x"+removedSuffix), 0o700); err != nil {
		t.Fatal(err)
	}
	id := s.make(1000)
	s.remover.removing.Wait()
	s.want(id)
}

// TestNothingIsCutBeforeItsNameIsDurable: or a crash could leave a part of a snapshot under the name
// of one.
func TestNothingIsCutBeforeItsNameIsDurable(t *testing.T) {
	s := newSnapshotDir(t)
	s.remover.sync = func(dir string) error {
		if dir != s.dir {
			t.Errorf("%q is synced", dir)
		}
		return errors.New("broken")
	}
	const size = removeStep + 1000
	var ids []string
	for range keepSnapshots + 2 {
		ids = append(ids, s.make(size))
		s.remover.removing.Wait()
	}
	s.want(ids[0]+removedSuffix, ids[1]+removedSuffix, ids[2], ids[3])
	if a, b := s.size(ids[0]+removedSuffix), s.size(ids[1]+removedSuffix); a != size || b != size {
		t.Errorf("%d and %d bytes are left", a, b)
	}
	if got := s.log.String(); !strings.Contains(got, "broken") {
		t.Errorf("logged %s", got)
	}
}

// TestLinkedFileStaysWhole: a file that also has a name elsewhere is not cut off, by whatever link.
func TestLinkedFileStaysWhole(t *testing.T) {
	for name, link := range map[string]func(from, to string) error{"link": os.Link, "symlink": os.Symlink} {
		t.Run(name, func(t *testing.T) {
			s := newSnapshotDir(t)
			const size = removeStep + 1000
			id := s.make(size)
			state, other := filepath.Join(s.dir, id, "state.bin"), filepath.Join(s.base, "other")
			if err := errors.Join(os.Rename(state, other), link(other, state)); err != nil {
				t.Fatal(err)
			}
			for range keepSnapshots {
				s.make(1000)
			}
			s.remover.removing.Wait()
			if got, err := os.ReadFile(other); err != nil || !bytes.Equal(got, content(1, size)) {
				t.Errorf("%d bytes are left, want those written: %v", len(got), err)
			}
			if gone := !slices.Contains(s.names(), id+removedSuffix); gone != (name == "link") {
				t.Errorf("there are %q", s.names())
			}
		})
	}
}

// TestFileThatCannotBeCutOff: it is left whole, to be removed with its directory.
func TestFileThatCannotBeCutOff(t *testing.T) {
	s := newSnapshotDir(t)
	const size = removeStep + 1000
	id := s.make(size)
	f, err := os.Open(filepath.Join(s.dir, id, "state.bin")) // not to be written to
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !s.remover.shorten(f) || s.size(id) != size {
		t.Errorf("it is not to be removed, or cut off to %d bytes", s.size(id))
	}
}
