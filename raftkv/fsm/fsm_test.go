// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"confd/raftkv/tree"
)

// A replica is a machine with the entries it has been given.
type replica struct {
	*FSM
	tree   *tree.Tree
	failed []error
}

func newReplica(chunks storage) *replica {
	r := &replica{tree: tree.New()}
	r.FSM = newFSM(r.tree, func(err error) { r.failed = append(r.failed, err) }, chunks)
	return r
}

// sink is a raft.SnapshotSink in memory.
type sink struct {
	bytes.Buffer
	closed, cancelled bool
}

func (s *sink) ID() string    { return "test" }
func (s *sink) Close() error  { s.closed = true; return nil }
func (s *sink) Cancel() error { s.cancelled = true; return nil }

// fatal is what *testing.T and *rapid.T have in common.
type fatal interface{ Fatalf(string, ...any) }

// bytes returns the replica's snapshot.
func (r *replica) bytes(t fatal) []byte {
	snap, err := r.Snapshot()
	if err != nil {
		t.Fatalf("taking snapshot: %v", err)
	}
	defer snap.Release()
	var s sink
	if err := snap.Persist(&s); err != nil || !s.closed {
		t.Fatalf("writing snapshot: %v", err)
	}
	return s.Bytes()
}

// restored returns a new replica from a snapshot.
func restored(t fatal, snapshot []byte, chunks storage) *replica {
	r := newReplica(chunks)
	if err := r.Restore(io.NopCloser(bytes.NewReader(snapshot))); err != nil {
		t.Fatalf("restoring: %v", err)
	}
	return r
}

// drawLog returns a log of plain entries, chunks and configurations, whose keys are
// few so that operations meet.
func drawLog(t *rapid.T) []*raft.Log {
	keys := rapid.SampledFrom([]string{"/a", "/a/b", "/a/b/c", "/d", "/d/_h", "/d/e"})
	var logs []*raft.Log
	term, clock := uint64(1), int64(1e18)
	for range rapid.IntRange(1, 40).Draw(t, "entries") {
		term += uint64(rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(t, "term"))
		clock += rapid.Int64Range(-5e9, 20e9).Draw(t, "clock")
		ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Op {
			op := drawOp(t)
			if op.Tree != nil {
				op.Tree.Key = keys.Draw(t, "known key")
				op.Tree.TTL %= 60
				op.Tree.PrevIndex %= 20
			}
			return op
		}), 0, 6).Draw(t, "ops")
		entry := AppendBatch(nil, clock, ops)
		switch rapid.IntRange(0, 4).Draw(t, "form") {
		case 0:
			logs = append(logs, chunks(entry, uint64(len(logs)), 1+len(entry)/3)...)
		case 1:
			logs = append(logs, &raft.Log{Type: raft.LogConfiguration})
		}
		logs = append(logs, &raft.Log{Data: entry})
		for _, l := range logs {
			if l.Term == 0 {
				l.Term = term
			}
		}
	}
	for i, l := range logs {
		l.Index = uint64(i + 1)
	}
	return logs
}

func TestReplicasAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := drawLog(t)
		// One gets the entries one by one, the other in batches and through snapshots.
		a, b := newReplica(&chunkStorage{}), newReplica(&chunkStorage{})
		for _, l := range logs {
			a.Apply(l)
		}
		for rest := logs; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			if got := len(b.ApplyBatch(rest[:n])); got != n {
				t.Fatalf("%d responses to %d entries", got, n)
			}
			rest = rest[n:]
			if rapid.IntRange(0, 3).Draw(t, "restore") == 0 {
				b = restored(t, b.bytes(t), &chunkStorage{})
			}
		}
		if len(a.failed)+len(b.failed) > 0 {
			t.Fatalf("stopped: %v %v", a.failed, b.failed)
		}
		if !bytes.Equal(a.bytes(t), b.bytes(t)) {
			t.Fatalf("replicas differ:\n%q\n%q", a.bytes(t), b.bytes(t))
		}
		if a.Applied() != uint64(len(logs)) || b.Applied() != a.Applied() || a.NextExpiry() != b.NextExpiry() {
			t.Fatalf("applied %d and %d of %d; next expiry %d and %d",
				a.Applied(), b.Applied(), len(logs), a.NextExpiry(), b.NextExpiry())
		}
	})
}

func set(key, value string) Op {
	return Op{Tree: &tree.Op{Action: tree.Set, Key: key, Value: value}}
}

func entry(index uint64, clock int64, ops ...Op) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Data: AppendBatch(nil, clock, ops)}
}

func TestResults(t *testing.T) {
	r := newReplica(&chunkStorage{})
	cas := Op{Tree: &tree.Op{Action: tree.CompareAndSwap, Key: "/a", Value: "2", PrevValue: "x"}}
	meta := Op{Meta: &Meta{Key: "k", Value: []byte("v")}}
	got := r.ApplyBatch([]*raft.Log{entry(1, 10, set("/a", "1"), meta, cas), {Index: 2, Type: raft.LogConfiguration}})
	results := got[0].([]Result)
	if e := results[0].Event; e == nil || e.Action != tree.Set || e.Node.Value != "1" || e.Now != 10 {
		t.Errorf("set: %+v", e)
	}
	if results[1] != (Result{}) {
		t.Errorf("metadata: %+v", results[1])
	}
	var refused *tree.Error
	if !errors.As(results[2].Err, &refused) || refused.Code != tree.CodeCompareFailed || results[2].Event != nil {
		t.Errorf("compare and swap: %+v", results[2])
	}
	if got[1] != nil || r.Applied() != 2 || len(r.failed) > 0 {
		t.Errorf("configuration: %v; applied %d; failed %v", got[1], r.Applied(), r.failed)
	}
	if index := r.tree.View().Index(); index != 1 {
		t.Errorf("a refused operation moved the index to %d", index)
	}
}

func TestMeta(t *testing.T) {
	r := newReplica(&chunkStorage{})
	for i, step := range []struct {
		meta Meta
		want string
		err  error
	}{
		{Meta{Key: "k", Value: []byte("0"), IfIs: true}, "", ErrMetaChanged},
		{Meta{Key: "k", Value: []byte("1"), IfAbsent: true}, "1", nil},
		{Meta{Key: "k", Value: []byte("2"), IfAbsent: true}, "1", ErrMetaChanged},
		{Meta{Key: "k", Value: []byte("3")}, "3", nil},
		{Meta{Key: "k", Value: []byte("4"), IfIs: true, Prev: []byte("1")}, "3", ErrMetaChanged},
		{Meta{Key: "k", Value: []byte("4"), IfIs: true, Prev: []byte("3")}, "4", nil},
		{Meta{Key: "k", Remove: true, IfIs: true, Prev: []byte("3")}, "4", ErrMetaChanged},
		{Meta{Key: "k", Remove: true}, "", nil},
	} {
		results, ok := r.Apply(entry(uint64(i+1), 1, Op{Meta: &step.meta})).([]Result)
		if !ok || len(results) != 1 || results[0].Err != step.err {
			t.Errorf("%+v: %v, want the error %v", step.meta, results, step.err)
		}
		if got, ok := r.Meta("k"); string(got) != step.want || ok != (step.want != "") {
			t.Errorf("after %+v: %q, %v", step.meta, got, ok)
		}
	}
}

func TestClockAndExpiry(t *testing.T) {
	const second = int64(1e9)
	r := newReplica(&chunkStorage{})
	ttl := func(key string, ttl uint64) Op {
		return Op{Tree: &tree.Op{Action: tree.Set, Key: key, Value: "v", TTL: ttl, HasTTL: true}}
	}
	r.Apply(entry(1, 100*second, ttl("/a", 10), ttl("/b", 20)))
	if got := r.NextExpiry(); got != 110*second {
		t.Fatalf("next expiry at %d", got)
	}
	<-r.ExpiryChanged()
	// A clock that is behind moves nothing, and counts from where the machine is.
	r.Apply(entry(2, 50*second, ttl("/c", 5)))
	if got := r.NextExpiry(); got != 105*second || r.Clock() != 100*second {
		t.Fatalf("next expiry at %d, clock %d", got, r.Clock())
	}
	// What has expired is gone before the operations of the same entry.
	create := Op{Tree: &tree.Op{Action: tree.Create, Key: "/a", Value: "new"}}
	res := r.Apply(entry(3, 110*second, create)).([]Result)
	if res[0].Err != nil || res[0].Event.Node.Created != 6 {
		t.Fatalf("%+v, %v", res[0].Event, res[0].Err)
	}
	// An entry without operations is enough.
	r.Apply(entry(4, 120*second))
	if n := r.tree.View().Len(); n != 1 || r.NextExpiry() != 0 {
		t.Fatalf("%d keys left, next expiry at %d", n, r.NextExpiry())
	}
}

func TestStopsAtUnknownEntry(t *testing.T) {
	for name, bad := range map[string]*raft.Log{
		"newer version": {Index: 2, Term: 7, Data: []byte{EntryVersion + 1, 2, 3}},
		"damaged":       {Index: 2, Term: 7, Data: append(AppendBatch(nil, 1, nil), 1)},
		"bad chunk":     {Index: 2, Term: 7, Data: []byte("x"), Extensions: []byte("not a chunk")},
		"empty":         {Index: 2, Term: 7},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(&chunkStorage{})
			got := r.ApplyBatch([]*raft.Log{entry(1, 1, set("/a", "1")), bad, entry(3, 1, set("/b", "1"))})
			if _, ok := got[0].([]Result); !ok {
				t.Errorf("entry before: %v", got[0])
			}
			for i := 1; i < 3; i++ {
				if _, ok := got[i].(error); !ok {
					t.Errorf("entry %d: %v", i+1, got[i])
				}
			}
			r.Apply(entry(4, 1, set("/c", "1")))
			if v := r.tree.View(); v.Len() != 1 || r.Applied() != 1 {
				t.Errorf("went on: %d keys, applied %d", v.Len(), r.Applied())
			}
			if len(r.failed) != 1 {
				t.Errorf("told of %d failures: %v", len(r.failed), r.failed)
			}
			if _, err := r.Snapshot(); err == nil {
				t.Error("a stopped machine gave a snapshot")
			}
		})
	}
}

func TestWaitApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(&chunkStorage{})
		done := make(chan int, 3)
		for i := 1; i <= 3; i++ {
			go func() {
				if err := r.WaitApplied(t.Context(), uint64(i)); err == nil {
					done <- i
				}
			}()
		}
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("returned before anything was applied")
		}
		r.ApplyBatch([]*raft.Log{entry(1, 1), entry(2, 1)})
		synctest.Wait()
		if len(done) != 2 {
			t.Fatalf("%d of 2 returned", len(done))
		}
		r.Advance(3)
		synctest.Wait()
		if len(done) != 3 || r.applied.waiting.Load() != 0 {
			t.Fatalf("%d of 3 returned, %d wait", len(done), r.applied.waiting.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.WaitApplied(ctx, 9); !errors.Is(err, context.Canceled) || r.applied.waiting.Load() != 0 {
			t.Fatalf("%v, %d wait", err, r.applied.waiting.Load())
		}
	})
}

// TestGoldenSnapshot restores testdata/snapshot-v1.bin, which must stay readable for
// ever. It was written by the machine that goldenReplica returns.
func TestGoldenSnapshot(t *testing.T) {
	golden, err := os.ReadFile("testdata/snapshot-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	got, want := restored(t, golden, &chunkStorage{}), goldenReplica()
	if !bytes.Equal(got.bytes(t), want.bytes(t)) {
		t.Errorf("got\n%q\nwant\n%q", got.bytes(t), want.bytes(t))
	}
}

func goldenReplica() *replica {
	r := newReplica(&chunkStorage{})
	r.Apply(entry(1, goldenClock, append(goldenOps(), set("/x/y", "z"))...))
	r.Apply(entry(2, goldenClock+1, Op{Tree: &tree.Op{Action: tree.Set, Key: "/t", HasTTL: true, TTL: 60}}))
	for i, c := range chunks(AppendBatch(nil, goldenClock, []Op{set("/large", "value")}), 9, 16)[:2] {
		c.Index, c.Term = uint64(3+i), 1
		r.Apply(c)
	}
	return r
}

func TestRestoreRefusesDamage(t *testing.T) {
	good := goldenReplica().bytes(t)
	r := newReplica(&chunkStorage{})
	r.Apply(entry(1, 5, set("/kept", "1")))
	before := r.bytes(t)
	try := func(name string, b []byte) {
		if err := r.Restore(io.NopCloser(bytes.NewReader(b))); err == nil {
			t.Fatalf("%s: restored", name)
		}
		if !bytes.Equal(r.bytes(t), before) {
			t.Fatalf("%s: the state has changed", name)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		try(fmt.Sprintf("byte %d of %d changed", i, len(good)), bad)
		try(fmt.Sprintf("cut to %d", i), good[:i])
	}
}
