// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"iter"
	"sync"

	"github.com/hashicorp/raft"
)

const (
	// Entries are handed on in groups: of so many of them, or of so many bytes.
	groupEntries = 16
	groupBytes   = 256 << 10

	// groupsAhead is how many groups there are.
	groupsAhead = 4
)

// A decoded is an entry, and what is in it, if it is a whole command.
type decoded struct {
	log   *raft.Log
	batch Batch
	err   error // of Decode
}

// whole reports whether the entry is a command, and no chunk of one.
func (d *decoded) whole() bool { return d.log.Type == raft.LogCommand && len(d.log.Extensions) == 0 }

// Replay calls restore, which may restore a snapshot, and applies the entries that follow it as
// ApplyBatch does, where nobody waits for a response or reads the tree meanwhile, which takes less
// time. They are read and decoded in a goroutine of their own, beside restore too, which has
// ended when Replay returns. It reads all of them, even if one cannot be applied. The error is
// restore's, and then none is applied.
func (f *FSM) Replay(restore func() error, entries iter.Seq[*raft.Log]) error {
	ready, free := make(chan []decoded, groupsAhead), make(chan []decoded, groupsAhead)
	for range groupsAhead {
		free <- nil
	}
	wait := beside(func() {
		decodeAll(entries, ready, free)
		close(ready)
	})
	defer func() {
		for group := range ready { // none, unless restore has failed
			free <- group
		}
		wait()
	}()
	if err := restore(); err != nil {
		return err
	}
	f.changing.Lock()
	defer f.changing.Unlock()
	f.tree.Replay(func() {
		for group := range ready {
			for i := range group {
				f.replay(&group[i])
			}
			free <- group
		}
	})
	f.publishExpiry()
	f.applied.advance(f.seen)
	f.shown.advance(f.seen)
	return nil
}

// decodeAll decodes entries into groups that are free.
func decodeAll(entries iter.Seq[*raft.Log], ready chan<- []decoded, free <-chan []decoded) {
	group, size := (<-free)[:0], 0
	for l := range entries {
		if len(group) < cap(group) {
			group = group[:len(group)+1] // with the memory of the batch that was there
		} else {
			group = append(group, decoded{})
		}
		d := &group[len(group)-1]
		if d.log = l; d.whole() {
			d.err = d.batch.Decode(l.Data)
		}
		if size += len(l.Data); len(group) == groupEntries || size >= groupBytes {
			ready <- group
			group, size = (<-free)[:0], 0
		}
	}
	ready <- group
}

// replay carries out one entry, as apply does.
func (f *FSM) replay(d *decoded) {
	switch {
	case f.failed != nil:
	case !d.whole():
		f.apply(d.log)
	case d.err != nil:
		f.stop(d.log, d.err)
	default:
		f.carryOut(&d.batch, nil)
		f.seen = d.log.Index
	}
}

// beside is a tree.Beside.
func beside(f func()) (wait func()) {
	var running sync.WaitGroup
	running.Go(f)
	return running.Wait
}
