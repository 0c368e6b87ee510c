// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestOwnRecord: a node registers itself, and again when its configuration has changed,
// but writes nothing if it has not.
func TestOwnRecord(t *testing.T) {
	cfg := testConfig(t)
	cfg.ClientURL = "http://127.0.0.1:4001"
	cfg.AdvertisePeerAddr = "192.0.2.1:7001"
	cfg.MaxValue = 1 // is about keys
	n := open(t, cfg)
	id := n.Status().ID
	want := []Member{{id, "test", []string{"http://192.0.2.1:7001"}, []string{"http://127.0.0.1:4001"}, ""}}
	if got := n.Members(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if err := n.UpdateMember(t.Context(), id, []string{"http://other:1"}); err != nil || n.Members()[0].PeerURLs[0] != "http://other:1" {
		t.Errorf("after an update: %v, %+v", err, n.Members())
	}
	closeNode(t, n)

	cfg.Name, cfg.ClientURL, cfg.AdvertisePeerAddr = "new", "", "192.0.2.2:7001"
	n = open(t, cfg)
	want = []Member{{id, "new", []string{"http://192.0.2.2:7001"}, []string{}, ""}}
	if got := n.Members(); !reflect.DeepEqual(got, want) {
		t.Errorf("after a change: got %+v, want %+v", got, want)
	}
	index := n.RaftIndex()
	closeNode(t, n)
	// The two more are those with which every leader begins.
	if n = open(t, cfg); n.RaftIndex() > index+2 {
		t.Errorf("a restart without a change wrote entries: %d, then %d", index, n.RaftIndex())
	}
	if s := n.Status(); s.LeaderName != "new" {
		t.Errorf("leader %q", s.LeaderName)
	}
}

// TestMemberChanges runs steps on one lone node: an added member is registered and
// nothing else, and every refusal has its error.
func TestMemberChanges(t *testing.T) {
	cfg := testConfig(t)
	n := open(t, cfg)
	ctx := t.Context()
	self := n.Members()[0]
	added, err := n.AddMember(ctx, []string{"http://b:7001 ", "http://a:7001"})
	if err != nil || added.Started() || !slices.Equal(added.PeerURLs, []string{"http://a:7001", "http://b:7001"}) {
		t.Fatalf("added %+v, %v", added, err)
	}
	add := func(urls ...string) error { _, err := n.AddMember(ctx, urls); return err }
	update := func(id string, urls ...string) error { return n.UpdateMember(ctx, id, urls) }
	remove := func(id string) error { return n.RemoveMember(ctx, id) }
	number := func(id string) uint64 {
		v, err := strconv.ParseUint(id, 16, 64)
		if err != nil {
			t.Errorf("id %q: %v", id, err)
		}
		return v
	}
	for i, step := range []struct {
		got, want error
	}{
		{add("http://c:1", "http://b:7001"), ErrPeerURLExists},
		{add(self.PeerURLs...), ErrPeerURLExists},
		{update(self.ID, "http://a:7001"), ErrPeerURLExists},
		{update(added.ID, self.PeerURLs...), ErrPeerURLExists},
		{update("abc", "http://z:1"), ErrMemberNotFound},
		{update("", "http://z:1"), ErrMemberNotFound},
		{remove("abc"), ErrMemberNotFound},
		{remove(self.ID), ErrLastMember},
		{update(added.ID, "http://a:7001", "http://c:1"), nil},
		{add("http://b:7001"), nil}, // free again
		{remove(added.ID), nil},
		{remove(added.ID), ErrMemberRemoved},
		{update(added.ID, "http://z:1"), ErrMemberRemoved},
		{add("http://a:7001"), nil},
		{remove(self.ID), ErrLastMember},
	} {
		if !errors.Is(step.got, step.want) || step.want != nil && !errors.Is(step.got, ErrNotProposed) {
			t.Errorf("step %d: got %v, want %v", i, step.got, step.want)
		}
	}
	for _, urls := range [][]string{nil, {}, {"http://a"}, {"http://d:1", "http://e:1/path"}} {
		if err := add(urls...); err == nil {
			t.Errorf("%q were added", urls)
		}
		if err := update(self.ID, urls...); err == nil {
			t.Errorf("%q were set", urls)
		}
	}
	want := n.Members()
	if len(want) != 3 || !slices.IsSortedFunc(want, func(a, b Member) int { return cmp.Compare(number(a.ID), number(b.ID)) }) {
		t.Fatalf("members %+v", want)
	}

	// Nobody waits for the members that were added, before and after a restart.
	set(t, n, "/k", "v")
	closeNode(t, n)
	n = open(t, cfg)
	set(t, n, "/k", "w")
	got := slices.Clone(n.Members()) // the slice is shared
	// The port is another one; that is all that may differ.
	for i := range got {
		if got[i].ID == self.ID {
			got[i].PeerURLs = want[i].PeerURLs
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart: %+v, want %+v", got, want)
	}
	if err := n.RemoveMember(ctx, added.ID); !errors.Is(err, ErrMemberRemoved) {
		t.Errorf("after a restart: %v", err)
	}
}

// TestMemberChangesAtOnce: of many who add the same peer URL one succeeds.
func TestMemberChangesAtOnce(t *testing.T) {
	n := open(t, testConfig(t))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := n.AddMember(t.Context(), []string{"http://a:1"}); err != nil && !errors.Is(err, ErrPeerURLExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := n.Members(); len(got) != 2 {
		t.Errorf("got %d members, want 2", len(got))
	}
}

// TestMemberChangesWithoutLeader: a node that does not lead changes nothing.
func TestMemberChangesWithoutLeader(t *testing.T) {
	n := open(t, testConfig(t))
	n.lead.Store(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := n.AddMember(ctx, []string{"http://a:1"}); !errors.Is(err, ErrNoLeader) || !errors.Is(err, ErrNotProposed) {
		t.Errorf("got %v", err)
	}
	if got := n.Members(); len(got) != 1 {
		t.Errorf("got %d members, want 1", len(got))
	}
}

// TestMembersAreCached: what is read from the metadata is kept until they change.
func TestMembersAreCached(t *testing.T) {
	n := open(t, testConfig(t))
	for meta := n.Meta(); ; meta = n.Meta() {
		before := n.Members()
		got := n.Members()
		if n.Meta() != meta {
			continue // by what a node does when it begins to lead
		}
		if &got[0] != &before[0] {
			t.Error("the list was made anew though nothing has changed")
		}
		break
	}
	if allocs := testing.AllocsPerRun(100, func() { n.Members() }); allocs > 0 {
		t.Errorf("Members allocates %v times", allocs)
	}
	if _, err := n.AddMember(t.Context(), []string{"http://a:1"}); err != nil || len(n.Members()) != 2 {
		t.Errorf("got %d members, %v", len(n.Members()), err)
	}
}

func TestParsePeerURLs(t *testing.T) {
	for _, test := range []struct {
		in, want []string
		err      string
	}{
		{[]string{" https://b:2", "http://a:1"}, []string{"http://a:1", "https://b:2"}, ""},
		{[]string{"http://[::1]:7001"}, []string{"http://[::1]:7001"}, ""},
		{nil, nil, "no valid URLs given"},
		{[]string{"http://a:1", "http://a"}, nil, `URL address does not have the form "host:port": http://a`},
		{[]string{"http://a:1/"}, nil, "URL must not contain a path: http://a:1/"},
		{[]string{"ftp://a:1"}, nil, "URL scheme must be http, https, unix, or unixs: ftp://a:1"},
		{[]string{""}, nil, "URL scheme must be http, https, unix, or unixs: "},
		{[]string{"1.1.1.1:1"}, nil, `parse "1.1.1.1:1": first path segment in URL cannot contain colon`},
	} {
		got, err := ParsePeerURLs(test.in)
		if !slices.Equal(got, test.want) || fmt.Sprint(err) != test.err && test.err != "" || test.err == "" && err != nil {
			t.Errorf("%q: got %q, %v; want %q, %s", test.in, got, err, test.want, test.err)
		}
	}
}
