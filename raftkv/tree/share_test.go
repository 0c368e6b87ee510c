// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"slices"
	"testing"
)

// stream returns a stream of everything.
func stream(t *testing.T, tr *Tree) *Watcher {
	t.Helper()
	w, err := tr.Watch("/", true, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// has returns the indices of the events that a watcher holds, and whether it has ended.
func has(w *Watcher) (got []uint64, ended bool) {
	for {
		select {
		case e, ok := <-w.C:
			if !ok {
				return got, true
			}
			got = append(got, e.Index())
		default:
			return got, false
		}
	}
}

// write makes n events.
func write(t *testing.T, tr *Tree, n int) {
	t.Helper()
	for range n {
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	tr.Publish()
}

// TestShare: a stream that joins another has what came before, the other one what comes, and
// one that is split off what the other has not delivered. All of them are counted.
func TestShare(t *testing.T) {
	tr := New()
	feed := stream(t, tr)
	write(t, tr, 2)
	w := stream(t, tr)
	write(t, tr, 2)
	index, ok := w.Join(feed)
	if !ok || index != 4 {
		t.Fatalf("joined %v at %d", ok, index)
	}
	if got, ended := has(w); !ended || !slices.Equal(got, []uint64{3, 4}) {
		t.Errorf("the one that has joined has %d, ended %v", got, ended)
	}
	write(t, tr, 1)
	if got := tr.Stats().Watchers; got != 2 {
		t.Errorf("%d watchers, want 2", got)
	}
	one := feed.Split()
	write(t, tr, 1)
	for name, w := range map[string]*Watcher{"the feed": feed, "the one split off": one} {
		if got, ended := has(w); ended || !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6}) {
			t.Errorf("%s has %d, ended %v", name, got, ended)
		}
	}
	if got := tr.Stats().Watchers; got != 2 {
		t.Errorf("%d watchers after the split, want 2", got)
	}
	told := 0
	feed.Notify(func() { told++ })
	if last := feed.Split(); last != feed {
		t.Error("who stands for itself alone was split")
	}
	if write(t, tr, 1); told != 0 {
		t.Error("it still tells of events")
	}
	one.Close()
	feed.Close()
	if got := tr.Stats().Watchers; got != 0 {
		t.Errorf("%d watchers are left", got)
	}
}

// TestShareEnded: nobody joins, or is split off, what has ended; who was cut off with others
// counts as all of them.
func TestShareEnded(t *testing.T) {
	tr := New()
	feed, w, late := stream(t, tr), stream(t, tr), stream(t, tr)
	if _, ok := w.Join(feed); !ok {
		t.Fatal("not joined")
	}
	if _, ok := w.Join(feed); ok {
		t.Error("what has ended has joined")
	}
	for range streamBuffer {
		write(t, tr, 1)
		<-late.C
	}
	write(t, tr, 1)
	if got := tr.CutOff(); got != 2 {
		t.Errorf("%d were cut off, want 2", got)
	}
	if _, ok := late.Join(feed); ok {
		t.Error("joined what has ended")
	}
	if feed.Split() != nil {
		t.Error("split off what has ended")
	}
	if got := tr.Stats().Watchers; got != 1 {
		t.Errorf("%d watchers, want 1", got)
	}
}

// TestAhead: who waits for an index that is to come does not see what others do.
func TestAhead(t *testing.T) {
	tr := New()
	write(t, tr, 3)
	for since, want := range map[uint64]bool{0: false, 2: false, 3: false, 4: false, 5: true} {
		w, err := tr.Watch("/a", false, true, since)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Ahead(); got != want {
			t.Errorf("since %d: %v", since, got)
		}
	}
}

// TestShareThePast: who has more of the past than a stream may be behind can be split, too.
func TestShareThePast(t *testing.T) {
	tr := New()
	const past = streamBuffer + 100
	write(t, tr, past)
	feed, err := tr.Watch("/a", false, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := tr.Watch("/a", false, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if index, ok := w.Join(feed); !ok || index != past {
		t.Fatalf("joined %v at %d", ok, index)
	}
	one := feed.Split()
	for range streamBuffer {
		write(t, tr, 1)
	}
	if got, ended := has(one); ended || len(got) != past+streamBuffer {
		t.Errorf("%d events, ended %v", len(got), ended)
	}
}
