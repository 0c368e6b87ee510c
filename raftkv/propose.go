// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-raftchunking"
	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
	"confd/raftkv/rawio"
	"confd/raftkv/tree"
)

const (
	maxBatchOps   = 512     // most operations of one entry
	maxBatchBytes = 1 << 20 // largest entry of several operations
	maxQueueOps   = 8192    // most operations that wait
	entryHeader   = 32      // upper bound of what an entry takes beside its operations

	// maxWhole is the largest entry that is not cut into chunks: a value of 1 MiB goes whole.
	// Each chunk is a write to the disk of its own, and is copied twice more.
	maxWhole = 1<<20 + maxKey + 4<<10
)

// A request is an operation on its way through the log.
type request struct {
	op   fsm.Op // neither field set: only the clock
	size int
	done chan struct{} // capacity one; receives after result and err are set, or cause
	told               // in place of done, if there is a waiter
	patient

	// here says that the operation is for this node's own log, not for another leader's,
	// and term, unless 0, that it is for no other term either.
	here bool
	term uint64

	// asker is what is known about the node whose operations end with this one, if its answer
	// is to tell it what is committed; expected is set once asker expects that.
	asker    *progress
	expected bool

	// Guarded by queue.mu.
	taken    bool // it is in an entry, or being put into one
	gone     bool // nobody waits for it
	homeless bool // the leader it was for did not take it

	result fsm.Result
	err    error
}

// Do carries out op: it is in the log, on the disks of a majority, and in this node's tree,
// when Do returns an event. Any node may be asked: one that does not lead has the leader
// do it. While there is no leader Do waits for one, for as long as Config.Timeout. An
// *tree.Error says that the tree refused it. With any other error the outcome is unknown
// unless errors.Is(err, ErrNotProposed); it is never tried again here. op must not be
// changed before Do returns, nor after it returns an unknown outcome; the event may refer to it.
func (n *Node) Do(ctx context.Context, op *tree.Op) (*tree.Event, error) {
	if err := n.fits(op); err != nil {
		return nil, err
	}
	res, err := n.propose(ctx, fsm.Op{Tree: op})
	if err != nil {
		return nil, err
	}
	return res.Event, res.Err
}

// fits returns why op cannot be proposed, if it is too large.
func (n *Node) fits(op *tree.Op) error {
	switch {
	case len(op.Value) > n.cfg.MaxValue || len(op.PrevValue) > n.cfg.MaxValue:
		return notProposed(fmt.Errorf("value: %w; the limit is %d bytes", ErrTooLarge, n.cfg.MaxValue))
	case len(op.Key) > maxKey:
		return notProposed(fmt.Errorf("key: %w; the limit is %d bytes", ErrTooLarge, maxKey))
	case strings.Count(op.Key, "/") > maxDepth:
		return notProposed(fmt.Errorf("key: %w; the limit is %d levels", ErrTooLarge, maxDepth))
	}
	return nil
}

// propose brings an operation into the log, of whoever leads, and waits for its result.
func (n *Node) propose(ctx context.Context, op fsm.Op) (fsm.Result, error) {
	r := n.requests.Get().(*request)
	r.op = op
	return n.await(ctx, r)
}

// proposeHere is propose for this node's own log. It fails if this node does not lead, or
// leads in another term; 0 stands for any.
func (n *Node) proposeHere(ctx context.Context, op fsm.Op, term uint64) (fsm.Result, error) {
	r := n.requests.Get().(*request)
	r.op, r.here, r.term = op, true, term
	return n.await(ctx, r)
}

func (n *Node) await(ctx context.Context, r *request) (fsm.Result, error) {
	n.counts.proposals.Add(1)
	res, err := n.request(ctx, r)
	n.counts.ended(err)
	return res, err
}

func (n *Node) request(ctx context.Context, r *request) (fsm.Result, error) {
	if r.op != (fsm.Op{}) {
		r.size = fsm.Size(r.op)
	}
	res, given, err := n.queue.wait(ctx, r)
	return n.outcome(r, res, given, err)
}

// outcome returns what is told to whoever has waited for a request: res and err, unless he has
// given up.
func (n *Node) outcome(r *request, res fsm.Result, given, err error) (fsm.Result, error) {
	switch {
	case given == nil:
		n.recycle(r)
		return res, err
	case r.taken:
		return fsm.Result{}, fmt.Errorf("waiting for the log entry to be committed: %w", given)
	case given == ErrTimeout && (r.homeless || n.route.Load() == nil):
		given = ErrNoLeader
	}
	return fsm.Result{}, notProposed(fmt.Errorf("waiting to be written to the log: %w", given))
}

func newRequest() any { return &request{done: make(chan struct{}, 1)} }

// recycle keeps a request that nobody else refers to for the next call.
func (n *Node) recycle(r *request) {
	*r = request{done: r.done}
	n.requests.Put(r)
}

// proposeLoop makes entries of what waits: while one is on its way the next one fills. Before it
// takes that, it lets in what clients have sent already. With one processor nobody reads it while the
// disk syncs an entry, until the scheduler notices that this takes long, and an entry would have
// what one or two clients sent, while hundreds wait.
func (n *Node) proposeLoop() {
	var sending sync.WaitGroup
	defer sending.Wait()
	// Without one, if descriptors are short or on another system, entries may be small.
	letIn, _ := rawio.NewTurnstile()
	defer letIn.Close()
	for {
		letIn.Pass()
		batch, size, alone := n.queue.take()
		if batch == nil {
			return
		}
		if to := n.route.Load(); alone && to != nil && to.self {
			n.sendAndGather(batch, size)
			continue
		}
		// A leader that is silent must not hold up what goes to the next.
		sending.Go(func() { n.sendAndGather(batch, size) })
	}
}

// sendAndGather lets the next batch go when this one is answered, and those who have been
// answered have had a moment to come back.
func (n *Node) sendAndGather(b *batch, size int) {
	defer n.queue.sent(b)
	count, start := len(b.requests), time.Now()
	n.send(b, size)
	if n.gathering.CompareAndSwap(false, true) { // else it was for an old leader
		n.queue.gather(count, min(time.Since(start), time.Second), n.closing)
		n.gathering.Store(false)
	}
}

// send brings a batch to where it is to go, and answers those who wait.
func (n *Node) send(b *batch, size int) {
	to := n.route.Load()
	n.turnAway(b, to)
	switch {
	case len(b.requests) == 0:
	case to == nil:
		n.queue.back(b.requests)
	case to.self:
		n.sendHere(b, size)
	default:
		n.forward(b, to)
	}
}

// turnAway answers the requests of a batch that may not go that way.
func (n *Node) turnAway(b *batch, to *route) {
	b.requests = slices.DeleteFunc(b.requests, func(r *request) bool {
		if !r.here || to != nil && to.self && (r.term == 0 || r.term == to.term) {
			return false
		}
		r.answer(fsm.Result{}, notProposed(ErrNoLeader))
		return true
	})
}

// sendHere writes an entry to this node's log.
func (n *Node) sendHere(b *batch, size int) {
	ops := b.operations()
	for _, r := range b.requests {
		if r.asker != nil {
			r.asker.expects(1)
			r.expected = true
		}
	}
	n.queue.depart(b)
	results, err := n.apply(fsm.AppendBatch(make([]byte, 0, size), n.clock.read(), ops), len(ops))
	n.queue.arrive(b)
	if errors.Is(err, ErrNotProposed) && errors.Is(err, ErrNoLeader) {
		n.retry(b.requests, err)
		return
	}
	for _, r := range b.requests {
		var res fsm.Result
		if err == nil && r.op != (fsm.Op{}) {
			res, results = results[0], results[1:]
		}
		r.answer(res, err)
	}
}

// retry puts requests back that are not in any log, to go to whoever leads next.
func (n *Node) retry(requests []*request, err error) {
	again := slices.DeleteFunc(requests, func(r *request) bool {
		here := r.here // r is another caller's once it is answered
		if here {
			r.answer(fsm.Result{}, err)
		}
		return here
	})
	if len(again) == 0 {
		return
	}
	n.queue.back(again)
	n.wakeRoute() // raft may know before the route does that this node leads no more
}

// retryPause keeps a node from asking one that is not ready without end.
const retryPause = 20 * time.Millisecond

// pause waits, or until the node is closed.
func (n *Node) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-n.closing:
	}
}

// answer answers whoever waits, if he still does. See queue.depart.
func (r *request) answer(res fsm.Result, err error) {
	if r.gone {
		return
	}
	r.result, r.err = res, err
	r.end()
}

// apply writes one entry of count operations to the log and waits for the results.
func (n *Node) apply(entry []byte, count int) ([]fsm.Result, error) {
	start := time.Now()
	n.counts.entries.Add(1)
	var f raft.ApplyFuture
	chunked := len(entry) > maxWhole
	if chunked {
		f = raftchunking.ChunkingApply(entry, nil, 0, n.raft.ApplyLog)
	} else {
		f = n.raft.ApplyLog(raft.Log{Data: entry}, 0)
	}
	if err := f.Error(); err != nil {
		n.watchTransfer(err)
		return nil, proposalError(err)
	}
	n.stuck.Store(0)
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

// watchTransfer ends the node if raft refuses entries because it hands over the
// leadership, and goes on doing so: a transfer that loses the leadership meanwhile may
// leave that set for ever (hashicorp/raft#696).
func (n *Node) watchTransfer(err error) {
	if !errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		return
	}
	now := time.Now().UnixNano()
	if n.stuck.CompareAndSwap(0, now) {
		return
	}
	if since := time.Duration(now - n.stuck.Load()); since > 4*n.cfg.ElectionTimeout && n.raft.State() == raft.Leader {
		n.fail(fmt.Errorf("raft has refused all writes for %v because it hands the leadership over, which takes no such time", since))
	}
}
