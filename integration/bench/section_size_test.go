// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"confd/integration/bench/proc"
	"confd/integration/bench/report"
)

// TestLeaveOut: a peer that fails is ended, named in a note and asked no more; ours goes
// on. If ours fails, all does.
func TestLeaveOut(t *testing.T) {
	process, err := proc.Start(t.TempDir(), filepath.Join(t.TempDir(), "log"), nil, "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	ours, peer := &server{name: "ours"}, &server{name: "peer", nodes: []*node{{Process: process}}}
	r := &sizeRun{t: &report.Table{}, ours: ours, peer: peer}
	asked := map[*server]int{}
	measure := func(_ context.Context, s sized) (int, error) {
		if asked[s.server]++; s.server == peer && asked[peer] == 2 {
			return 0, errors.New("it has had enough")
		}
		return 7, nil
	}
	found, err := sizes(t.Context(), r, 3, r.both(), measure)
	if err != nil || len(found[0]) != 3 || len(found[1]) != 1 || asked[ours] != 3 || asked[peer] != 2 {
		t.Errorf("found %v, asked %v, %v", found, asked, err)
	}
	if notes := strings.Join(r.t.Notes, "\n"); !strings.Contains(notes, "peer was left out") || !strings.Contains(notes, "it has had enough") {
		t.Errorf("the notes are %q", notes)
	}
	if err := process.Failed(); err == nil || peer.stop() != nil {
		t.Error("the peer was not ended, or is stopped again")
	}
	failing := func(context.Context, sized) (int, error) { return 0, errors.New("ours fails") }
	if _, err := sizes(t.Context(), r, 3, r.both(), failing); err == nil {
		t.Error("no error when ours fails")
	}
}

func TestByTurns(t *testing.T) {
	var order []string
	found, err := byTurns(t.Context(), 3, []string{"a", "b"}, func(_ context.Context, s string) (int, error) {
		order = append(order, s)
		return len(order), nil
	})
	if got := strings.Join(order, ""); err != nil || got != "abbaab" || len(found[0]) != 3 || found[1][1] != 3 {
		t.Errorf("%s, %v, %v", got, found, err)
	}
}
