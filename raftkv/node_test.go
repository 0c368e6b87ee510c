// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

func testConfig(t testing.TB) Config {
	return Config{
		Name:     "test",
		DataDir:  t.TempDir(),
		PeerAddr: "127.0.0.1:0",
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
		// Nobody could wait for an election by timeout.
		ElectionTimeout: 10 * time.Minute,
		Timeout:         time.Minute,
	}
}

// open opens a node that is closed at the end of the test, if not before.
func open(t testing.TB, cfg Config) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func closeNode(t testing.TB, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

func set(t testing.TB, n *Node, key, value string) *tree.Event {
	t.Helper()
	e, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: key, Value: value})
	if err != nil {
		t.Errorf("setting %s: %v", key, err) // not Fatal: writers run in goroutines
	}
	return e
}

// want fails the test unless key has the value, "" for none.
func want(t testing.TB, v *tree.View, key, value string) {
	t.Helper()
	node, err := v.Get(key)
	if value == "" && err != nil {
		return
	}
	if err != nil || node.Value != value {
		t.Fatalf("%s: got %v, %v; want %d bytes", key, node != nil, err, len(value))
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	cfg := testConfig(t)
	var ids, clusters []string
	for round := range 4 {
		n := open(t, cfg)
		for i := range round * 10 {
			want(t, n.View(), fmt.Sprintf("/k%d", i), fmt.Sprint(i))
		}
		if got := n.View().Index(); got != uint64(round*10) {
			t.Fatalf("round %d begins at index %d", round, got)
		}
		for i := round * 10; i < (round+1)*10; i++ {
			set(t, n, fmt.Sprintf("/k%d", i), fmt.Sprint(i))
		}
		s := n.Status()
		ids, clusters = append(ids, s.ID), append(clusters, s.ClusterID)
		if s.State != "leader" || s.LeaderID != s.ID || s.LeaderName != "test" || s.LeaderSince.IsZero() ||
			s.RaftIndex == 0 || s.Term < uint64(round) || s.PeerAddr == "" {
			t.Errorf("status %+v", s)
		}
		closeNode(t, n)
	}
	ids, clusters = slices.Compact(ids), slices.Compact(clusters)
	if len(ids) != 1 || len(clusters) != 1 || clusters[0] == "" {
		t.Errorf("ids changed over restarts: nodes %q, clusters %q", ids, clusters)
	}
}

func TestRefusedOperation(t *testing.T) {
	n := open(t, testConfig(t))
	_, err := n.Do(t.Context(), &tree.Op{Action: tree.Update, Key: "/none", Value: "v"})
	var refused *tree.Error
	if !errors.As(err, &refused) || refused.Code != tree.CodeKeyNotFound {
		t.Fatal(err)
	}
}

func TestConcurrentWritersAreAllThere(t *testing.T) {
	n := open(t, testConfig(t))
	const writers, writes = 64, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range writes {
				key := fmt.Sprintf("/w%d/%d", w, i)
				e, err := n.Do(t.Context(), &tree.Op{Action: tree.Create, Key: key, Value: key})
				if err != nil || e.Key != key || e.Node.Value != key {
					t.Errorf("%s: got %+v, %v", key, e, err)
					return
				}
				// What is acknowledged can be read at once.
				if node, err := n.View().Get(key); err != nil || node.Modified != e.Index() {
					t.Errorf("%s: not there after its acknowledgement: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	if got := n.View().Index(); got != writers*writes {
		t.Errorf("index %d after %d writes", got, writers*writes)
	}
	if entries := n.raft.LastIndex(); entries > writers*writes {
		t.Errorf("%d entries for %d writes: nothing was coalesced", entries, writers*writes)
	}
}

func TestValueSizes(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	const chunk = 512 << 10
	sizes := []int{0, 1, 1 << 10, 255 << 10, 257 << 10, chunk - 100, chunk - 30, chunk - 1, chunk, chunk + 1,
		2 * chunk, 2*chunk + 1, maxWhole - 100, maxWhole - 60, maxWhole - 30, maxWhole, maxWhole + 1, 5 << 20, 16 << 20}
	value := func(size int) string {
		return strings.Repeat(fmt.Sprintf("%09d,", size), size/10+1)[:size]
	}
	var wg sync.WaitGroup
	for i, size := range sizes {
		wg.Go(func() {
			key := fmt.Sprintf("/k%d", i)
			if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: key, Value: value(size)}); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		})
	}
	wg.Wait()
	for _, op := range []*tree.Op{
		{Action: tree.Set, Key: "/big", Value: value(16<<20 + 1)},
		{Action: tree.CompareAndDelete, Key: "/big", PrevValue: value(16<<20 + 1)},
		{Action: tree.Set, Key: "/" + strings.Repeat("k", maxKey)},
	} {
		if _, err := n.Do(t.Context(), op); !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrNotProposed) {
			t.Errorf("%d bytes of value: %v", len(op.Value), err)
		}
	}
	closeNode(t, n)
	n = open(t, cfg)
	for i, size := range sizes {
		node, err := n.View().Get(fmt.Sprintf("/k%d", i))
		if err != nil || node.Value != value(size) {
			t.Errorf("%d bytes: %v after restart", size, err)
		}
	}
}

// TestLargeValueIsOneEntry shows that a value of 1 MiB, under the longest key, takes one
// entry, and that a larger one is cut.
func TestLargeValueIsOneEntry(t *testing.T) {
	n := open(t, testConfig(t))
	for _, tt := range []struct{ size, entries int }{{1, 1}, {1 << 20, 1}, {2 << 20, 5}} {
		before := n.raft.LastIndex()
		set(t, n, "/"+strings.Repeat("k", maxKey-1), strings.Repeat("v", tt.size))
		if got := n.raft.LastIndex() - before; got != uint64(tt.entries) {
			t.Errorf("%d bytes take %d entries, want %d", tt.size, got, tt.entries)
		}
	}
}

func TestLinearizable(t *testing.T) {
	n := open(t, testConfig(t))
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 20 {
				key := fmt.Sprintf("/%d/%d", w, i)
				set(t, n, key, "v")
				v, err := n.Linearizable(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := v.Get(key); err != nil {
					t.Errorf("an acknowledged write is missing: %v", err)
				}
			}
		})
	}
	wg.Wait()
	index := n.raft.LastIndex()
	if _, err := n.Linearizable(t.Context()); err != nil || n.raft.LastIndex() != index {
		t.Errorf("%v; the log grew from %d to %d", err, index, n.raft.LastIndex())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closeNode(t, n)
	if _, err := n.Linearizable(ctx); err == nil {
		t.Error("a closed node confirmed a read")
	}
}

func TestClosedNodeRefuses(t *testing.T) {
	n := open(t, testConfig(t))
	closeNode(t, n)
	_, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a"})
	if !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotProposed) {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseWhileWriting(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	var mu sync.Mutex
	var acknowledged []string
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("/%d/%d", w, i)
				_, err := n.Do(context.Background(), &tree.Op{Action: tree.Set, Key: key, Value: key})
				if err != nil {
					if !errors.Is(err, ErrNotProposed) {
						t.Errorf("outcome unknown after a graceful close: %v", err)
					}
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, key)
				mu.Unlock()
				if i == 10 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	closeNode(t, n)
	wg.Wait()
	n = open(t, cfg)
	for _, key := range acknowledged {
		want(t, n.View(), key, key)
	}
	if got := n.View().Index(); got != uint64(len(acknowledged)) {
		t.Errorf("%d acknowledged, index %d", len(acknowledged), got)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	cfg := testConfig(t)
	before := runtime.NumGoroutine()
	for range 3 {
		n := open(t, cfg)
		set(t, n, "/a", "1")
		if _, err := n.Linearizable(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeNode(t, n)
	}
	// A few of raft's and raft-wal's goroutines end on their own time after Close.
	buf := make([]byte, 1<<20)
	eventually(t, "all goroutines to end", func() bool {
		if runtime.NumGoroutine() <= before {
			return true
		}
		buf = buf[:runtime.Stack(buf[:cap(buf)], true)]
		return !bytes.Contains(buf, []byte("hashicorp")) && !bytes.Contains(buf, []byte("confd/raftkv.(*Node)"))
	})
}

func TestUnknownEntryFailsTheNode(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/before", "1")
	if err := n.raft.Apply([]byte{200, 1, 2, 3}, 0).Error(); err != nil {
		t.Fatal(err)
	}
	<-n.Failed()
	if err := n.Err(); !errors.Is(err, fsm.ErrVersion) {
		t.Errorf("cause: %v", err)
	}
	if _, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/after"}); !errors.Is(err, ErrFailed) {
		t.Errorf("a failed node wrote: %v", err)
	}
	closeNode(t, n)
}

func TestBatchesSeeOneClock(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := testConfig(t)
	cfg.Now = func() time.Time { return now }
	n := open(t, cfg)
	e, err := n.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/a", HasTTL: true, TTL: 100})
	if err != nil || e.Now < now.UnixNano() || e.Node.Expires-e.Now != 100*int64(time.Second) {
		t.Errorf("%+v, %v", e, err)
	}
}
