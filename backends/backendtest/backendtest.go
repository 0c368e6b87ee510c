// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package backendtest is the conformance suite that every backend passes.
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, func(t *testing.T) backendtest.Harness { … })
//	}
//
// # Decisions
//
// What a source cannot do is a nil function in its Harness; the tests that need it are
// not run. So a test is never skipped: it belongs to the source's promise or it does not.
//
// The tests follow a backend as the renderer does, Snapshot, work, Wait, and call an
// update lost when Wait does not return for it. A backend that also looks again from
// time to time sets that interval beyond Limit, or its lost updates are healed unseen.
package backendtest

import (
	"testing"
	"time"

	"confd/backends"
)

// Limit is how long a test waits for what must happen.
const Limit = 30 * time.Second

// A Harness is a backend under test together with the source it reads. The functions
// act on the source, not through the backend, are called from several goroutines, and
// return when the source has done it. All but Backend and Static may be nil.
type Harness struct {
	Backend backends.Backend

	// Static is what the source holds at first. A source without Set is tested with it
	// alone, so it should have some keys then.
	Static map[string]string

	// Set gives a key a value. The tests never use one key as a directory and as a file.
	Set func(key, value string) error

	// Delete removes a key with everything below it. Goes with Set.
	Delete func(key string) error

	// Wipe replaces the store by a new and empty one in the same place, one that knows
	// nothing of the old one's history and counts from the start.
	Wipe func() error

	// Stop takes the store down, so that it cannot be reached; Start brings it back with
	// what it held.
	Stop, Start func() error

	// Cut breaks the connections there are. New ones can be made at once.
	Cut func() error

	// NoHistory says that the store keeps no history of changes that could be cleared.
	NoHistory bool

	// Precise says that Wait is not woken by changes outside its prefixes.
	Precise bool
}

// Run tests the backends that open returns. Each test opens one of its own; open
// registers its cleanup with t.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	t.Helper()
	run := func(name string, needed bool, test func(t *testing.T, h Harness)) {
		if !needed {
			return
		}
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
	can := open(t)
	run("static", true, testStatic)
	run("missing prefix", true, testMissing)
	run("wait for unknown index", true, testUnknownIndex)
	run("wait with ended context", true, testEndedContext)
	run("wait blocks", true, testBlocks)

	writes := can.Set != nil
	run("components", writes, testComponents)
	run("read the keys", writes, testKeys)
	run("immutable", writes, testImmutable)
	run("wait for old index", writes, testOldIndex)
	run("wake", writes, testWake)
	run("delete", writes, testDelete)
	run("race", writes, testRace)
	run("many waiters", writes, testManyWaiters)
	run("history cleared", writes && !can.NoHistory, testHistoryCleared)
	run("sibling", writes && can.Precise, testSibling)

	run("wipe", can.Wipe != nil, testWipe)
	run("wipe to the same index", can.Wipe != nil, testWipeSameIndex)
	run("down at start", can.Stop != nil, testDownAtStart)
	run("down in between", can.Stop != nil, testDownBetween)
	run("cut", can.Cut != nil, testCut)
}
