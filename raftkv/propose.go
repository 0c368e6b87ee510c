// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-raftchunking"
	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

const (
	maxBatchOps   = 512       // most operations of one entry
	maxBatchBytes = 256 << 10 // largest entry of several operations
	maxQueueOps   = 8192      // most operations that wait
	entryHeader   = 32        // upper bound of what an entry takes beside its operations
)

// A request is an operation on its way through the log.
type request struct {
	op    fsm.Op // neither field set: only the clock
	size  int
	done  chan struct{} // capacity one; receives after result and err are set
	timer *time.Timer

	taken bool // guarded by queue.mu: it is in an entry, or being put into one
	gone  bool // guarded by queue.mu: nobody waits for it

	result fsm.Result
	err    error
}

// Do carries out op: it is in the log, on the disks of a majority, when Do returns an
// event. An *tree.Error says that the tree refused it. With any other error the outcome
// is unknown unless errors.Is(err, ErrNotProposed); it is never tried again here. op
// must not be changed before Do returns, nor after it returns an unknown outcome.
func (n *Node) Do(ctx context.Context, op *tree.Op) (*tree.Event, error) {
	if len(op.Value) > n.cfg.MaxValue || len(op.PrevValue) > n.cfg.MaxValue {
		return nil, notProposed(fmt.Errorf("value: %w; the limit is %d bytes", ErrTooLarge, n.cfg.MaxValue))
	}
	if len(op.Key) > maxKey {
		return nil, notProposed(fmt.Errorf("key: %w; the limit is %d bytes", ErrTooLarge, maxKey))
	}
	if strings.Count(op.Key, "/") > maxDepth {
		return nil, notProposed(fmt.Errorf("key: %w; the limit is %d levels", ErrTooLarge, maxDepth))
	}
	res, err := n.propose(ctx, fsm.Op{Tree: op})
	if err != nil {
		return nil, err
	}
	return res.Event, res.Err
}

// propose brings an operation into the log and waits for its result.
func (n *Node) propose(ctx context.Context, op fsm.Op) (fsm.Result, error) {
	n.counts.proposals.Add(1)
	res, err := n.request(ctx, op)
	n.counts.ended(err)
	return res, err
}

func (n *Node) request(ctx context.Context, op fsm.Op) (fsm.Result, error) {
	r := n.requests.Get().(*request)
	r.op, r.size = op, 0
	if op != (fsm.Op{}) {
		r.size = fsm.Size(op)
	}
	if err := n.queue.put(r); err != nil {
		n.recycle(r)
		return fsm.Result{}, notProposed(err)
	}
	r.timer.Reset(n.cfg.Timeout)
	var cause error
	select {
	case <-r.done:
		res, err := r.result, r.err
		n.recycle(r)
		return res, err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-r.timer.C:
		cause = ErrTimeout
	case <-n.failed:
		cause = ErrFailed
	}
	r.timer.Stop()
	if n.queue.withdraw(r) {
		return fsm.Result{}, notProposed(fmt.Errorf("waiting to be written to the log: %w", cause))
	}
	return fsm.Result{}, fmt.Errorf("waiting for the log entry to be committed: %w", cause)
}

func newRequest() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &request{done: make(chan struct{}, 1), timer: t}
}

// recycle keeps a request that nobody else refers to for the next call.
func (n *Node) recycle(r *request) {
	r.timer.Stop()
	*r = request{done: r.done, timer: r.timer}
	n.requests.Put(r)
}

// A queue holds the requests that wait to be put into an entry.
type queue struct {
	maxBytes int
	wake     chan struct{} // capacity one

	mu      sync.Mutex
	waiting []*request // [head:] wait, withdrawn ones among them
	head    int
	bytes   int
	closed  error
}

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting) - q.head
	switch {
	case q.closed != nil:
		return q.closed
	case n >= maxQueueOps || n > 0 && q.bytes+r.size > q.maxBytes:
		return ErrBusy
	}
	if q.head > 0 && len(q.waiting) == cap(q.waiting) {
		n := copy(q.waiting, q.waiting[q.head:])
		clear(q.waiting[n:])
		q.waiting, q.head = q.waiting[:n], 0
	}
	q.waiting = append(q.waiting, r)
	q.bytes += r.size
	if n == 0 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// withdraw gives the request up. It reports whether it will never be proposed.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	r.gone = true
	return !r.taken
}

// take appends to batch the requests for the next entry and returns them with an upper
// bound of the entry's size. There are none if none waits.
func (q *queue) take(batch []*request) ([]*request, int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := entryHeader
	for q.head < len(q.waiting) && len(batch) < maxBatchOps {
		r := q.waiting[q.head]
		if len(batch) > 0 && size+r.size > maxBatchBytes {
			break
		}
		q.waiting[q.head] = nil
		q.head++
		q.bytes -= r.size
		if r.gone {
			continue
		}
		r.taken = true
		batch = append(batch, r)
		size += r.size
	}
	if q.head == len(q.waiting) {
		q.waiting, q.head = q.waiting[:0], 0
	}
	return batch, size
}

// close refuses further requests with err.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = err
}

// proposeLoop makes entries of what waits, one at a time: while an entry is on its way
// the next one fills. With one voter a second entry in flight only makes both smaller.
func (n *Node) proposeLoop() {
	var (
		batch []*request
		ops   []fsm.Op
	)
	for {
		size := 0
		if batch, size = n.queue.take(batch[:0]); len(batch) == 0 {
			select {
			case <-n.queue.wake:
				continue
			case <-n.closing:
				n.refuseRest()
				return
			}
		}
		ops = ops[:0]
		for _, r := range batch {
			if r.op != (fsm.Op{}) {
				ops = append(ops, r.op)
			}
		}
		results, err := n.apply(fsm.AppendBatch(make([]byte, 0, size), n.clock.read(), ops), len(ops))
		for i, r := range batch {
			if r.err = err; err == nil && r.op != (fsm.Op{}) {
				r.result, results = results[0], results[1:]
			}
			batch[i] = nil
			r.done <- struct{}{}
		}
		clear(ops)
	}
}

// refuseRest answers what came between the last entry and close.
func (n *Node) refuseRest() {
	for {
		batch, _ := n.queue.take(nil)
		if len(batch) == 0 {
			return
		}
		for _, r := range batch {
			r.err = notProposed(ErrClosed)
			r.done <- struct{}{}
		}
	}
}

// apply writes one entry of count operations to the log and waits for the results.
func (n *Node) apply(entry []byte, count int) ([]fsm.Result, error) {
	start := time.Now()
	n.counts.entries.Add(1)
	var f raft.ApplyFuture
	chunked := len(entry) > raftchunking.ChunkSize
	if chunked {
		f = raftchunking.ChunkingApply(entry, nil, 0, n.raft.ApplyLog)
	} else {
		f = n.raft.ApplyLog(raft.Log{Data: entry}, 0)
	}
	if err := f.Error(); err != nil {
		return nil, proposalError(err)
	}
	response := f.Response()
	if chunked {
		if response == nil {
			// The chunks are of more than one term, so the entry was dropped everywhere.
			return nil, notProposed(ErrNoLeader)
		}
		if s, ok := response.(raftchunking.ChunkingSuccess); ok {
			response = s.Response
		}
	}
	switch response := response.(type) {
	case []fsm.Result:
		if len(response) == count {
			n.counts.commit.Observe(time.Since(start))
			return response, nil
		}
	case error:
		return nil, fmt.Errorf("%w: %w", ErrFailed, response)
	}
	return nil, fmt.Errorf("state machine answered %T to %d operations", response, count)
}
