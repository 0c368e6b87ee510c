// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"testing"
	"time"
)

// TestSilentStandbyGetsNoVote has a standby whose requests hang, so that none has failed yet.
// Before, it got a vote, lost it for having been silent too long, and so on without end.
func TestSilentStandbyGetsNoVote(t *testing.T) {
	c := ClusterConfig{ActiveSize: 3, RemoveDelay: 3 * time.Second}
	seats := []seat{
		{id: "1", in: true, votes: true, leads: true},
		{id: "2", in: true, votes: true, steady: true},
		{id: "3", in: true, steady: true, silent: 4 * time.Second},
	}
	if what, id := plan(seats, c, 2*time.Second); what != actNone {
		t.Errorf("%v %s", what, id)
	}
	seats[2].silent = time.Second
	if what, id := plan(seats, c, 2*time.Second); what != actPromote || id != "3" {
		t.Errorf("%v %s, and it answers", what, id)
	}
}
