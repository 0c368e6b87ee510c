// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"time"

	"confd/raftkv/tree"
)

// A Reader is a store that is looked at by a process which ends soon. Its methods may be
// called concurrently.
type Reader struct {
	node *Node // nil if there is no need of one

	dir   *dataDir
	tree  *tree.Tree
	ready chan struct{} // closed
}

// OpenReader opens the store in the data directory to read it. The store of a node that was
// always alone, and was closed in order, is read as it lies there: no port is opened, no
// leader elected, and nothing written but the pid in the lock; see aloneReader. In every
// other case it does what Open does, with the same errors, and the node runs until Close.
func OpenReader(ctx context.Context, cfg Config) (*Reader, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("opening node: %w", err)
	}
	if r := readAlone(ctx, full); r != nil {
		return r, nil
	}
	n, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Reader{node: n}, nil
}

// Tree returns the tree, for reading. Without a node it stands still: it is that of the time
// of OpenReader, without the keys that had expired by then.
func (r *Reader) Tree() *tree.Tree {
	if r.node != nil {
		return r.node.Tree()
	}
	return r.tree
}

// Ready returns a channel that is closed when the tree has everything that was acknowledged
// before OpenReader; see Node.Ready.
func (r *Reader) Ready() <-chan struct{} {
	if r.node != nil {
		return r.node.Ready()
	}
	return r.ready
}

// Outage returns since when the node has not heard of a leader; see Node.Outage. Without a
// node there is none to miss.
func (r *Reader) Outage() (since time.Time, err error) {
	if r.node != nil {
		return r.node.Outage()
	}
	return time.Time{}, nil
}

// Close gives the data directory back, and ends the node if there is one.
func (r *Reader) Close() error {
	if r.node != nil {
		return r.node.Close()
	}
	return r.dir.close()
}
