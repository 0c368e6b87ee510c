// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"confd/raftkv/fsm"
)

// An asker waits for the answer to a request.
type asker struct {
	r          *request
	given, err error
	took       time.Duration
	done       chan struct{}
}

// ask has a request wait in q.
func ask(ctx context.Context, q *queue) *asker {
	a := &asker{r: newRequest().(*request), done: make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(a.done)
		_, a.given, a.err = q.wait(ctx, a.r)
		a.took = time.Since(start)
	}()
	synctest.Wait()
	return a
}

// gave checks why somebody has given up, if he has, and when.
func (a *asker) gave(t *testing.T, what string, why error, from, to time.Duration) {
	t.Helper()
	<-a.done
	if !errors.Is(a.given, why) || a.err != nil || a.took < from || a.took > to {
		t.Errorf("%s: got %v (%v) after %v, want %v after %v to %v", what, a.given, a.err, a.took, why, from, to)
	}
}

// inQueue runs a test with a queue whose requests have 20 s, so a tick is 1 s.
func inQueue(t *testing.T, test func(t *testing.T, q *queue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newQueue(1<<20, ticks*time.Second)) })
}

func ticking(q *queue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ticking
}

// TestPatience shows who gives up, and when.
func TestPatience(t *testing.T) {
	const all, tick = ticks * time.Second, time.Second
	inQueue(t, func(t *testing.T, q *queue) {
		first := ask(t.Context(), q)
		time.Sleep(tick / 2)
		second := ask(t.Context(), q)
		first.gave(t, "alone", ErrTimeout, all, all)
		second.gave(t, "after another", ErrTimeout, all, all+tick)
		time.Sleep(10 * tick)
		if ticks := ticking(q); ticks {
			t.Error("it ticks though nothing waits")
		}
		ask(t.Context(), q).gave(t, "after a pause", ErrTimeout, all, all)
	})
	inQueue(t, func(t *testing.T, q *queue) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*tick/2)
		defer cancel()
		ask(ctx, q).gave(t, "whose context ends", context.DeadlineExceeded, 5*tick/2, 7*tick/2)
		ask(ctx, q).gave(t, "whose context has ended", context.DeadlineExceeded, 0, 0)
	})
	inQueue(t, func(t *testing.T, q *queue) {
		a := ask(t.Context(), q)
		q.fail(ErrFailed)
		a.gave(t, "when the node fails", ErrFailed, 0, tick)
	})
}

// TestPatienceAway shows that requests on their way give up, too, and are not answered then.
func TestPatienceAway(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		q.open(1, true)
		ctx, cancel := context.WithCancel(t.Context())
		leaves, stays := ask(ctx, q), ask(t.Context(), q)
		node := newRequest().(*request) // another node's, which waits in its own way
		if err := q.put(node); err != nil {
			t.Fatal(err)
		}
		b, _, _ := q.take()
		q.depart(b)
		time.Sleep(2 * time.Second)
		cancel()
		leaves.gave(t, "whose context ends", context.Canceled, 0, 4*time.Second)
		if !leaves.r.taken {
			t.Error("it was not in a batch")
		}
		q.arrive(b)
		for _, r := range b.requests {
			r.answer(fsm.Result{Err: ErrBusy}, nil)
		}
		<-stays.done
		if stays.given != nil || stays.r.result.Err != ErrBusy || leaves.r.result.Err != nil || len(node.done) != 1 {
			t.Errorf("got %v, %v, %v, %d", stays.given, stays.r.result, leaves.r.result, len(node.done))
		}
		q.sent(b)
		time.Sleep(time.Hour)
		if ticks := ticking(q); ticks || node.gone {
			t.Errorf("in the end: ticking %v, given up %v", ticks, node.gone)
		}
	})
}
