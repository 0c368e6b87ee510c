// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// TestReplay: a log, chunks and all, makes the same state whether it is applied or replayed.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := drawLog(t)
		a, b := newReplica(&chunkStorage{}), newReplica(&chunkStorage{})
		for _, l := range logs {
			a.Apply(l)
		}
		n := rapid.IntRange(0, len(logs)).Draw(t, "applied before")
		err := b.Replay(func() error {
			if n > 0 {
				b.ApplyBatch(logs[:n])
			}
			return nil
		}, slices.Values(logs[n:]))
		if err != nil {
			t.Fatal(err)
		}
		if len(a.failed)+len(b.failed) > 0 {
			t.Fatalf("stopped: %v %v", a.failed, b.failed)
		}
		if !bytes.Equal(a.bytes(t), b.bytes(t)) {
			t.Fatalf("replicas differ:\n%q\n%q", a.bytes(t), b.bytes(t))
		}
		if b.Applied() != a.Applied() || a.NextExpiry() != b.NextExpiry() || a.Clock() != b.Clock() {
			t.Fatalf("applied %d, want %d; next expiry %d, want %d", b.Applied(), a.Applied(), b.NextExpiry(), a.NextExpiry())
		}
	})
}

func nothing() error { return nil }

// TestReplayUnrestored: without what they follow no entries are applied.
func TestReplayUnrestored(t *testing.T) {
	r := newReplica(&chunkStorage{})
	var logs []*raft.Log
	for i := range 10 * groupsAhead * groupEntries {
		logs = append(logs, entry(uint64(i+1), int64(i), set("/a", "v")))
	}
	bad := errors.New("bad snapshot")
	err := r.Replay(func() error { return bad }, slices.Values(logs))
	if err != bad || r.Applied() != 0 || r.tree.View().Index() != 0 || len(r.failed) > 0 {
		t.Errorf("got %v, applied %d, stopped %v", err, r.Applied(), r.failed)
	}
}

// TestReplayMany goes through all groups several times, of many small entries and of few that
// are large.
func TestReplayMany(t *testing.T) {
	for _, size := range []int{1, groupBytes / 3} {
		a, b := newReplica(&chunkStorage{}), newReplica(&chunkStorage{})
		var logs []*raft.Log
		for i := range 3*groupsAhead*groupEntries/min(size, 50) + 1 {
			value := strings.Repeat("x", size)
			logs = append(logs, entry(uint64(i+1), int64(i), set(fmt.Sprintf("/%d", i%100), value), set("/b", value)))
		}
		for _, l := range logs {
			a.Apply(l)
		}
		b.Replay(nothing, slices.Values(logs))
		if !bytes.Equal(a.bytes(t), b.bytes(t)) || b.Applied() != uint64(len(logs)) {
			t.Errorf("values of %d bytes: replicas differ", size)
		}
	}
}

// TestReplayStops: nothing behind an entry that is damaged is applied, and it is told.
func TestReplayStops(t *testing.T) {
	for _, bad := range []int{0, groupEntries, 3 * groupEntries} {
		a, b := newReplica(&chunkStorage{}), newReplica(&chunkStorage{})
		var logs []*raft.Log
		for i := range 20 * groupEntries {
			logs = append(logs, entry(uint64(i+1), int64(i), set(fmt.Sprintf("/%d", i), "v")))
		}
		logs[bad].Data[6] ^= 1
		a.ApplyBatch(logs)
		b.Replay(nothing, slices.Values(logs))
		if len(b.failed) != 1 || !errors.Is(b.failed[0], ErrChecksum) || b.failed[0].Error() != a.failed[0].Error() {
			t.Fatalf("entry %d: told %v, want %v", bad+1, b.failed, a.failed)
		}
		if a.tree.Hash() != b.tree.Hash() || b.Applied() != uint64(bad) {
			t.Errorf("entry %d: applied up to %d", bad+1, b.Applied())
		}
	}
}
