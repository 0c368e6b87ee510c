// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// faultyLog is a log store with faults.
type faultyLog struct {
	raft.LogStore
	fail  atomic.Bool
	stall chan struct{} // a write waits until it is closed; nil does not wait
	hold  atomic.Bool
}

func (f *faultyLog) IsMonotonic() bool { return true }

func (f *faultyLog) StoreLogs(logs []*raft.Log) error {
	if f.hold.Load() {
		<-f.stall
	}
	if f.fail.Load() {
		return errors.New("input/output error")
	}
	return f.LogStore.StoreLogs(logs)
}

func openFaulty(t *testing.T, change func(*Config)) (*Node, *faultyLog) {
	f := &faultyLog{stall: make(chan struct{})}
	cfg := testConfig(t)
	cfg.Hooks.LogStore = func(s raft.LogStore) raft.LogStore { f.LogStore = s; return f }
	change(&cfg)
	return open(t, cfg), f
}

func TestFailedWriteFailsTheNode(t *testing.T) {
	n, f := openFaulty(t, func(*Config) {})
	set(t, n, "/a", "1")
	f.fail.Store(true)
	_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/b"})
	if err == nil || errors.Is(err, ErrNotProposed) {
		t.Errorf("a write that failed: %v; its outcome is not known", err)
	}
	<-n.Failed()
	if err := n.Err(); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("cause: %v", err)
	}
	// The disk is well again, but what it has lost is not known.
	f.fail.Store(false)
	if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/c"}); !errors.Is(err, ErrFailed) {
		t.Errorf("a failed node wrote: %v", err)
	}
	if err := n.logs.StoreLog(&raft.Log{Index: n.raft.LastIndex() + 1}); err == nil {
		t.Error("a failed log store wrote")
	}
	closeNode(t, n)
}

func TestStalledDiskFailsTheNode(t *testing.T) {
	n, f := openFaulty(t, func(c *Config) { c.StallTimeout = 500 * time.Millisecond })
	f.hold.Store(true)
	_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/b"})
	if !errors.Is(err, ErrFailed) || errors.Is(err, ErrNotProposed) {
		t.Errorf("a write that hangs: %v", err)
	}
	<-n.Failed()
	if err := n.Err(); !strings.Contains(err.Error(), "stalled") {
		t.Errorf("cause: %v", err)
	}
	if err := n.Close(); err == nil {
		t.Error("closed as if all was well, though a write hangs")
	}
	if lock, err := lockFile(filepath.Join(n.cfg.DataDir, "lock")); !errors.Is(err, ErrLocked) {
		lock.Close()
		t.Errorf("the directory was given away while a write hangs: %v", err)
	}
	close(f.stall)
	n.wg.Wait()
}

func TestWaitersGiveUp(t *testing.T) {
	n, f := openFaulty(t, func(c *Config) { c.Timeout = 30 * time.Millisecond })
	f.hold.Store(true)
	// The first is on its way into the log, where it cannot be taken back.
	_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/first"})
	if !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotProposed) {
		t.Errorf("in the log: %v", err)
	}
	_, err = n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/second"})
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, ErrNotProposed) {
		t.Errorf("in the queue: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = n.Do(ctx, &tree.Op{Action: tree.Set, Key: "/third"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := n.Linearizable(t.Context()); err != nil {
		t.Errorf("a read, which needs no disk: %v", err)
	}
	f.hold.Store(false)
	close(f.stall)
	eventually(t, "the first write", func() bool { _, err := n.View().Get("/first"); return err == nil })
	eventually(t, "a write to be in time", func() bool {
		_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/fourth"})
		return err == nil
	})
	if n.View().Len() != 2 {
		t.Error("a write that was given up in the queue was carried out")
	}
}

func TestUnwritableVoteFailsTheNode(t *testing.T) {
	n := open(t, testConfig(t))
	n.stable.path = filepath.Join(n.cfg.DataDir, "gone", "vote")
	// A newer term, as another candidate would bring it.
	n.transport.rpcs <- raft.RPC{
		Command: &raft.RequestVoteRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(n.dir.id), Addr: []byte("x")},
			Term:      n.raft.CurrentTerm() + 5, LeadershipTransfer: true,
		},
		RespChan: make(chan raft.RPCResponse, 1),
	}
	<-n.Failed()
	if err := n.Err(); !strings.Contains(err.Error(), "saving term and vote") {
		t.Error(err)
	}
	n.Close()
}
