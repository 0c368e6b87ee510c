// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"sync"
	"time"

	"confd/raftkv/tree"
)

// readers are the callers of Linearizable that wait for the next round.
type readers struct {
	wake chan struct{} // capacity one

	mu      sync.Mutex
	waiting []chan error // each of capacity one
}

// Linearizable returns a view that holds every operation acknowledged, by any node,
// before the call. It writes nothing to the log: the leader's place is confirmed with
// the other nodes, once for all callers that wait at the same time.
func (n *Node) Linearizable(ctx context.Context) (*tree.View, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	c := make(chan error, 1)
	n.readers.mu.Lock()
	n.readers.waiting = append(n.readers.waiting, c)
	n.readers.mu.Unlock()
	select {
	case n.readers.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-c:
		if err != nil {
			return nil, err
		}
		return n.tree.View(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("confirming leadership: %w", context.Cause(ctx))
	case <-n.failed:
		return nil, ErrFailed
	case <-n.closing:
		return nil, ErrClosed
	}
}

// readLoop serves the readers in rounds: all that wait when a round begins share it.
func (n *Node) readLoop() {
	for {
		select {
		case <-n.readers.wake:
		case <-n.closing:
			return
		}
		n.readers.mu.Lock()
		round := n.readers.waiting
		n.readers.waiting = nil
		n.readers.mu.Unlock()
		if len(round) == 0 {
			continue
		}
		start := time.Now()
		err := n.confirm()
		if err != nil {
			n.counts.confirmFails.Add(1)
		} else {
			n.counts.confirm.Observe(time.Since(start))
		}
		for _, c := range round {
			c <- err
		}
	}
}

// confirm returns when this node's tree holds everything that had been committed when
// it was called. The order of the steps is what makes it so.
func (n *Node) confirm() error {
	l := n.lead.Load() // ready: has applied an entry of its own term
	if l == nil {
		return ErrNoLeader
	}
	index := n.raft.CommitIndex()
	if err := n.raft.VerifyLeader().Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	if n.raft.CurrentTerm() != l.term {
		return ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout)
	defer cancel()
	if err := n.fsm.WaitApplied(ctx, index); err != nil {
		return fmt.Errorf("applying up to entry %d: %w", index, err)
	}
	return nil
}
