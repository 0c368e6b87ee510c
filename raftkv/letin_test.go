// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"

	"confd/raftkv/tree"
)

// busySyncs is the disk of a machine with one processor, which nobody else has while it syncs.
type busySyncs struct{ types.VFS }

func (b busySyncs) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := b.VFS.Create(dir, name, size)
	return busyFile{f}, err
}

type busyFile struct{ types.WritableFile }

func (f busyFile) Sync() error {
	for start := time.Now(); time.Since(start) < 300*time.Microsecond; {
	}
	return f.WritableFile.Sync()
}

// TestEntriesTakeWhatHasCome: with one processor an entry has what many clients have sent, though
// nobody reads it while the one before is synced.
func TestEntriesTakeWhatHasCome(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := openNodes(t, 1, func(c *Config) { c.Hooks.LogFS = busySyncs{fs.New()} })[0]
	leaderOf(t, []*Node{n})
	before := n.raft.LastIndex()
	const clients, each = 60, 10
	var writing sync.WaitGroup
	for i := range clients {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		writing.Go(func() {
			var b [1]byte
			for range each { // a request comes by a pipe, and the answer to one sends the next
				if _, err := w.Write(b[:]); err != nil {
					t.Error(err)
				}
				if _, err := r.Read(b[:]); err != nil {
					t.Error(err)
				}
				if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: fmt.Sprint("/", i), Value: "v"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if got := n.raft.LastIndex() - before; got > clients*each/6 {
		t.Errorf("%d writes took %d entries", clients*each, got)
	}
}
