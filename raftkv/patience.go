// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"slices"
	"time"

	"confd/raftkv/fsm"
)

// Whoever waits for the answer to a request waits for that alone. To wait as well for a
// timer, a context and the end of the node, each of which has a lock that all others want,
// costs a tenth of a small write. So the queue, which knows all requests that wait or are on
// their way, looks at them from time to time and has those give up whose time is over or whose
// context has ended: a tick late at most.

// ticks is how many of them make the time that a request has.
const ticks = 20

// patience is how a queue has requests give up. All is guarded by queue.mu.
type patience struct {
	tick    time.Duration
	ticked  int
	timer   *time.Timer // runs if ticking
	ticking bool
	puts    int      // requests since the last tick
	away    []*batch // waiting for an answer of the log or of another node
	failed  error    // everything is given up with it
}

// tickLocked has the next tick come, and returns in which one a request has had its time
// that begins now.
func (q *queue) tickLocked() int {
	if q.ticking {
		return q.ticked + ticks + 1
	}
	q.ticking = true
	if q.timer == nil {
		q.timer = time.AfterFunc(q.tick, q.look)
	} else {
		q.timer.Reset(q.tick)
	}
	return q.ticked + ticks
}

// look is called at each tick. There are no more when nothing waits.
func (q *queue) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ticked++
	q.giveUpLocked()
	q.ticking = false
	if q.puts > 0 || q.head < len(q.waiting) || len(q.away) > 0 {
		q.tickLocked()
	}
	q.puts = 0
}

// giveUp has those give up now whose context has ended.
func (q *queue) giveUp() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveUpLocked()
}

// fail closes the queue, and has all give up who are not answered until the next tick.
func (q *queue) fail(err error) {
	q.close(err)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = err
}

func (q *queue) giveUpLocked() {
	gone := false
	for _, r := range q.waiting[q.head:] {
		gone = q.judgeLocked(r) || gone
	}
	if gone {
		q.sweepLocked()
	}
	for _, b := range q.away {
		for _, r := range b.requests {
			q.judgeLocked(r)
		}
	}
}

// judgeLocked has one request give up, if it is to. It reports whether that is so.
func (q *queue) judgeLocked(r *request) bool {
	if r.gone || r.until == 0 {
		return r.gone
	}
	switch {
	case q.failed != nil:
		r.cause = q.failed
	case r.ctx.Err() != nil:
		r.cause = r.ctx.Err()
	case q.ticked >= r.until:
		r.cause = ErrTimeout
	default:
		return false
	}
	r.gone = true
	r.end()
	return true
}

// depart notes that the requests of a batch wait for an answer from here on. Until arrive is
// called nobody may answer them, and those who have given up are not to be answered then.
func (q *queue) depart(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = append(q.away, b)
	q.tickLocked()
}

// arrive notes that the answer is there.
func (q *queue) arrive(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = slices.DeleteFunc(q.away, func(a *batch) bool { return a == b })
}

// patient says how long a request waits at most, in the time of its queue and by its context.
// Without it whoever waits gives up by himself.
type patient struct {
	ctx   context.Context
	until int   // the tick; 0 is for ever
	cause error // why nobody waits, if that is so
}

// wait puts a request into the queue and returns its result. It gives up when ctx ends, after
// a time, or with the node; then given is why, and the request must not be used again.
func (q *queue) wait(ctx context.Context, r *request) (res fsm.Result, given, err error) {
	if err := ctx.Err(); err != nil {
		return fsm.Result{}, err, nil
	}
	r.ctx, r.until = ctx, 1 // put says when
	if err := q.put(r); err != nil {
		return fsm.Result{}, nil, notProposed(err)
	}
	<-r.done
	return r.result, r.cause, r.err
}
