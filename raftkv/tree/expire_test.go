// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"testing"
)

// events returns the JSON of the published events from index on.
func events(tr *Tree, index uint64) (all []string) {
	for _, e := range tr.View().from(index) {
		all = append(all, string(e.JSON()))
	}
	return all
}

func TestExpire(t *testing.T) {
	tr := New()
	ttl := func(key string, seconds uint64, dir bool) Op {
		return Op{Action: Set, Key: key, Value: "v", TTL: seconds, HasTTL: true, Dir: dir}
	}
	must(t, tr,
		ttl("/b", 2, false), ttl("/a", 2, false), ttl("/late", 3, false),
		ttl("/d", 2, true), ttl("/d/x", 1, false), ttl("/d/y", 2, false), // 4, 5, 6
		ttl("/kept", 1, false), Op{Action: Update, Key: "/kept"}, // 7, 8
		ttl("/gone", 1, false), Op{Action: Delete, Key: "/gone"}, // 9, 10
		ttl("/longer", 1, false), ttl("/longer", 4, false), // 11, 12
		ttl("/dir", 1, true), Op{Action: Delete, Key: "/dir", Recursive: true}, Op{Action: Set, Key: "/dir/x"})
	if got, want := tr.NextExpiry(), t0+second; got != want {
		t.Errorf("NextExpiry %d, want %d", got, want)
	}
	if n := tr.Expire(t0 + second - 1); n != 0 {
		t.Errorf("%d expired too early", n)
	}
	if n := tr.Expire(t0 + 2*second); n != 4 {
		t.Errorf("%d expired, want 4", n)
	}
	tr.Publish()
	want := []string{
		`{"action":"expire","node":{"key":"/d/x","modifiedIndex":16,"createdIndex":5},"prevNode":{"key":"/d/x","value":"v","expiration":"2023-11-14T22:13:21Z","ttl":-1,"modifiedIndex":5,"createdIndex":5}}`,
		`{"action":"expire","node":{"key":"/a","modifiedIndex":17,"createdIndex":2},"prevNode":{"key":"/a","value":"v","expiration":"2023-11-14T22:13:22Z","modifiedIndex":2,"createdIndex":2}}`,
		`{"action":"expire","node":{"key":"/b","modifiedIndex":18,"createdIndex":1},"prevNode":{"key":"/b","value":"v","expiration":"2023-11-14T22:13:22Z","modifiedIndex":1,"createdIndex":1}}`,
		`{"action":"expire","node":{"key":"/d","dir":true,"modifiedIndex":19,"createdIndex":4},"prevNode":{"key":"/d","dir":true,"expiration":"2023-11-14T22:13:22Z","modifiedIndex":4,"createdIndex":4}}`,
	}
	got := events(tr, 16)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events\n got %s\nwant %s", got, want)
	}
	if got, want := dump(tr.View()), "/dir/ /dir/x= /kept= /late=v /longer=v"; got != want {
		t.Errorf("keys %s, want %s", got, want)
	}
	if got, want := tr.NextExpiry(), t0+3*second; got != want {
		t.Errorf("NextExpiry %d, want %d", got, want)
	}
	if n := tr.Expire(t0 + 9*second); n != 2 {
		t.Errorf("%d expired, want 2", n)
	}
	if got := tr.NextExpiry(); got != 0 {
		t.Errorf("NextExpiry %d, want 0", got)
	}
}

// What no longer holds must not pile up, also if the key has the same time again.
func TestExpiryHeapIsBounded(t *testing.T) {
	tr := New()
	for i := range 5000 {
		must(t, tr,
			Op{Action: Set, Key: "/same", TTL: 5, HasTTL: true},
			Op{Action: Set, Key: "/same", TTL: 5, HasTTL: true},
			Op{Action: Set, Key: "/other", TTL: uint64(i), HasTTL: true},
			Op{Action: Delete, Key: "/same"})
		if n := len(tr.expiry.heap); n > 70 {
			t.Fatalf("%d entries for %d keys", n, tr.expiry.live)
		}
	}
	must(t, tr, Op{Action: Set, Key: "/same", TTL: 5, HasTTL: true})
	if n := tr.Expire(t0 + 10_000*second); n != 2 {
		t.Errorf("%d expired, want 2", n)
	}
	if tr.expiry.live != 0 || len(tr.expiry.heap) != 0 {
		t.Errorf("%d live, %d entries are left", tr.expiry.live, len(tr.expiry.heap))
	}
}
