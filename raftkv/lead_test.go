// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// fakeClock is a wall clock that stands still until it is set.
type fakeClock struct{ at atomic.Int64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.at.Store(1_800_000_000 * int64(time.Second))
	return c
}

func (c *fakeClock) now() time.Time      { return time.Unix(0, c.at.Load()) }
func (c *fakeClock) add(d time.Duration) { c.at.Add(int64(d)) }
func ttlOp(key string, ttl uint64) *tree.Op {
	return &tree.Op{Action: tree.Set, Key: key, Value: "v", TTL: ttl, HasTTL: true}
}

func TestExpiryWhileIdle(t *testing.T) {
	wall := newFakeClock()
	cfg := testConfig(t)
	cfg.Now = wall.now
	n := open(t, cfg)
	for i := range 3 {
		if _, err := n.Do(t.Context(), ttlOp(fmt.Sprintf("/k%d", i), uint64(10*(i+1)))); err != nil {
			t.Fatal(err)
		}
	}
	index := n.raft.LastIndex()
	for i := range 3 {
		wall.add(10 * time.Second)
		eventually(t, "a key to expire", func() bool { return n.View().Len() == 2-i })
	}
	if got := n.raft.LastIndex() - index; got != 3 {
		t.Errorf("%d entries to expire three keys", got)
	}
	if got := n.View().Index(); got != 6 {
		t.Errorf("index %d after three writes and three expiries", got)
	}
}

func TestExpiryComesBeforeOperations(t *testing.T) {
	wall := newFakeClock()
	cfg := testConfig(t)
	cfg.Now = wall.now
	n := open(t, cfg)
	if _, err := n.Do(t.Context(), ttlOp("/lock", 10)); err != nil {
		t.Fatal(err)
	}
	wall.add(10 * time.Second)
	if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Create, Key: "/lock", Value: "mine"}); err != nil {
		t.Errorf("the lock had expired: %v", err)
	}
}

func TestExpiryAfterRestart(t *testing.T) {
	wall := newFakeClock()
	cfg := testConfig(t)
	cfg.Now = wall.now
	n := open(t, cfg)
	for key, ttl := range map[string]uint64{"/day": 86400, "/year": 365 * 86400} {
		if _, err := n.Do(t.Context(), ttlOp(key, ttl)); err != nil {
			t.Fatal(err)
		}
	}
	closeNode(t, n)
	wall.add(7 * 24 * time.Hour)
	n = open(t, cfg)
	eventually(t, "the key of a day to expire in a week", func() bool { return n.View().Len() == 1 })
	want(t, n.View(), "/year", "v")
}

// TestClockSetBack sets the clock back by hours. Keys expire all the same, a little late.
func TestClockSetBack(t *testing.T) {
	wall := newFakeClock()
	cfg := testConfig(t)
	cfg.Now = wall.now
	n := open(t, cfg)
	wall.add(-5 * time.Hour)
	e, err := n.Do(t.Context(), ttlOp("/k", 1))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the key to expire", func() bool { return n.View().Len() == 0 })
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("a key of one second expired after %v", took)
	}
	closeNode(t, n)
	// The state machine's clock does not go back with it, over a restart either.
	n = open(t, cfg)
	later, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/l"})
	if err != nil || later.Now <= e.Now {
		t.Errorf("time ran from %d to %d: %v", e.Now, later.Now, err)
	}
}

func TestClock(t *testing.T) {
	wall := newFakeClock()
	var run time.Duration
	c := newClock(wall.now, slog.New(slog.DiscardHandler))
	c.run = func() time.Duration { return run }
	c.seed(0)
	base := c.read()
	pass := func(d, wallBy time.Duration) time.Duration {
		run += d
		wall.add(wallBy)
		return time.Duration(c.read() - base)
	}
	for i, step := range []struct {
		passed, wall, want time.Duration
		why                string
	}{
		{time.Minute, time.Minute, time.Minute, "both run"},
		{time.Minute, 2 * time.Hour, 2*time.Hour + time.Minute, "a leap of hours is followed"},
		{8 * time.Hour, -time.Hour, 9*time.Hour + time.Minute, "set back: seven eighths of the time"},
		{0, 10 * time.Hour, 11*time.Hour + time.Minute, "caught up"},
		{time.Minute, 48 * time.Hour, 11*time.Hour + 2*time.Minute, "a leap of days is not followed"},
		{time.Minute, -48 * time.Hour, 11*time.Hour + 2*time.Minute + 52500*time.Millisecond, "nor its end"},
		{time.Minute, 48 * time.Hour, 11*time.Hour + 3*time.Minute + 52500*time.Millisecond, "again"},
		{4 * time.Minute, 0, 11*time.Hour + 7*time.Minute + 52500*time.Millisecond, "not yet"},
		{time.Minute, 0, 59*time.Hour + time.Minute, "it has stayed there"},
	} {
		if got := pass(step.passed, step.wall); got != step.want {
			t.Errorf("step %d, %s: got %v, want %v", i, step.why, got, step.want)
		}
	}
	c.seed(wall.now().Add(time.Hour).UnixNano())
	if got := time.Duration(c.read() - wall.at.Load()); got != time.Hour {
		t.Errorf("a machine that is ahead: %v", got)
	}
}

// TestLeadershipLost gives the node a sign of a leader of a newer term.
func TestLeadershipLost(t *testing.T) {
	cfg := testConfig(t)
	cfg.Timeout = 2 * time.Second // a busy disk may need most of it for the first write
	n := open(t, cfg)
	set(t, n, "/a", "1")
	n.transport.rpcs <- raft.RPC{
		Command: &raft.AppendEntriesRequest{
			RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("x"), Addr: []byte("x:1")},
			Term:      n.raft.CurrentTerm() + 5,
		},
		RespChan: make(chan raft.RPCResponse, 1),
	}
	eventually(t, "leadership to go", func() bool { return n.Status().State != "leader" && n.lead.Load() == nil })
	var err error
	for range 5 { // its time may be over while it looks for x, and then nobody can tell
		_, err = n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/b"})
		if !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotProposed) {
			break
		}
	}
	if !errors.Is(err, ErrNoLeader) || !errors.Is(err, ErrNotProposed) {
		t.Errorf("write: %v", err)
	}
	if _, err := n.Linearizable(t.Context()); !errors.Is(err, ErrNoLeader) {
		t.Errorf("read: %v", err)
	}
	want(t, n.View(), "/a", "1") // its own copy is still there to read
	if s := n.Status(); s.State != "follower" || s.LeaderID != "x" || s.LeaderName != "" {
		t.Errorf("status %+v", s)
	}
}

func TestProposalErrors(t *testing.T) {
	for _, tt := range []struct {
		err         error
		want        error
		notProposed bool
	}{
		{raft.ErrNotLeader, ErrNoLeader, true},
		{raft.ErrLeadershipTransferInProgress, ErrNoLeader, true},
		{raft.ErrEnqueueTimeout, ErrTimeout, true},
		{raft.ErrRaftShutdown, ErrClosed, false},
		{raft.ErrLeadershipLost, ErrNoLeader, false},
		{raft.ErrAbortedByRestore, raft.ErrAbortedByRestore, false},
	} {
		got := proposalError(tt.err)
		if !errors.Is(got, tt.want) || errors.Is(got, ErrNotProposed) != tt.notProposed {
			t.Errorf("%v became %v", tt.err, got)
		}
	}
	if proposalError(nil) != nil {
		t.Error("no error became one")
	}
}

// TestQueueOfNextLeader shows that batches which a silent leader does not answer hold up
// nothing that goes to the next one.
func TestQueueOfNextLeader(t *testing.T) {
	q := newQueue(1<<20, time.Second)
	next := func() *batch {
		t.Helper()
		if err := q.put(newRequest().(*request)); err != nil {
			t.Fatal(err)
		}
		b, _, _ := q.take()
		return b
	}
	q.open(2, true)
	old := []*batch{next(), next()}
	if q.inFlight != q.limit {
		t.Fatalf("%d of %d on their way", q.inFlight, q.limit)
	}
	q.open(0, true)
	q.open(1, true)
	b := next()
	for _, b := range old {
		q.sent(b)
	}
	if q.inFlight != 1 {
		t.Errorf("%d on their way after those of the old leader have come back", q.inFlight)
	}
	if q.sent(b); q.inFlight != 0 {
		t.Errorf("%d on their way at the end", q.inFlight)
	}
}

// TestGather shows who is waited for after a write that was slow, and how long.
func TestGather(t *testing.T) {
	for _, tt := range []struct {
		name        string
		before      int // wait already
		count, come int // were answered, and come back after 1 ms each
		took, want  time.Duration
	}{
		{"a fast disk", 0, 16, 16, slowWrite - 1, 0},
		{"one alone", 0, 1, 1, time.Second, 0},
		{"all come back", 3, 4, 4, 100 * time.Millisecond, 4 * time.Millisecond},
		{"one is late", 15, 1, 1, 100 * time.Millisecond, time.Millisecond},
		{"some stay away", 0, 8, 3, 100 * time.Millisecond, 10 * time.Millisecond},
		{"a batch is full", maxBatchOps, 16, 16, 100 * time.Millisecond, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(1<<20, time.Second)
			put := func() {
				if err := q.put(&request{done: make(chan struct{}, 1)}); err != nil {
					t.Error(err)
				}
			}
			for range tt.before {
				put()
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				for range tt.come {
					time.Sleep(time.Millisecond)
					put()
				}
			})
			start := time.Now()
			q.gather(tt.count, tt.took, nil)
			if got := time.Since(start); got != tt.want {
				t.Errorf("%s: waited for %v, want %v", tt.name, got, tt.want)
			}
			wg.Wait()
			if q.awaited != 0 || len(q.gathered) > 0 {
				t.Errorf("%s: something is left: %d, %d", tt.name, q.awaited, len(q.gathered))
			}
		})
	}
}

// putSized puts a request of so many bytes into the queue.
func putSized(t *testing.T, q *queue, size int) {
	t.Helper()
	r := newRequest().(*request)
	r.size = size
	if err := q.put(r); err != nil {
		t.Fatal(err)
	}
}

// TestQueueOfFullEntries: a second entry goes only while the next one is large, more of them
// while it is full, and nothing that would be cut into chunks goes with others.
func TestQueueOfFullEntries(t *testing.T) {
	q := newQueue(64<<20, time.Second)
	q.open(inFlight, true)
	put := func(size int) { putSized(t, q, size) }
	for range inFlightFull + 1 {
		put(maxBatchBytes)
	}
	put(100)
	var out []*batch
	for i := range inFlightFull {
		b, _, alone := q.take()
		if alone {
			t.Errorf("the batch %d would hold up the others", i)
		}
		out = append(out, b)
	}
	if q.inFlight < q.limitLocked() {
		t.Error("more than allowed may go")
	}
	for _, b := range out {
		q.sent(b)
	}
	b, _, _ := q.take() // the last full one
	if q.inFlight < q.limitLocked() {
		t.Error("one that is not full goes with another")
	}
	q.sent(b)
	if b, _, alone := q.take(); !alone || len(b.requests) != 1 {
		t.Errorf("the rest: %d, alone %v", len(b.requests), alone)
	}
	put(2 * maxWhole)
	if q.inFlight < q.limitLocked() {
		t.Error("one that is cut into chunks goes with another")
	}
}

// TestQueueOfLargeEntries: large entries go together, and a batch that is not small holds up
// none of them.
func TestQueueOfLargeEntries(t *testing.T) {
	q := newQueue(64<<20, time.Second)
	q.open(inFlight, true)
	put := func(size int) { putSized(t, q, size) }
	put(64 << 10)
	if _, _, alone := q.take(); alone {
		t.Error("it would hold up what comes after it")
	}
	put(64 << 10)
	if q.inFlight < q.limitLocked() {
		t.Error("one that is not large goes with another")
	}
	for range inFlightPart - 1 {
		put(64 << 10)
		put(64 << 10)
		if q.inFlight >= q.limitLocked() {
			t.Fatalf("a large one does not go with %d others", q.inFlight)
		}
		q.take()
	}
	put(pipedBytes)
	if q.inFlight < q.limitLocked() {
		t.Errorf("more than %d go", inFlightPart)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue(4<<20, time.Second)
	q.open(2, true)
	next := func() *batch { b, _, _ := q.take(); return b }
	request := func(size int) *request { r := newRequest().(*request); r.size = size; return r }
	for range maxQueueOps {
		if err := q.put(request(1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.put(request(1)); err != ErrBusy {
		t.Errorf("one too many: %v", err)
	}
	total := 0
	for q.head < len(q.waiting) {
		b, size, _ := q.take()
		if len(b.requests) > maxBatchOps || size > maxBatchBytes {
			t.Fatalf("batch of %d, %d bytes", len(b.requests), size)
		}
		total += len(b.requests)
		q.sent(b)
	}
	if total != maxQueueOps {
		t.Errorf("%d came out", total)
	}
	// By bytes: an entry is full, a large one travels alone, and the queue is bounded.
	sizes := []int{800 << 10, 400 << 10, 2400 << 10, 10}
	for _, size := range sizes {
		if err := q.put(request(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.put(request(800 << 10)); err != ErrBusy {
		t.Errorf("too many bytes: %v", err)
	}
	for i, want := range sizes {
		b := next()
		if len(b.requests) != 1 || b.requests[0].size != want {
			t.Errorf("entry %d has %d operations", i, len(b.requests))
		}
		q.sent(b)
	}
	if err := q.put(request(5 << 20)); err != nil {
		t.Errorf("one that is larger than the bound, into an empty queue: %v", err)
	}
}
