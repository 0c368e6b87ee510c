// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"slices"
	"sync"
	"time"

	"confd/raftkv/fsm"
)

// A queue holds the requests that wait to be put into an entry, and lets as many entries
// go on their way as are allowed.
type queue struct {
	maxBytes int

	mu       sync.Mutex
	changed  sync.Cond  // on mu; something waits, may go, or the queue is closed
	waiting  []*request // [head:] wait, withdrawn ones among them
	head     int
	bytes    int
	limit    int      // of batches on their way
	inFlight int      // of them, by the way that is open
	way      int      // which one, counted
	held     bool     // nothing goes for a while
	free     []*batch // to be used again
	awaited  int      // receives in gathered when so many wait; 0: nobody is told
	gathered chan struct{}
	closed   error
	ended    bool // nothing that waits goes out any more
	patience
}

// A batch is the requests of one entry.
type batch struct {
	way      int // that was open when it went
	requests []*request
	ops      []fsm.Op
}

// operations returns what the requests ask for, in their order, without those that only
// move the clock.
func (b *batch) operations() []fsm.Op {
	b.ops = b.ops[:0]
	for _, r := range b.requests {
		if r.op != (fsm.Op{}) {
			b.ops = append(b.ops, r.op)
		}
	}
	return b.ops
}

// newQueue returns a queue whose requests have that long for an answer.
func newQueue(maxBytes int, timeout time.Duration) *queue {
	q := &queue{maxBytes: maxBytes, gathered: make(chan struct{}, 1), patience: patience{tick: max(timeout/ticks, 1)}}
	q.changed.L = &q.mu
	return q
}

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting) - q.head
	if n >= maxQueueOps || n > 0 && q.bytes+r.size > q.maxBytes {
		n = q.sweepLocked()
	}
	switch {
	case q.closed != nil:
		return q.closed
	case n >= maxQueueOps || n > 0 && q.bytes+r.size > q.maxBytes:
		return ErrBusy
	}
	if q.head > 0 && len(q.waiting) == cap(q.waiting) {
		q.compactLocked()
	}
	q.waiting = append(q.waiting, r)
	q.bytes += r.size
	q.puts++
	if until := q.tickLocked(); r.until != 0 {
		r.until = until
	}
	if q.inFlight < q.limitLocked() && !q.held {
		q.changed.Signal()
	}
	if n+1 == q.awaited {
		q.awaited = 0
		q.gathered <- struct{}{}
	}
	return nil
}

// sweepLocked forgets the requests that nobody waits for, and returns how many are left.
func (q *queue) sweepLocked() int {
	q.compactLocked()
	q.waiting = slices.DeleteFunc(q.waiting, func(r *request) bool {
		if r.gone {
			q.bytes -= r.size
		}
		return r.gone
	})
	return len(q.waiting)
}

// compactLocked moves what waits to the front.
func (q *queue) compactLocked() {
	n := copy(q.waiting, q.waiting[q.head:])
	clear(q.waiting[n:])
	q.waiting, q.head = q.waiting[:n], 0
}

// back puts requests before all others, and lets nothing go for a moment: where they were
// to go is not ready. Those that nobody waits for are dropped, and after close all are
// answered.
func (q *queue) back(requests []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		for _, r := range requests {
			r.answer(fsm.Result{}, notProposed(q.closed))
		}
		return
	}
	q.compactLocked()
	var again []*request
	for _, r := range requests {
		if r.gone {
			continue
		}
		r.taken, r.homeless = false, true
		q.bytes += r.size
		again = append(again, r)
	}
	q.waiting = append(again, q.waiting...)
	if !q.held {
		q.held = true
		time.AfterFunc(retryPause, q.resume)
	}
}

func (q *queue) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = false
	q.changed.Signal()
}

// open sets how many batches may be on their way; with 0 everything waits. If they go
// another way than before, those that are still out there do not count: a leader that is
// silent would hold up what goes to the next.
func (q *queue) open(limit int, another bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
	if another {
		q.way++
		q.inFlight = 0
	}
	q.changed.Signal()
}

// take waits for something that may go, and returns the requests for the next entry, with
// an upper bound of its size, and whether nothing else is to go meanwhile. The caller owes a
// call of sent. The batch is nil when the queue is closed.
func (q *queue) take() (b *batch, size int, alone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.closed != nil && (q.limit == 0 || q.held || q.head == len(q.waiting)) {
			q.endLocked()
			return nil, 0, false
		}
		if !q.held && q.inFlight < q.limitLocked() && q.head < len(q.waiting) {
			b, size := q.takeLocked()
			if len(b.requests) > 0 {
				q.inFlight++
				b.way = q.way
				return b, size, q.inFlight == 1 && q.limitLocked() == 1 && size < largeAlone
			}
			q.free = append(q.free, b)
			continue
		}
		q.changed.Wait()
	}
}

// limitLocked returns how many batches may be on their way: more than otherwise if the next
// one is large, or even full, and not to be cut into chunks.
func (q *queue) limitLocked() int {
	switch {
	case q.limit != inFlight || q.bytes < pipedBytes || q.waiting[q.head].size > maxWhole:
		return q.limit
	case q.bytes < maxBatchBytes:
		return inFlightPart
	}
	return inFlightFull
}

// largeAlone is how large a batch must be not to hold up the next one: while it is on its way
// others may come that are large together.
const largeAlone = 32 << 10

func (q *queue) takeLocked() (*batch, int) {
	b := &batch{}
	if n := len(q.free); n > 0 {
		b, q.free = q.free[n-1], q.free[:n-1]
	}
	size := entryHeader
	for q.head < len(q.waiting) && len(b.requests) < maxBatchOps {
		r := q.waiting[q.head]
		if len(b.requests) > 0 && size+r.size > maxBatchBytes {
			break
		}
		q.waiting[q.head] = nil
		q.head++
		q.bytes -= r.size
		if r.gone {
			continue
		}
		r.taken = true
		b.requests = append(b.requests, r)
		size += r.size
	}
	if q.head == len(q.waiting) {
		q.waiting, q.head = q.waiting[:0], 0
	}
	return b, size
}

// sent notes that a batch is no longer on its way.
func (q *queue) sent(b *batch) {
	clear(b.requests)
	clear(b.ops)
	b.requests, b.ops = b.requests[:0], b.ops[:0]
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.way == q.way {
		q.inFlight--
	}
	q.free = append(q.free, b)
	q.changed.Signal()
}

// close refuses further requests with err. What waits still goes out if it can.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed == nil {
		q.closed = err
	}
	q.changed.Signal()
}

// endLocked answers what can no longer go out.
func (q *queue) endLocked() {
	q.ended = true
	for _, r := range q.waiting[q.head:] {
		r.answer(fsm.Result{}, notProposed(q.closed))
	}
	q.waiting, q.head, q.bytes = nil, 0, 0
}
