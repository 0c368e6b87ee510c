// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

var (
	errCrashed = errors.New("the process has ended")
	errIO      = errors.New("input/output error")
)

// A faultyLog is the log store of one run of a node, on a disk that takes its time. After
// crash nothing reaches it any more. A write that was under way then is in the log or is
// not, and is not acknowledged.
type faultyLog struct {
	crashed chan struct{} // closed by crash

	mu     sync.Mutex
	store  raft.LogStore
	rand   *rand.Rand
	once   sync.Once
	delay  time.Duration // of a write, give or take half
	frozen chan struct{} // closed when writes go on; nil unless they are held
	broken bool          // writes fail
	atCut  func()        // called instead of the next cut, which the node does not survive
	hurt   bool          // it has been broken, or held for long: the node may say so
}

func newFaultyLog(r *rand.Rand) *faultyLog {
	return &faultyLog{rand: r, crashed: make(chan struct{}), delay: 500 * time.Microsecond}
}

// IsMonotonic reports that the store below takes consecutive indexes only.
func (f *faultyLog) IsMonotonic() bool { return true }

// StoreLog stores an entry.
func (f *faultyLog) StoreLog(l *raft.Log) error { return f.StoreLogs([]*raft.Log{l}) }

// StoreLogs stores entries, some time after it is called and some time before it returns.
func (f *faultyLog) StoreLogs(logs []*raft.Log) error {
	return f.write(func() error { return f.current().StoreLogs(logs) })
}

// DeleteRange removes entries.
func (f *faultyLog) DeleteRange(lo, hi uint64) error {
	f.mu.Lock()
	end := f.atCut
	f.mu.Unlock()
	if end != nil {
		go end()
		<-f.crashed
	}
	return f.write(func() error { return f.current().DeleteRange(lo, hi) })
}

// FirstIndex returns the index of the first entry.
func (f *faultyLog) FirstIndex() (uint64, error) { return f.current().FirstIndex() }

// LastIndex returns the index of the last entry.
func (f *faultyLog) LastIndex() (uint64, error) { return f.current().LastIndex() }

// GetLog reads an entry.
func (f *faultyLog) GetLog(index uint64, l *raft.Log) error { return f.current().GetLog(index, l) }

func (f *faultyLog) current() raft.LogStore {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store
}

func (f *faultyLog) write(do func() error) error {
	f.mu.Lock()
	before := time.Duration(f.rand.Int64N(int64(f.delay)))
	after := time.Duration(f.rand.Int64N(int64(f.delay)))
	f.mu.Unlock()
	if err := f.pass(before); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.pass(after)
}

// pass waits for a time, and until writes are not held. It returns why a write fails.
func (f *faultyLog) pass(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.crashed:
	}
	for {
		f.mu.Lock()
		frozen, broken := f.frozen, f.broken
		f.mu.Unlock()
		select {
		case <-f.crashed:
			return errCrashed
		default:
		}
		if broken {
			return errIO
		}
		if frozen == nil {
			return nil
		}
		select {
		case <-frozen:
		case <-f.crashed:
		}
	}
}

// crash ends all writes.
func (f *faultyLog) crash() { f.once.Do(func() { close(f.crashed) }) }

// slow sets how long writes take.
func (f *faultyLog) slow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// hold makes writes wait until release. The node may think that the disk has stalled.
func (f *faultyLog) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen == nil {
		f.frozen, f.hurt = make(chan struct{}), true
	}
}

func (f *faultyLog) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen != nil {
		close(f.frozen)
		f.frozen = nil
	}
}

// fail makes all writes from now on fail.
func (f *faultyLog) fail() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken, f.hurt = true, true
}

// endAtCut has end called when the log is to be cut, in place of that. It must crash the log.
func (f *faultyLog) endAtCut(end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.atCut = end
}

// cheat keeps everything from now on in memory only, which no system survives.
func (f *faultyLog) cheat() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	memory := raft.NewInmemStore()
	lo, err := f.store.FirstIndex()
	if err != nil {
		return err
	}
	hi, err := f.store.LastIndex()
	if err != nil {
		return err
	}
	for i := lo; i <= hi; i++ {
		var l raft.Log
		if err := f.store.GetLog(i, &l); err != nil {
			return err
		}
		if err := memory.StoreLog(&l); err != nil {
			return err
		}
	}
	f.store = memory
	return nil
}

// mayFail reports whether something was done that may end the node.
func (f *faultyLog) mayFail() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hurt
}
