// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"confd/raftkv/fsm"
)

// A node that does not lead sends its batches to the leader as they are, and answers its
// clients when its own tree has the result: who stays with one node reads what it wrote.
// A batch is forwarded once. A node that is asked and does not lead says so, and the
// asking one waits for another leader.
//
// The answer is an index as a uvarint, that of the last entry which holds one of the
// operations, and for each operation a byte, and its fsm.Result if that is 0, else an
// error.

// forward has the leader carry out a batch, and answers those who wait.
func (n *Node) forward(b *batch, to *route) {
	ctx, cancel := context.WithTimeoutCause(to.ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	ops := b.operations()
	n.queue.depart(b)
	answer, err := n.peers.client(to.leader).call(ctx, kindForward, fsm.AppendBatch(nil, 0, ops))
	index, size := binary.Uvarint(answer)
	var late error // this node has not got it
	if err == nil && size > 0 {
		late = n.fsm.WaitShown(ctx, index)
	}
	n.queue.arrive(b)
	switch {
	case errors.Is(err, errUnreachable):
		n.log.Debug("the leader is not reached", "leader", n.label(to.leader), "err", err)
		n.retry(b.requests, notProposed(ErrNoLeader))
		return
	case errors.Is(err, ErrNotProposed) && errors.Is(err, ErrNoLeader):
		n.retry(b.requests, err)
		return
	case err != nil:
		n.answerAll(b.requests, outcomeUnknown(err))
		return
	}
	n.counts.forwarded.Add(uint64(len(ops)))
	switch {
	case size <= 0:
		n.answerAll(b.requests, fmt.Errorf("the leader's answer cannot be read: %w", fsm.ErrFormat))
	case late != nil:
		n.answerAll(b.requests, fmt.Errorf("carried out by the leader, but this node does not have entry %d yet: %w", index, context.Cause(ctx)))
	default:
		n.takeResults(b.requests, answer[size:])
	}
}

// takeResults answers with what the leader has done, which this node has, too.
func (n *Node) takeResults(requests []*request, answer []byte) {
	var again []*request
	for i, r := range requests {
		if r.op == (fsm.Op{}) {
			r.answer(fsm.Result{}, nil)
			continue
		}
		res, rest, err := readOutcome(answer, r.op)
		if errors.Is(err, fsm.ErrFormat) {
			n.answerAll(requests[i:], fmt.Errorf("the leader's answer cannot be read: %w", err))
			break
		}
		answer = rest
		if errors.Is(err, ErrNotProposed) && errors.Is(err, ErrNoLeader) {
			again = append(again, r)
			continue
		}
		r.answer(res, err)
	}
	if len(again) > 0 {
		n.retry(again, notProposed(ErrNoLeader))
	}
}

// readOutcome reads the answer to one operation and returns what is after it.
func readOutcome(b []byte, op fsm.Op) (fsm.Result, []byte, error) {
	if len(b) == 0 {
		return fsm.Result{}, nil, fmt.Errorf("%w: ends early", fsm.ErrFormat)
	}
	if b[0] != 0 {
		rest, err := readError(b[1:])
		return fsm.Result{}, rest, err
	}
	return fsm.ReadResult(b[1:], op)
}

func (n *Node) answerAll(requests []*request, err error) {
	for _, r := range requests {
		r.answer(fsm.Result{}, err)
	}
}

// outcomeUnknown returns the error of operations that were sent to a leader that has not
// answered.
func outcomeUnknown(err error) error {
	switch {
	case errors.Is(err, errLeaderChanged):
		return fmt.Errorf("%w: %w before it answered", ErrNoLeader, err)
	case errors.Is(err, errAnswerLost):
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	return err
}

// serveForward carries out the operations of another node. asker is what is known about that
// one, or nil. If it is returned the answer is expected to tell it what is committed, and
// the caller owes a call of transport.answered.
func (n *Node) serveForward(ctx context.Context, payload []byte, asker *progress) (answer []byte, expects *progress, err error) {
	to := n.route.Load()
	if to == nil || !to.self {
		return nil, nil, notProposed(ErrNoLeader)
	}
	var b fsm.Batch
	if err := b.Decode(payload); err != nil {
		return nil, nil, notProposed(fmt.Errorf("operations of another node: %w", err))
	}
	requests := n.putHere(b.Ops, asker)
	out := make([]byte, binary.MaxVarintLen64, 64*len(requests))
	for i, r := range requests {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("waiting for the log entry to be committed: %w", ErrClosed)
		}
		if errors.Is(r.err, ErrNotProposed) && (errors.Is(r.err, ErrClosed) || errors.Is(r.err, ErrFailed)) {
			r.err = notProposed(ErrNoLeader) // this node ends; the next leader will do it
		}
		if r.err != nil && !isRefusal(r.err) {
			out = appendError(append(out, 1), r.err)
		} else {
			out = fsm.AppendResult(append(out, 0), b.Ops[i], r.result)
		}
		if r.expected {
			expects = r.asker
		}
		n.recycle(r)
	}
	// What has been answered is in this node's state.
	var head [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(head[:], n.fsm.Shown())
	start := binary.MaxVarintLen64 - size
	copy(out[start:], head[:size])
	return out[start:], expects, nil
}

// putHere puts operations of another node into the queue.
func (n *Node) putHere(ops []fsm.Op, asker *progress) []*request {
	requests := make([]*request, len(ops))
	for i, op := range ops {
		r := n.requests.Get().(*request)
		r.op, r.here, r.size = op, true, fsm.Size(op)
		if i == len(ops)-1 {
			r.asker = asker
		}
		if err := n.queue.put(r); err != nil {
			r.answer(fsm.Result{}, notProposed(err))
		}
		requests[i] = r
	}
	return requests
}
