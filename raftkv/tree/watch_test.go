// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// seen returns what lies in a watcher's channel as "action key@index", and " end" if it
// is closed.
func seen(w *Watcher) string {
	var all []string
	for {
		select {
		case e, ok := <-w.C:
			if !ok {
				return strings.Join(append(all, "end"), " ")
			}
			all = append(all, fmt.Sprintf("%s %s@%d", e.Action, e.Key, e.Index()))
		default:
			return strings.Join(all, " ")
		}
	}
}

func watch(t *testing.T, tr *Tree, key string, recursive, stream bool, since uint64) *Watcher {
	t.Helper()
	w, err := tr.Watch(key, recursive, stream, since)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Each row is looked at live and in the history, one-shot and as a stream.
func TestWatchRules(t *testing.T) {
	// There when the watch begins, at index 4.
	setup := []Op{
		{Action: Set, Key: "/d/x"}, {Action: Set, Key: "/d/_h/y"}, {Action: Set, Key: "/dd/x"},
		{Action: Set, Key: "/_h/x"},
	}
	set := func(key string) Op { return Op{Action: Set, Key: key} }
	tests := []struct {
		name      string
		key       string
		recursive bool
		op        Op // index 5
		want      bool
		history   bool // want there, if not the same
	}{
		{"the key", "/d/x", false, set("/d/x"), true, true},
		{"a missing key", "/n/m", false, set("/n/m"), true, true},
		{"another key", "/d/x", false, set("/d/xx"), false, false},
		{"child, not recursive", "/d", false, set("/d/x"), false, false},
		{"child", "/d", true, set("/d/x"), true, true},
		{"far below", "/d", true, set("/d/a/b/c"), true, true},
		{"component-wise", "/d", true, set("/dd/x"), false, false},
		{"parents made on the way", "/n", false, set("/n/m"), false, false},
		{"below the root", "/", true, set("/d/x"), true, true},
		{"the root, not recursive", "/", false, set("/x"), false, false},
		{"recursive on a file", "/d/x", true, set("/d/x"), true, true},
		{"same value", "/d/x", false, Op{Action: Update, Key: "/d/x"}, true, true},
		{"refresh", "/d/x", false, Op{Action: Set, Key: "/d/x", Refresh: true, TTL: 5, HasTTL: true}, false, false},
		{"refused", "/d/x", false, Op{Action: Create, Key: "/d/x"}, false, false},
		{"in order", "/q", true, Op{Action: Create, Key: "/q", InOrder: true}, true, true},

		{"hidden child", "/d", true, set("/d/_n"), false, false},
		{"below hidden", "/d", true, set("/d/_h/y"), false, false},
		{"hidden from the root", "/", true, set("/_h/x"), false, false},
		{"hidden key itself", "/_h/x", false, set("/_h/x"), true, true},
		{"inside hidden", "/d/_h", true, set("/d/_h/y"), true, true},
		{"hidden inside hidden", "/d/_h", true, set("/d/_h/_z"), false, false},
		{"underscore within a name", "/d", true, set("/d/a_b"), true, true},

		{"deleted", "/d/x", false, Op{Action: Delete, Key: "/d/x"}, true, true},
		{"deleted below", "/d", true, Op{Action: Delete, Key: "/d/x"}, true, true},
		{"compare and delete", "/d/x", false, Op{Action: CompareAndDelete, Key: "/d/x"}, true, true},
		{"directory deleted", "/d", false, Op{Action: Delete, Key: "/d", Recursive: true}, true, true},
		{"directory above deleted", "/d/x", false, Op{Action: Delete, Key: "/d", Recursive: true}, true, true},
		{"directory above deleted, recursive", "/d/_h", true, Op{Action: Delete, Key: "/d", Recursive: true}, true, true},
		{"directory above deleted, hidden", "/d/_h/y", false, Op{Action: Delete, Key: "/d", Recursive: true}, true, true},
		// The history does not know what existed.
		{"directory above deleted, no key", "/d/n", false, Op{Action: Delete, Key: "/d", Recursive: true}, false, true},
		{"other directory deleted", "/dd/x", false, Op{Action: Delete, Key: "/d", Recursive: true}, false, false},
		{"hidden directory deleted", "/d", true, Op{Action: Delete, Key: "/d/_h", Recursive: true}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := New()
			must(t, tr, setup...)
			once := watch(t, tr, tt.key, tt.recursive, false, 0)
			stream := watch(t, tr, tt.key+"/", tt.recursive, true, 0)
			waitable := func(index uint64) bool { return tr.View().changed([]string{tt.key}, index) }

			live, _ := tr.Apply(&tt.op, t0)
			tr.Publish()
			want := ""
			if tt.want {
				want = fmt.Sprintf("%s %s@5", live.Action, live.Key)
			}
			if got := strings.TrimSuffix(seen(once), " end"); got != want {
				t.Errorf("one-shot saw %q, want %q", got, want)
			}
			if got := seen(stream); got != want {
				t.Errorf("stream saw %q, want %q", got, want)
			}
			if once.Start != 4 || stream.Start != 4 {
				t.Errorf("started at %d and %d, want 4", once.Start, stream.Start)
			}

			if live == nil {
				return
			}
			if want = ""; tt.history {
				want = fmt.Sprintf("%s %s@5", live.Action, live.Key)
			}
			if got := strings.TrimSuffix(seen(watch(t, tr, tt.key, tt.recursive, false, 5)), " end"); got != want {
				t.Errorf("one-shot from the history saw %q, want %q", got, want)
			}
			if got := seen(watch(t, tr, tt.key, tt.recursive, true, 5)); got != want {
				t.Errorf("stream from the history saw %q, want %q", got, want)
			}
			if tt.recursive && waitable(4) != tt.history {
				t.Errorf("changed is %v, want %v", !tt.history, tt.history)
			}
		})
	}
}

func TestWatchExpire(t *testing.T) {
	tr := New()
	must(t, tr,
		Op{Action: Set, Key: "/d", Dir: true, TTL: 1, HasTTL: true}, Op{Action: Set, Key: "/d/x"})
	var all []*Watcher
	for _, key := range []string{"/d", "/d/x", "/"} {
		all = append(all, watch(t, tr, key, true, true, 0))
	}
	none := watch(t, tr, "/d/n", true, true, 0)
	tr.Expire(t0 + second)
	tr.Publish()
	for _, w := range all {
		if got, want := seen(w), "expire /d@3"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := seen(none); got != "" {
		t.Errorf("a key that was not there: %q", got)
	}
}

// Both ways of finding who waits below a directory that goes.
func TestWatchBelowRemoved(t *testing.T) {
	for _, n := range []int{1, 3, 40} {
		tr := New()
		var all []*Watcher
		for i := range 20 {
			key := fmt.Sprintf("/d/%d", i)
			if i < n {
				must(t, tr, Op{Action: Set, Key: key})
			}
		}
		for i := 20; i < n; i++ {
			must(t, tr, Op{Action: Set, Key: fmt.Sprintf("/d/%d", i)})
		}
		must(t, tr, Op{Action: Set, Key: "/d-x/0"})
		for i := range 20 {
			all = append(all, watch(t, tr, fmt.Sprintf("/d/%d", i), i%2 == 0, i%3 == 0, 0))
		}
		beside := watch(t, tr, "/d-x/0", false, true, 0)
		e := must(t, tr, Op{Action: Delete, Key: "/d", Recursive: true})
		for i, w := range all {
			want := ""
			if i < n {
				want = fmt.Sprintf("delete /d@%d", e.Index())
			}
			if got := strings.TrimSuffix(seen(w), " end"); got != want {
				t.Errorf("%d keys: watcher %d saw %q, want %q", n, i, got, want)
			}
			w.Close()
		}
		if got := seen(beside); got != "" {
			t.Errorf("%d keys: beside saw %q", n, got)
		}
		beside.Close()
		if len(tr.hub.spots) != 0 || tr.hub.watchers != 0 {
			t.Errorf("%d spots, %d watchers are left", len(tr.hub.spots), tr.hub.watchers)
		}
	}
}

func TestWatchSince(t *testing.T) {
	tr := New()
	for range 3 {
		must(t, tr, Op{Action: Set, Key: "/a"}, Op{Action: Set, Key: "/b"})
	}
	future := watch(t, tr, "/a", false, false, 9)
	past := watch(t, tr, "/a", false, true, 3)
	if got, want := seen(watch(t, tr, "/a", false, false, 2)), "set /a@3 end"; got != want {
		t.Errorf("one-shot saw %q, want %q", got, want)
	}
	if got, want := seen(past), "set /a@3 set /a@5"; got != want {
		t.Errorf("stream saw %q, want %q", got, want)
	}
	must(t, tr, Op{Action: Set, Key: "/a"}, Op{Action: Set, Key: "/b"})
	if got := seen(future); got != "" {
		t.Errorf("watch from 9 saw %q", got)
	}
	if got, want := seen(past), "set /a@7"; got != want {
		t.Errorf("stream went on with %q, want %q", got, want)
	}
	must(t, tr, Op{Action: Delete, Key: "/a"})
	if got, want := seen(past), "delete /a@9"; got != want {
		t.Errorf("stream went on with %q, want %q", got, want)
	}
	if got, want := seen(future), "delete /a@9 end"; got != want {
		t.Errorf("watch from 9 saw %q, want %q", got, want)
	}
	past.Close()
	if got := seen(past); got != "end" {
		t.Errorf("after Close: %q", got)
	}
}

func TestWatchCleared(t *testing.T) {
	tr := New()
	if w := watch(t, tr, "/a", false, false, 1); w.Start != 0 { // the first event ever
		t.Errorf("started at %d", w.Start)
	}
	for range 1005 {
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	_, err := tr.Watch("/a", false, true, 5)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	want := `{"errorCode":401,"message":"The event in requested index is outdated and cleared","cause":"the requested history has been cleared [6/5]","index":1005}`
	if got := string(AppendError(nil, e)); got != want {
		t.Errorf("got %s", got)
	}
	// More than the buffer may lie in the past, and a hundred after that.
	w := watch(t, tr, "/a", false, true, 6)
	for range 100 {
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	next := uint64(6)
	for range 1100 {
		if e := <-w.C; e.Index() != next {
			t.Fatalf("got %d, want %d", e.Index(), next)
		}
		next++
	}
}

func TestWatchSlow(t *testing.T) {
	tr := New()
	slow, fast := watch(t, tr, "/a", false, true, 0), watch(t, tr, "/a", false, true, 0)
	for i := range streamBuffer + 50 {
		must(t, tr, Op{Action: Set, Key: "/a"})
		if e := <-fast.C; e.Index() != uint64(i+1) {
			t.Fatalf("fast saw %d, want %d", e.Index(), i+1)
		}
	}
	n := 0
	for range slow.C {
		n++
	}
	if n != streamBuffer {
		t.Errorf("slow saw %d events, want %d", n, streamBuffer)
	}
	if got := tr.Stats().Watchers; got != 1 {
		t.Errorf("%d watchers, want 1", got)
	}
}

// Ending watchers while telling others must not skip any.
func TestWatchManyAtOnce(t *testing.T) {
	tr := New()
	var all []*Watcher
	for i := range 100 {
		all = append(all, watch(t, tr, "/a", i%2 == 0, i%3 == 0, 0))
	}
	all[17].Close()
	must(t, tr, Op{Action: Set, Key: "/a"})
	for i, w := range all {
		want := "set /a@1"
		if i%3 != 0 {
			want += " end"
		}
		if i == 17 {
			want = "end"
		}
		if got := seen(w); got != want {
			t.Errorf("watcher %d saw %q, want %q", i, got, want)
		}
	}
}

func TestHistoryIsBoundedInBytes(t *testing.T) {
	tr := New()
	value := strings.Repeat("x", historyBytes/8-100)
	for range 8 {
		must(t, tr, Op{Action: Set, Key: "/a", Value: value})
		if tr.history.gone > historySlack {
			t.Errorf("%d bytes of dropped events are held", tr.history.gone)
		}
	}
	// Each event but the first has the value twice, before and after.
	if got := len(tr.View().events); got != 4 {
		t.Errorf("%d events, want 4", got)
	}
	if got, want := tr.View().oldest(), uint64(5); got != want {
		t.Errorf("oldest is %d, want %d", got, want)
	}
}

// TestHistoryHoldsSmallEvents: values of a few kilobytes do not make it shorter.
func TestHistoryHoldsSmallEvents(t *testing.T) {
	tr := New()
	value := strings.Repeat("x", historyBytes/historyLen/2-10)
	for range historyLen + 10 {
		must(t, tr, Op{Action: Set, Key: "/a", Value: value})
	}
	if got := len(tr.View().events); got != historyLen {
		t.Errorf("%d events, want %d", got, historyLen)
	}
}

// TestStreamTakesAFullEntry publishes at once as many events as a log entry can hold.
func TestStreamTakesAFullEntry(t *testing.T) {
	tr := New()
	w, err := tr.Watch("/", true, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	const ops = 512
	for i := range ops {
		if _, err := tr.Apply(&Op{Action: Set, Key: fmt.Sprintf("/k%d", i)}, t0); err != nil {
			t.Fatal(err)
		}
	}
	tr.Publish()
	for i := range ops {
		if e, ok := <-w.C; !ok || e.Index() != uint64(i+1) {
			t.Fatalf("event %d: %v", i+1, ok)
		}
	}
}

// TestNotify: a watcher tells of each event, of its end, and of what was there before.
func TestNotify(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/a", Value: "1"})
	tr.Publish()
	told := 0
	count := func() { told++ }
	past, err := tr.Watch("/a", false, true, 1)
	if err != nil {
		t.Fatal(err)
	}
	past.Notify(count)
	if told != 1 {
		t.Errorf("told %d times of an event of the past", told)
	}
	past.Close()
	if told != 2 {
		t.Errorf("told %d times after the end, want 2", told)
	}
	past.Notify(count)
	if told != 3 {
		t.Errorf("told %d times by a watcher that has ended, want 3", told)
	}
	for _, stream := range []bool{false, true} {
		w, err := tr.Watch("/a", false, stream, 0)
		if err != nil {
			t.Fatal(err)
		}
		told = 0
		w.Notify(count)
		if told != 0 {
			t.Error("told of nothing")
		}
		must(t, tr, Op{Action: Set, Key: "/other"}, Op{Action: Set, Key: "/a", Value: "2"})
		tr.Publish()
		if told != 1 {
			t.Errorf("stream %v: told %d times of one event", stream, told)
		}
		w.Close()
	}
	slow, err := tr.Watch("/a", false, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	told = 0
	slow.Notify(count)
	for range streamBuffer + 1 {
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	tr.Publish()
	if told != streamBuffer+1 {
		t.Errorf("told %d times of %d events and the end", told, streamBuffer)
	}
}
