// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// holdRaft opens a node with a log that is long enough for a snapshot at its end, and has raft's
// main goroutine, which a snapshot needs, wait at the disk until the function that it returns is
// called with what the disk says.
func holdRaft(t *testing.T) (n *Node, release func(error)) {
	cfg := testConfig(t)
	cfg.DataDir = memDir(t)
	newMemNet().host(cfg.Name, &cfg)
	n = open(t, cfg)
	for i := range 80 {
		set(t, n, fmt.Sprintf("/%d", i), strings.Repeat("v", 4<<10))
	}
	says := make(chan error, 1)
	n.stable.before = func() error { return <-says }
	n.transport.rpcs <- raft.RPC{
		Command:  &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, Term: 1000},
		RespChan: make(chan raft.RPCResponse, 1),
	}
	synctest.Wait()
	return n, func(err error) { says <- err }
}

// TestEndOnADiskThatHangs: the last snapshot holds the end up no longer than a write would.
func TestEndOnADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, release := holdRaft(t)
		start := time.Now()
		err := n.Close()
		if err == nil || n.Err() == nil || !strings.Contains(n.Err().Error(), "a last snapshot has taken more than 10s") {
			t.Errorf("closing: %v; failed: %v", err, n.Err())
		}
		if took := time.Since(start); took > n.cfg.StallTimeout+2*closeGrace {
			t.Errorf("it ended after %v", took)
		}
		release(errors.New("broken"))
		synctest.Wait()
		if err := n.wal.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestEndWhileRaftFails: a snapshot that waits for raft, which has failed, is given up.
func TestEndWhileRaftFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, release := holdRaft(t)
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		synctest.Wait()
		release(errors.New("broken"))
		start := time.Now()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 0 || n.Err() == nil {
			t.Errorf("it ended after %v: %v", took, n.Err())
		}
	})
}

// TestLateSnapshotAtEnd: one that takes long is given up, and the node has not failed.
func TestLateSnapshotAtEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, release := holdRaft(t)
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		time.Sleep(n.cfg.StallTimeout * 3 / 4)
		release(nil)
		if err := <-closed; err != nil || n.Err() != nil {
			t.Errorf("closing: %v; failed: %v", err, n.Err())
		}
		if last, err := n.lastSnapshot(); err != nil || last.Index != 0 {
			t.Errorf("a snapshot at entry %d, %v", last.Index, err)
		}
		n = open(t, n.cfg)
		if got := n.View().Len(); got != 80 {
			t.Errorf("%d keys after the start", got)
		}
		closeNode(t, n)
	})
}
