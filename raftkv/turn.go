// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import "context"

// A turn is a lock for what may wait for other nodes or a disk: who waits for it can give up.
// It also lets a test of testing/synctest see that all wait, which a mutex does not.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits until nobody else has the turn. Each take that returns nil needs a give.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try takes the turn if nobody else has it, and reports whether it did.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turn) give() { <-t }
