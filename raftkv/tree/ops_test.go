// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// t0 is the time of the operations in tests, 2023-11-14T22:13:20Z.
const t0 = int64(1_700_000_000) * int64(time.Second)

const second = int64(time.Second)

// must applies ops at t0, which must not be refused, and publishes each.
func must(t *testing.T, tr *Tree, ops ...Op) *Event {
	t.Helper()
	var e *Event
	for i := range ops {
		var err error
		if e, err = tr.Apply(&ops[i], t0); err != nil {
			t.Fatalf("Apply(%+v): %v", ops[i], err)
		}
		tr.Publish()
	}
	return e
}

// answer applies op at now and returns its JSON.
func answer(tr *Tree, op *Op, now int64) string {
	e, err := tr.Apply(op, now)
	tr.Publish()
	if err != nil {
		return string(AppendError(nil, err.(*Error)))
	}
	return string(AppendEvent(nil, e))
}

// dump returns what is in the tree, hidden keys too, one key=value a line.
func dump(v *View) string {
	var b strings.Builder
	v.keys.ascend("", func(key string, n *Node) bool {
		b.WriteString(key)
		if n.Dir {
			b.WriteString("/")
		} else {
			b.WriteString("=" + n.Value)
		}
		b.WriteString(" ")
		return true
	})
	return strings.TrimSpace(b.String())
}

// The answers were compared byte by byte with those of etcd 3.4.23.
func TestApply(t *testing.T) {
	file := Op{Action: Set, Key: "/f", Value: "one"}    // index 1
	below := Op{Action: Set, Key: "/d/x", Value: "two"} // index 2
	short := Op{Action: Set, Key: "/t", Value: "three", TTL: 10, HasTTL: true}
	tests := []struct {
		name string
		op   Op
		want string
		dump string // "" if unchanged
	}{
		{"set new", Op{Action: Set, Key: "/a/b", Value: "v"},
			`{"action":"set","node":{"key":"/a/b","value":"v","modifiedIndex":4,"createdIndex":4}}`,
			"/a/ /a/b=v /d/ /d/x=two /f=one /t=three"},
		{"set replaces", Op{Action: Set, Key: "/f", Value: ""},
			`{"action":"set","node":{"key":"/f","value":"","modifiedIndex":4,"createdIndex":4},"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}`,
			"/d/ /d/x=two /f= /t=three"},
		{"set unclean key", Op{Action: Set, Key: "a//./b/../c/", Value: "v"},
			`{"action":"set","node":{"key":"/a/c","value":"v","modifiedIndex":4,"createdIndex":4}}`,
			"/a/ /a/c=v /d/ /d/x=two /f=one /t=three"},
		{"set with ttl", Op{Action: Set, Key: "/n", TTL: 2, HasTTL: true},
			`{"action":"set","node":{"key":"/n","value":"","expiration":"2023-11-14T22:13:22Z","ttl":2,"modifiedIndex":4,"createdIndex":4}}`,
			"/d/ /d/x=two /f=one /n= /t=three"},
		{"set with ttl 0", Op{Action: Set, Key: "/n", HasTTL: true},
			`{"action":"set","node":{"key":"/n","value":"","expiration":"2023-11-14T22:13:20Z","modifiedIndex":4,"createdIndex":4}}`,
			"/d/ /d/x=two /f=one /n= /t=three"},
		{"set makes permanent", Op{Action: Set, Key: "/t", Value: "x"},
			`{"action":"set","node":{"key":"/t","value":"x","modifiedIndex":4,"createdIndex":4},"prevNode":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":3,"createdIndex":3}}`,
			"/d/ /d/x=two /f=one /t=x"},
		{"set directory", Op{Action: Set, Key: "/n/m", Value: "ignored", Dir: true},
			`{"action":"set","node":{"key":"/n/m","dir":true,"modifiedIndex":4,"createdIndex":4}}`,
			"/d/ /d/x=two /f=one /n/ /n/m/ /t=three"},
		{"set directory over file", Op{Action: Set, Key: "/f", Dir: true},
			`{"action":"set","node":{"key":"/f","dir":true,"modifiedIndex":4,"createdIndex":4},"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}`,
			"/d/ /d/x=two /f/ /t=three"},
		{"set over directory", Op{Action: Set, Key: "/d"},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"set directory over directory", Op{Action: Set, Key: "/d", Dir: true},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"set below file", Op{Action: Set, Key: "/f/x/y"},
			`{"errorCode":104,"message":"Not a directory","cause":"/f","index":3}`, ""},
		{"set root", Op{Action: Set, Key: "/"},
			`{"errorCode":107,"message":"Root is read only","cause":"/","index":3}`, ""},
		{"set refresh", Op{Action: Set, Key: "/t", TTL: 20, HasTTL: true, Refresh: true},
			`{"action":"set","node":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:40Z","ttl":20,"modifiedIndex":4,"createdIndex":4},"prevNode":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":3,"createdIndex":3}}`,
			"/d/ /d/x=two /f=one /t=three"},
		{"set refresh missing", Op{Action: Set, Key: "/n/x", TTL: 20, HasTTL: true, Refresh: true},
			`{"errorCode":100,"message":"Key not found","cause":"/n","index":3}`, ""},
		{"set refresh directory", Op{Action: Set, Key: "/d", TTL: 20, HasTTL: true, Refresh: true},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"create", Op{Action: Create, Key: "/n", Value: "v"},
			`{"action":"create","node":{"key":"/n","value":"v","modifiedIndex":4,"createdIndex":4}}`,
			"/d/ /d/x=two /f=one /n=v /t=three"},
		{"create existing", Op{Action: Create, Key: "/d", Dir: true},
			`{"errorCode":105,"message":"Key already exists","cause":"/d","index":3}`, ""},
		{"create below file", Op{Action: Create, Key: "/f/x"},
			`{"errorCode":104,"message":"Not a directory","cause":"/f","index":3}`, ""},
		{"create root", Op{Action: Create, Key: "/", Dir: true},
			`{"errorCode":107,"message":"Root is read only","cause":"/","index":3}`, ""},
		{"create in order", Op{Action: Create, Key: "/q", Value: "v", InOrder: true},
			`{"action":"create","node":{"key":"/q/00000000000000000004","value":"v","modifiedIndex":4,"createdIndex":4}}`,
			"/d/ /d/x=two /f=one /q/ /q/00000000000000000004=v /t=three"},
		{"create in order in root", Op{Action: Create, Key: "/", Dir: true, InOrder: true},
			`{"action":"create","node":{"key":"/00000000000000000004","dir":true,"modifiedIndex":4,"createdIndex":4}}`,
			"/00000000000000000004/ /d/ /d/x=two /f=one /t=three"},
		{"create in order below file", Op{Action: Create, Key: "/f", InOrder: true},
			`{"errorCode":104,"message":"Not a directory","cause":"/f","index":3}`, ""},
		{"update", Op{Action: Update, Key: "/t", Value: "v"},
			`{"action":"update","node":{"key":"/t","value":"v","modifiedIndex":4,"createdIndex":3},"prevNode":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":3,"createdIndex":3}}`,
			"/d/ /d/x=two /f=one /t=v"},
		{"update refresh", Op{Action: Update, Key: "/f", TTL: 1, HasTTL: true, Refresh: true},
			`{"action":"update","node":{"key":"/f","value":"one","expiration":"2023-11-14T22:13:21Z","ttl":1,"modifiedIndex":4,"createdIndex":1},"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}`,
			"/d/ /d/x=two /f=one /t=three"},
		{"update directory", Op{Action: Update, Key: "/d", TTL: 1, HasTTL: true, Dir: true},
			`{"action":"update","node":{"key":"/d","dir":true,"expiration":"2023-11-14T22:13:21Z","ttl":1,"modifiedIndex":4,"createdIndex":2},"prevNode":{"key":"/d","dir":true,"modifiedIndex":2,"createdIndex":2}}`,
			"/d/ /d/x=two /f=one /t=three"},
		{"update directory with value", Op{Action: Update, Key: "/d", Value: "v"},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"update missing", Op{Action: Update, Key: "/n"},
			`{"errorCode":100,"message":"Key not found","cause":"/n","index":3}`, ""},
		{"update below file", Op{Action: Update, Key: "/f/x"},
			`{"errorCode":104,"message":"Not a directory","cause":"/f","index":3}`, ""},
		{"update root", Op{Action: Update, Key: "/"},
			`{"errorCode":107,"message":"Root is read only","cause":"/","index":3}`, ""},
		{"swap by value", Op{Action: CompareAndSwap, Key: "/t", Value: "v", PrevValue: "three"},
			`{"action":"compareAndSwap","node":{"key":"/t","value":"v","modifiedIndex":4,"createdIndex":3},"prevNode":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":3,"createdIndex":3}}`,
			"/d/ /d/x=two /f=one /t=v"},
		{"swap by index, refresh", Op{Action: CompareAndSwap, Key: "/t", PrevIndex: 3, TTL: 9, HasTTL: true, Refresh: true},
			`{"action":"compareAndSwap","node":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:29Z","ttl":9,"modifiedIndex":4,"createdIndex":3},"prevNode":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":3,"createdIndex":3}}`,
			"/d/ /d/x=two /f=one /t=three"},
		{"swap wrong value", Op{Action: CompareAndSwap, Key: "/f", PrevValue: "<two>", PrevIndex: 1},
			`{"errorCode":101,"message":"Compare failed","cause":"[\u003ctwo\u003e != one]","index":3}`, ""},
		{"swap wrong index", Op{Action: CompareAndSwap, Key: "/f", PrevValue: "one", PrevIndex: 2},
			`{"errorCode":101,"message":"Compare failed","cause":"[2 != 1]","index":3}`, ""},
		{"swap both wrong", Op{Action: CompareAndSwap, Key: "/f", PrevValue: "x", PrevIndex: 2},
			`{"errorCode":101,"message":"Compare failed","cause":"[x != one] [2 != 1]","index":3}`, ""},
		{"swap missing", Op{Action: CompareAndSwap, Key: "/d/n/x", PrevIndex: 2},
			`{"errorCode":100,"message":"Key not found","cause":"/d/n","index":3}`, ""},
		{"swap directory", Op{Action: CompareAndSwap, Key: "/d", PrevIndex: 2},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"swap root", Op{Action: CompareAndSwap, Key: "/", PrevIndex: 2},
			`{"errorCode":107,"message":"Root is read only","cause":"/","index":3}`, ""},
		{"delete file", Op{Action: Delete, Key: "/t", Dir: true, Recursive: true},
			`{"action":"delete","node":{"key":"/t","modifiedIndex":4,"createdIndex":3},"prevNode":{"key":"/t","value":"three","expiration":"2023-11-14T22:13:30Z","ttl":10,"modifiedIndex":3,"createdIndex":3}}`,
			"/d/ /d/x=two /f=one"},
		{"delete directory recursively", Op{Action: Delete, Key: "/d", Recursive: true},
			`{"action":"delete","node":{"key":"/d","dir":true,"modifiedIndex":4,"createdIndex":2},"prevNode":{"key":"/d","dir":true,"modifiedIndex":2,"createdIndex":2}}`,
			"/f=one /t=three"},
		{"delete directory as file", Op{Action: Delete, Key: "/d"},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"delete directory with child", Op{Action: Delete, Key: "/d", Dir: true},
			`{"errorCode":108,"message":"Directory not empty","cause":"/d","index":3}`, ""},
		{"delete missing", Op{Action: Delete, Key: "/n/x/y", Recursive: true},
			`{"errorCode":100,"message":"Key not found","cause":"/n","index":3}`, ""},
		{"delete root", Op{Action: Delete, Key: "/", Recursive: true},
			`{"errorCode":107,"message":"Root is read only","cause":"/","index":3}`, ""},
		{"compare and delete", Op{Action: CompareAndDelete, Key: "/f", PrevValue: "one", PrevIndex: 1},
			`{"action":"compareAndDelete","node":{"key":"/f","modifiedIndex":4,"createdIndex":1},"prevNode":{"key":"/f","value":"one","modifiedIndex":1,"createdIndex":1}}`,
			"/d/ /d/x=two /t=three"},
		{"compare and delete wrong", Op{Action: CompareAndDelete, Key: "/f", PrevValue: "two"},
			`{"errorCode":101,"message":"Compare failed","cause":"[two != one]","index":3}`, ""},
		{"compare and delete directory", Op{Action: CompareAndDelete, Key: "/d", PrevIndex: 2, Recursive: true},
			`{"errorCode":102,"message":"Not a file","cause":"/d","index":3}`, ""},
		{"compare and delete root", Op{Action: CompareAndDelete, Key: "/", PrevIndex: 2},
			`{"errorCode":102,"message":"Not a file","index":3}`, ""},
		{"no change", Op{Action: Get, Key: "/f"},
			`{"errorCode":209,"message":"Invalid field","cause":"action get changes nothing","index":3}`, ""},
		{"unknown action", Op{Action: 99, Key: "/f"},
			`{"errorCode":209,"message":"Invalid field","cause":"action 99 changes nothing","index":3}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := New()
			must(t, tr, file, below, short)
			before := dump(tr.View())
			if got := answer(tr, &tt.op, t0); got != tt.want {
				t.Errorf("answer\n got %s\nwant %s", got, tt.want)
			}
			want, index := tt.dump, uint64(4)
			if want == "" {
				want, index = before, 3
			}
			if got := dump(tr.View()); got != want {
				t.Errorf("keys\n got %s\nwant %s", got, want)
			}
			if got := tr.View().Index(); got != index {
				t.Errorf("index %d, want %d", got, index)
			}
		})
	}
}

// A get of an updated directory shows the new index, unlike etcd's.
func TestUpdateDirKeepsModified(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/d", Dir: true}, Op{Action: Update, Key: "/d"})
	got, err := tr.View().AppendGet(nil, "/d", false, t0)
	if want := `{"action":"get","node":{"key":"/d","dir":true,"modifiedIndex":2,"createdIndex":1}}`; string(got) != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestParentsShareIndex(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/x"}, Op{Action: Set, Key: "/a/b/c"})
	for _, key := range []string{"/a", "/a/b", "/a/b/c"} {
		n, err := tr.View().Get(key)
		if err != nil || n.Created != 2 || n.Modified != 2 || n.Dir != (key != "/a/b/c") {
			t.Errorf("%s: %+v, %v", key, n, err)
		}
	}
}

func TestTTLIsCapped(t *testing.T) {
	for _, ttl := range []uint64{math.MaxUint64, math.MaxInt64, 9223372036, 9e9} {
		op := Op{TTL: ttl, HasTTL: true}
		if got := op.expires(t0); got != math.MaxInt64 {
			t.Errorf("ttl %d ends at %d", ttl, got)
		}
	}
	op := Op{TTL: 100 * 365 * 24 * 3600, HasTTL: true}
	if got, want := op.expires(t0), t0+int64(op.TTL)*second; got != want {
		t.Errorf("a century ends at %d, want %d", got, want)
	}
	op = Op{HasTTL: true}
	if got := op.expires(0); got == 0 {
		t.Error("a time to live at time 0 is permanent")
	}
}

// Values must not reach logs, where errors go.
func TestErrorKeepsValues(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/k", Value: "secret"})
	_, err := tr.Apply(&Op{Action: CompareAndSwap, Key: "/k", PrevValue: "guess"}, t0)
	var refused *Error
	if !errors.As(err, &refused) || refused.Cause != "[guess != secret]" {
		t.Fatalf("got %#v", err)
	}
	if s := err.Error(); strings.Contains(s, "secret") || strings.Contains(s, "guess") {
		t.Errorf("Error() = %q", s)
	}
	_, err = tr.View().Get("/none")
	if got, want := err.Error(), "Key not found (/none)"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestStats(t *testing.T) {
	tr := New()
	ops := []Op{
		{Action: Set, Key: "/f"},
		{Action: Set, Key: "/f/below/file"},                       // fails, once
		{Action: Set, Key: "/f", Refresh: true},                   // a set
		{Action: Create, Key: "/q", InOrder: true},                // a create
		{Action: Create, Key: "/f"},                               // fails
		{Action: Update, Key: "/f"},                               //
		{Action: Update, Key: "/none"},                            // fails
		{Action: Update, Key: "/"},                                // fails
		{Action: CompareAndSwap, Key: "/f"},                       //
		{Action: CompareAndSwap, Key: "/f", PrevIndex: 1},         // fails
		{Action: CompareAndDelete, Key: "/f", PrevValue: "wrong"}, // fails, and counts as such
		{Action: CompareAndDelete, Key: "/f"},
		{Action: Delete, Key: "/f"}, // fails
		{Action: Delete, Key: "/q", Recursive: true},
		{Action: Set, Key: "/e", HasTTL: true},
	}
	for i := range ops {
		tr.Apply(&ops[i], t0)
	}
	tr.Expire(t0)
	tr.CountGet(true)
	tr.CountGet(true)
	tr.CountGet(false)
	w, err := tr.Watch("/f", false, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	tr.Publish()
	want := Stats{
		GetsSuccess: 2, GetsFail: 1, SetsSuccess: 3, SetsFail: 1, CreateSuccess: 1, CreateFail: 1,
		UpdateSuccess: 1, UpdateFail: 2, CompareAndSwapSuccess: 1, CompareAndSwapFail: 1,
		CompareAndDeleteSuccess: 1, CompareAndDeleteFail: 1, DeleteSuccess: 1, DeleteFail: 1, ExpireCount: 1,
	}
	if got := tr.Stats(); got != want { // the delete of /f has ended the watch
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	w.Close()
	if w, err = tr.Watch("/f", false, true, 0); err != nil {
		t.Fatal(err)
	}
	if got := tr.Stats().Watchers; got != 1 {
		t.Errorf("%d watchers, want 1", got)
	}
	w.Close()
	w.Close()
	if got := tr.Stats().Watchers; got != 0 {
		t.Errorf("%d watchers after Close, want 0", got)
	}

	// Failures alone are published too.
	tr.Apply(&Op{Action: Delete, Key: "/none"}, t0)
	if got := tr.Stats().DeleteFail; got != 1 {
		t.Errorf("%d failed deletes before Publish, want 1", got)
	}
	tr.Publish()
	if got := tr.Stats().DeleteFail; got != 2 {
		t.Errorf("%d failed deletes, want 2", got)
	}
}

func TestPublishHidesUntilThen(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/a", Value: "1"})
	old := tr.View()
	if _, err := tr.Apply(&Op{Action: Set, Key: "/a", Value: "2"}, t0); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Apply(&Op{Action: Set, Key: "/b"}, t0); err != nil {
		t.Fatal(err)
	}
	if got := dump(tr.View()); got != "/a=1" || tr.View().Index() != 1 {
		t.Errorf("before Publish: %s at %d", got, tr.View().Index())
	}
	tr.Publish()
	if got := dump(tr.View()); got != "/a=2 /b=" || tr.View().Index() != 3 || tr.View().Len() != 2 {
		t.Errorf("after Publish: %s at %d", got, tr.View().Index())
	}
	if got := dump(old); got != "/a=1" || old.Index() != 1 || old.Len() != 1 {
		t.Errorf("the old view has changed: %s at %d", got, old.Index())
	}
}

func TestFiles(t *testing.T) {
	tr := New()
	for _, key := range []string{"/a/x", "/a-b", "/b", "/_h/x", "/a/_y"} {
		must(t, tr, Op{Action: Set, Key: key, Value: key[1:]})
	}
	must(t, tr, Op{Action: Set, Key: "/d", Dir: true})
	collect := func(from string, most int) (keys []string) {
		for key, n := range tr.View().Files(from) {
			if n.Value != key[1:] {
				t.Errorf("%s has value %q", key, n.Value)
			}
			if keys = append(keys, key); len(keys) == most {
				break
			}
		}
		return keys
	}
	for _, tt := range []struct {
		from string
		most int
		want []string
	}{
		{"", 9, []string{"/_h/x", "/a-b", "/a/_y", "/a/x", "/b"}},
		{"/a/", 2, []string{"/a/_y", "/a/x"}},
		{"/a/x", 1, []string{"/a/x"}},
		{"/c", 9, nil},
	} {
		if got := collect(tt.from, tt.most); !slices.Equal(got, tt.want) {
			t.Errorf("from %q: %q, want %q", tt.from, got, tt.want)
		}
	}
}
