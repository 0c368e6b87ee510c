// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package raftkvtest starts nodes for tests.
//
// # Decisions
//
// A node of a test is a real one, with a real data directory and a real port: a lone
// node opens in milliseconds, so there is nothing to fake.
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
