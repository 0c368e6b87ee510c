// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// An outcome is what Done was called with.
type outcome struct {
	e   *tree.Event
	err error
}

// outcomes is a Waiter that keeps what it is told.
type outcomes chan outcome

func (o outcomes) Done(e *tree.Event, err error) { o <- outcome{e, err} }

// TestStart: an operation that is started has the outcome that it has with Do, at the node that
// leads and at others, and is counted in the same way.
func TestStart(t *testing.T) {
	told := make(outcomes, 1)
	nodes := openThree(t)
	leaderOf(t, nodes)
	for _, n := range nodes {
		for _, op := range []*tree.Op{
			{Action: tree.Set, Key: "/a", Value: "v"},
			{Action: tree.Update, Key: "/none", Value: "v"},
			{Action: tree.Set, Key: "/a", Value: strings.Repeat("x", n.cfg.MaxValue+1)},
			{Action: tree.Set, Key: "/" + strings.Repeat("x", maxKey)},
			{Action: tree.Set, Key: strings.Repeat("/x", maxDepth+1)},
		} {
			again := *op
			e, err := n.Do(t.Context(), op)
			before := n.counts.proposals.Load()
			n.Start(&again, told)
			got := <-told
			if fmt.Sprint(got.err) != fmt.Sprint(err) && !isRefusal(err) || (got.e == nil) != (e == nil) {
				t.Errorf("%.20s: got %v, %v, want %v, %v", op.Key, got.e, got.err, e, err)
			}
			if got.e != nil && (got.e.Index() != e.Index()+1 || got.e.Node.Value != op.Value) {
				t.Errorf("got the event %v of %v", got.e, e)
			}
			var a, b *tree.Error
			if errors.As(err, &a) && (!errors.As(got.err, &b) || a.Code != b.Code) {
				t.Errorf("got the refusal %v, want %v", got.err, err)
			}
			if counted := n.counts.proposals.Load() - before; counted != 1 && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d proposals were counted", counted)
			}
		}
		if pending := n.counts.proposals.Load() - n.counts.answered.Load(); pending != 0 {
			t.Errorf("%d proposals are pending", pending)
		}
		if failed := n.counts.notProposed.Load() + n.counts.unknown.Load(); failed != 0 { // a refusal is a result
			t.Errorf("%d proposals have failed", failed)
		}
	}
	closeNode(t, nodes[0])
	nodes[0].Start(&tree.Op{Action: tree.Set, Key: "/a"}, told)
	if got := <-told; !errors.Is(got.err, ErrClosed) || !errors.Is(got.err, ErrNotProposed) {
		t.Errorf("of a closed node: got %v", got.err)
	}
}

// TestStartMany: each of many that are started has its own outcome, and the memory of a request is
// not used again before.
func TestStartMany(t *testing.T) {
	n := open(t, testConfig(t))
	var starting sync.WaitGroup
	for w := range 4 {
		starting.Go(func() {
			told := make(outcomes, 1)
			for i := range 500 {
				value := fmt.Sprintf("%d-%d", w, i)
				n.Start(&tree.Op{Action: tree.Set, Key: fmt.Sprintf("/%d", w), Value: value}, told)
				if got := <-told; got.err != nil || got.e.Node.Value != value {
					t.Errorf("got %v, %v, want %s", got.e, got.err, value)
				}
			}
		})
	}
	starting.Wait()
}

// TestStartGivesUp: who does not wait is told when the time is over, and then no more; and whether
// the outcome is known.
func TestStartGivesUp(t *testing.T) {
	inQueue(t, func(t *testing.T, q *queue) {
		n := &Node{queue: q}
		n.requests.New = newRequest
		told := make(outcomes, 2)
		n.Start(&tree.Op{Action: tree.Set, Key: "/a"}, told)
		q.mu.Lock()
		waiting := q.bytes
		q.mu.Unlock()
		if want := fsm.Size(fsm.Op{Tree: &tree.Op{Action: tree.Set, Key: "/a"}}); waiting != want {
			t.Errorf("%d bytes wait, want %d", waiting, want)
		}
		time.Sleep((ticks + 2) * time.Second)
		if got := <-told; !errors.Is(got.err, ErrNoLeader) || !errors.Is(got.err, ErrNotProposed) {
			t.Errorf("in the queue: got %v", got.err)
		}
		q.open(1, true)
		n.Start(&tree.Op{Action: tree.Set, Key: "/a"}, told)
		b, _, _ := q.take()
		q.depart(b)
		time.Sleep((ticks + 2) * time.Second)
		if got := <-told; !errors.Is(got.err, ErrTimeout) || errors.Is(got.err, ErrNotProposed) {
			t.Errorf("on its way: got %v", got.err)
		}
		q.arrive(b)
		for _, r := range b.requests {
			r.answer(fsm.Result{}, nil)
		}
		q.sent(b)
		n.Start(&tree.Op{Action: tree.Set, Key: "/a"}, told)
		q.fail(ErrFailed)
		time.Sleep(2 * time.Second)
		if got := <-told; !errors.Is(got.err, ErrFailed) {
			t.Errorf("of a node that fails: got %v", got.err)
		}
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("it was told twice: %v", <-told)
		}
		if got := n.counts.answered.Load(); got != 3 {
			t.Errorf("%d answers were counted, want 3", got)
		}
	})
}
