// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package raftkvtest starts nodes for tests: a lone one, or a cluster to which everything
// happens that can.
//
// # Clusters
//
// A Cluster is several real nodes in one process, in a bubble of testing/synctest: with a
// Network in memory, logs and clocks that have faults, and data directories in memory. What
// takes minutes takes a part of a second. A Schedule has clients and faults go at it, as a
// seed says, then heals it and checks:
//
//   - all nodes have the same tree, to the last byte, and the same metadata;
//   - the tree is what the events make it, by a model of its own, and no event was missed,
//     repeated or different on any node, whoever watched where;
//   - what was acknowledged is there, with the index and the event that were told; what was
//     refused or not proposed is not; what is unknown happened once or not at all;
//   - each answer was right at its index: who won a compare, who lost it, what was read;
//   - what began after something had ended comes after it, and linearizable reads are no
//     older than what was known before they began;
//   - no call takes longer than Config.Timeout, the log has not grown by itself, and no
//     goroutine is left.
//
// And all that once more after every machine has lost its power at once.
//
// # Limits
//
// A seed says what is done to whom and when. It does not say in what order goroutines
// run, nor what raft leaves to chance, so a schedule that has failed may have to be run
// several times to fail again. A crash stops the log in the middle of a write or a cut;
// in every other schedule a loss of power also takes what was not synced. A member that is
// paused has timers that go on.
//
// # Decisions
//
// A lone node of a test is a real one, with a real data directory and a real port: it
// opens in milliseconds, so there is nothing to fake. Nor is there in a cluster but what
// the node meets outside: disk, network, clock.
package raftkvtest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"confd/raftkv"
)

// Config returns the configuration of a node in a directory of the test, on any free
// port. Its log appears if the test fails.
func Config(t testing.TB) raftkv.Config {
	t.Helper()
	return raftkv.Config{
		Name:      "test",
		DataDir:   t.TempDir(),
		PeerAddr:  "127.0.0.1:0",
		ClientURL: "http://127.0.0.1:4001",
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// Open starts a node that is closed when the test ends. Each option may change its
// configuration before.
func Open(t testing.TB, options ...func(*raftkv.Config)) *raftkv.Node {
	t.Helper()
	cfg := Config(t)
	for _, option := range options {
		option(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node, err := raftkv.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Errorf("closing node: %v", err)
		}
	})
	return node
}
