// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"testing"

	"github.com/hashicorp/raft"
)

// TestConfirmedAlone: the only voter confirms a read by itself, if it leads in this term,
// has applied what is committed, and serves.
func TestConfirmedAlone(t *testing.T) {
	n := open(t, testConfig(t))
	set(t, n, "/a", "v")
	confirms := func(want bool, when string) {
		t.Helper()
		if got := n.confirmedAlone(t.Context()); got != want {
			t.Errorf("%s: got %v, want %v", when, got, want)
		}
		if v, ok := n.LinearizableNow(); ok != want || ok && v != n.tree.View() {
			t.Errorf("%s: a view at once: %v, want %v", when, ok, want)
		}
	}
	confirms(true, "leading")
	before := n.counts.confirm.Count()
	if _, err := n.Linearizable(t.Context()); err != nil || n.counts.confirm.Count() != before+1 {
		t.Errorf("got %v, %d confirmations, want %d", err, n.counts.confirm.Count(), before+1)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n.confirmedAlone(ctx) {
		t.Error("confirmed for nobody")
	}
	lead := n.lead.Load()
	n.lead.Store(nil)
	confirms(false, "not ready")
	earlier := &leadership{term: lead.term - 1}
	earlier.alone.Store(true)
	n.lead.Store(earlier)
	confirms(false, "of an earlier term")
	n.lead.Store(lead)
	lead.alone.Store(false)
	confirms(false, "changing who votes")
	lead.alone.Store(true)
	confirms(true, "again")
	closeNode(t, n)
	n.lead.Store(lead)
	confirms(false, "closed")
}

// TestOnlyVoter: others may be there if they do not vote.
func TestOnlyVoter(t *testing.T) {
	voter, other := raft.Server{ID: "a"}, raft.Server{ID: "b"}
	learner := raft.Server{ID: "c", Suffrage: raft.Nonvoter}
	for _, test := range []struct {
		servers []raft.Server
		want    bool
	}{
		{nil, false},
		{[]raft.Server{voter}, true},
		{[]raft.Server{learner, voter}, true},
		{[]raft.Server{learner}, false},
		{[]raft.Server{other}, false},
		{[]raft.Server{voter, other}, false},
		{[]raft.Server{other, voter}, false},
	} {
		if got := onlyVoter(test.servers, "a"); got != test.want {
			t.Errorf("%v: got %v, want %v", test.servers, got, test.want)
		}
	}
}
