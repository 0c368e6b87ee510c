// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"confd/raftkv/client"
)

// changes returns events with the indexes from first on.
func changes(first, n int) []client.Change {
	var list []client.Change
	for i := range n {
		list = append(list, client.Change{Action: "set", Key: "/app/a", Modified: uint64(first + i)})
	}
	return list
}

// TestIntake holds events back until it is opened, and whoever brings too many.
func TestIntake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newIntake()
		if !in.hold(changes(1, queueLen-1)) {
			t.Fatal("events are let pass before the intake is open")
		}
		last := false
		go func() {
			in.hold(changes(queueLen, 1))
			last = true
		}()
		synctest.Wait()
		if last {
			t.Error("a full intake lets go of who brings more")
		}
		var got []client.Change
		failed := errors.New("failed")
		if err := in.open(func(held []client.Change) error { got = slices.Clone(held); return failed }); err != failed {
			t.Errorf("opening: got %v, want the error of applying", err)
		}
		synctest.Wait()
		if !last {
			t.Error("an open intake holds who has brought too many")
		}
		if !slices.Equal(got, changes(1, queueLen)) {
			t.Errorf("%d events are applied, want %d in order", len(got), queueLen)
		}
		if in.hold(changes(9, 1)) {
			t.Error("an open intake holds events")
		}

		ended := newIntake()
		ended.end()
		if !ended.hold(changes(1, queueLen)) { // returns
			t.Error("events are let pass though the intake was never open")
		}
	})
}

// What comes by the stream while the keys are listed is applied on top of the listing.
func TestChangesWhileListing(t *testing.T) {
	f := newFake(t)
	f.set("/app/a", "1")
	b := open(t, Config{Nodes: []string{f.URL}})
	b.used = true // the next snapshot begins to mirror
	f.late = func() {
		for i := range 300 {
			f.set("/app/a", fmt.Sprint(i))
		}
		f.set("/app/b", "1")
	}
	follow(t, b, snapshot(t, b, "/app"), kv{"/app/a": "299", "/app/b": "1"}, "/app")
	if n := f.count(isList); n != 1 {
		t.Errorf("%d listings, want 1", n)
	}
}
