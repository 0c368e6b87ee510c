// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Errors of a node, to be tested with errors.Is. An error of Do that is neither a
// *tree.Error nor ErrNotProposed leaves the outcome unknown: the operation may have
// been carried out, or may be later.
var (
	// ErrNotProposed means that the operation is not in the log and never will be; to
	// try it again is safe. It accompanies a more exact error.
	ErrNotProposed = errors.New("not written to the log")

	// ErrNoLeader means that this node does not lead and so cannot write or confirm a read.
	ErrNoLeader = errors.New("no leader")

	// ErrTimeout means that a deadline of the node, not of the caller, has passed.
	ErrTimeout = errors.New("timed out")

	// ErrBusy means that too many operations wait already.
	ErrBusy = errors.New("too many operations are waiting")

	// ErrTooLarge means that a value or key is larger than the node takes.
	ErrTooLarge = errors.New("too large")

	// ErrLocked means that another process uses the data directory.
	ErrLocked = errors.New("data directory is in use")

	// ErrClosed means that the node has been closed.
	ErrClosed = errors.New("node is closed")

	// ErrFailed means that the node has stopped for good; Node.Err has the cause.
	ErrFailed = errors.New("node has failed")
)

// notProposed returns an error that is err and ErrNotProposed.
func notProposed(err error) error { return fmt.Errorf("%w (%w)", err, ErrNotProposed) }

// proposalError turns raft's error about an entry into one of ours.
func proposalError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return notProposed(ErrNoLeader)
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return notProposed(ErrTimeout)
	case errors.Is(err, raft.ErrRaftShutdown):
		// Raft also says so of entries that are committed and were to be applied next.
		return fmt.Errorf("%w: raft has stopped before the entry was known to be committed", ErrClosed)
	case errors.Is(err, raft.ErrLeadershipLost):
		return fmt.Errorf("%w: leadership was lost before the entry was known to be committed", ErrNoLeader)
	}
	return fmt.Errorf("writing log entry: %w", err)
}
