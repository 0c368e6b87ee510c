// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// A Waiter is told what has become of an operation that Start has started.
type Waiter interface {
	// Done is called once, with what Do would have returned. It must neither wait nor call the
	// node, which may hold locks meanwhile.
	Done(e *tree.Event, err error)
}

// told is who is told of the end of a request, where nobody waits for it.
type told struct {
	waiter Waiter
	node   *Node
}

// Start is Do for those who do not wait: w is told what Do would return, by any goroutine, and
// maybe before Start returns. There is no context that may end, but the time that Do has. op must
// not be changed before that, nor after an unknown outcome; the event may refer to it.
func (n *Node) Start(op *tree.Op, w Waiter) {
	if err := n.fits(op); err != nil {
		w.Done(nil, err)
		return
	}
	n.counts.proposals.Add(1)
	r := n.requests.Get().(*request)
	r.op, r.told = fsm.Op{Tree: op}, told{w, n}
	r.size = fsm.Size(r.op)
	r.ctx, r.until = context.Background(), 1 // put says when
	if err := n.queue.put(r); err != nil {
		r.answer(fsm.Result{}, notProposed(err))
	}
}

// end tells whoever waits for the request that this is over. It may be used again then.
func (r *request) end() {
	if r.waiter == nil {
		r.done <- struct{}{}
		return
	}
	n, w := r.node, r.waiter
	res, err := n.outcome(r, r.result, r.cause, r.err)
	n.counts.ended(err)
	if err == nil {
		err = res.Err
	}
	w.Done(res.Event, err)
}
