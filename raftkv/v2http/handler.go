// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// A Node is what the API is served over; *raftkv.Node is one. All methods may be called
// concurrently.
type Node interface {
	// Do carries out op and returns its event once this node has applied it. A refusal
	// is a *tree.Error; after any other error the outcome is unknown, unless it is
	// raftkv.ErrNotProposed. The node gives up by a deadline of its own.
	Do(ctx context.Context, op *tree.Op) (*tree.Event, error)

	// Tree returns the node's tree, for watches and statistics.
	Tree() *tree.Tree

	// View returns this node's own copy, which may be old. It does not block.
	View() *tree.View

	// Linearizable returns a view that holds every write acknowledged by any node
	// before the call. The node gives up by a deadline of its own.
	Linearizable(ctx context.Context) (*tree.View, error)

	// Status returns what the node knows about itself and its leader.
	Status() raftkv.Status

	// ClusterID returns the cluster's id in hex, empty before its first leader.
	ClusterID() string

	// RaftIndex and RaftTerm return the index of the last log entry applied and the
	// term: what Status says, but cheaply.
	RaftIndex() uint64
	RaftTerm() uint64

	// Now returns the time of the store, Unix time in nanoseconds: what remaining times
	// to live are counted from.
	Now() int64
}

var _ Node = (*raftkv.Node)(nil)

// Options configure a Handler. The zero value is valid.
type Options struct {
	MaxValue int              // largest value in bytes; 0 is 16 MiB
	Now      func() time.Time // clock for the uptime in /v2/stats/self; nil is time.Now
	Log      *slog.Logger     // failures of the node; nil discards them
}

const (
	defaultMaxValue = 16 << 20
	healthTimeout   = time.Second
)

// A Handler serves the client port. It is an http.Handler.
type Handler struct {
	node     Node
	maxValue int
	now      func() time.Time
	log      *slog.Logger

	exchanges sync.Pool // of *exchange

	endOnce sync.Once
	ended   chan struct{} // closed by EndWatches
}

// New returns a handler that serves node.
func New(node Node, opts Options) *Handler {
	h := &Handler{
		node:     node,
		maxValue: opts.MaxValue,
		now:      opts.Now,
		log:      opts.Log,
		ended:    make(chan struct{}),
	}
	if h.maxValue == 0 {
		h.maxValue = defaultMaxValue
	}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.exchanges.New = func() any { return new(exchange) }
	return h
}

// EndWatches ends all watches, and every later one at once: their clients see the body
// end, which for a watch means "ask again". Other requests go on. It may be called more
// than once. A server made by Server calls it on Shutdown.
func (h *Handler) EndWatches() {
	h.endOnce.Do(func() { close(h.ended) })
}
