// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/raft-wal/fs"
)

// A wholeFile counts how often all of it is synced, its times and its name, too.
type wholeFile struct {
	*fs.File
	syncs int
	err   error
}

func (f *wholeFile) Sync() error {
	f.syncs++
	return errors.Join(f.err, f.File.Sync())
}

// TestSyncsData: the first sync that succeeds makes all of a file durable, those that follow what was
// written since, and say so if they cannot.
func TestSyncsData(t *testing.T) {
	created, err := fs.New().Create(t.TempDir(), "file", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	whole := &wholeFile{File: created.(*fs.File), err: errors.New("no disk")}
	f := syncsData(whole)
	if err := f.Sync(); !errors.Is(err, whole.err) {
		t.Errorf("a sync that fails returns %v", err)
	}
	whole.err = nil
	for range 3 {
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
	}
	if whole.syncs != 2 {
		t.Errorf("all was synced %d times", whole.syncs)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Sync(); err == nil || !strings.HasPrefix(err.Error(), "sync "+whole.Name()+": ") {
		t.Errorf("the error of a file that is closed is %v", err)
	}
	if whole.syncs != 2 {
		t.Errorf("all was synced %d times", whole.syncs)
	}
	if f := syncsData(&writtenFile{}); f != nil {
		if _, ok := f.(*writtenFile); !ok {
			t.Errorf("a file that is not the system's became a %T", f)
		}
	}
}
