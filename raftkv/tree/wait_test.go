// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

// changed is Wait as a test.
func changed(tr *Tree, index uint64, prefixes ...string) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return tr.Wait(ctx, prefixes, index) == nil
}

func TestWaitAsTest(t *testing.T) {
	tr := New()
	if changed(tr, 0, "/") {
		t.Error("an empty tree has changed")
	}
	must(t, tr, Op{Action: Set, Key: "/d/x"}, Op{Action: Set, Key: "/e/_h"}, Op{Action: Set, Key: "/f"},
		Op{Action: Set, Key: "/f", Refresh: true})
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf("/many/%d", i)
	}
	for _, tt := range []struct {
		index    uint64
		prefixes []string
		want     bool
	}{
		{0, []string{"/d"}, true},
		{0, []string{"d//x/"}, true},
		{0, []string{"/n", "/d/x"}, true},
		{0, []string{"/d/x/y"}, false},
		{0, nil, false},
		{1, []string{"/d"}, false},
		{1, []string{"/e"}, false},
		{1, []string{"/e/_h"}, true},
		{2, []string{"/"}, true},
		{3, []string{"/"}, false}, // a refresh
		{4, []string{"/"}, false},
		{5, []string{"/n"}, true}, // not known here
		{0, many, false},
		{0, append([]string{"/e/_h"}, many...), true},
		{0, append([]string{"/e"}, many...), false},
		{0, append([]string{"/"}, many...), true},
		{3, append([]string{"/"}, many...), false},
	} {
		if got := changed(tr, tt.index, tt.prefixes...); got != tt.want {
			t.Errorf("after %d under %.60q: %v, want %v", tt.index, tt.prefixes, got, tt.want)
		}
	}
	must(t, tr, Op{Action: Delete, Key: "/d", Recursive: true})
	if !changed(tr, 4, append([]string{"/d/x"}, many...)...) || !changed(tr, 4, "/d/x") {
		t.Error("a removed directory is not seen below it")
	}
	for range historyLen {
		must(t, tr, Op{Action: Set, Key: "/f"})
	}
	if !changed(tr, 4, "/n") { // 5 is no longer there
		t.Error("a lost history is not told")
	}
	if changed(tr, 5, "/n") {
		t.Error("the oldest event is taken for lost")
	}
}

func TestWaitBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New()
		must(t, tr, Op{Action: Set, Key: "/d/x"}, Op{Action: Set, Key: "/_h"})
		done := make(map[string]error)
		var mu sync.Mutex
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		for _, prefix := range []string{"/", "/d", "/d/x", "/d/n", "/e", "/_h"} {
			wg.Go(func() {
				err := tr.Wait(ctx, []string{"/unused", prefix, "/" + prefix}, 2)
				mu.Lock()
				defer mu.Unlock()
				done[prefix] = err
			})
		}
		expect := func(n int, prefixes ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, p := range prefixes {
				if err, ok := done[p]; !ok || err != nil {
					t.Errorf("Wait under %q: %v, returned %v", p, err, ok)
				}
			}
			if len(done) != n {
				t.Errorf("%d have returned, want %d: %v", len(done), n, done)
			}
		}
		expect(0)
		must(t, tr, Op{Action: Set, Key: "/_h"})
		expect(1, "/_h")
		if _, err := tr.Apply(&Op{Action: Delete, Key: "/d", Recursive: true}, t0); err != nil {
			t.Fatal(err)
		}
		expect(1) // not before Publish
		tr.Publish()
		expect(4, "/", "/d", "/d/x") // and not /d/n, which was not there
		cancel()
		wg.Wait()
		if !errors.Is(done["/e"], context.Canceled) || !errors.Is(done["/d/n"], context.Canceled) {
			t.Errorf("after cancel: %v", done)
		}
		if len(tr.hub.spots) != 0 {
			t.Errorf("%d spots are left", len(tr.hub.spots))
		}
	})
}

func TestWaitEndsByRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New()
		must(t, tr, Op{Action: Set, Key: "/d/x"}, Op{Action: Set, Key: "/e"})
		var b bytes.Buffer
		if _, err := tr.Snapshot().WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		w := watch(t, tr, "/", true, true, 0)
		var wg sync.WaitGroup
		for _, prefixes := range [][]string{{"/none"}, {"/d", "/e"}, nil} {
			wg.Go(func() {
				if err := tr.Wait(context.Background(), prefixes, 2); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := tr.Restore(&b); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if got := seen(w); got != "end" {
			t.Errorf("watcher saw %q", got)
		}
		w.Close()
		if !changed(tr, 1, "/none") {
			t.Error("what was before the restore is told")
		}
		if changed(tr, 2, "/") {
			t.Error("the restored state has changed")
		}
		must(t, tr, Op{Action: Set, Key: "/e"})
		if !changed(tr, 1, "/none") || changed(tr, 2, "/none") {
			t.Error("the next change makes what was before the restore known")
		}
		if len(tr.hub.spots) != 0 || tr.Stats().Watchers != 0 {
			t.Errorf("%d spots are left", len(tr.hub.spots))
		}
	})
}

// A hookContext runs hook when Wait asks for its error, which is between the first look
// at the history and the registration. It has ended after that, so that a Wait that
// missed what hook did fails.
type hookContext struct {
	context.Context
	end  context.CancelFunc
	hook func() // nil once it ran
}

func (c *hookContext) Err() error {
	if c.hook == nil {
		return c.Context.Err()
	}
	c.hook()
	c.hook = nil
	c.end()
	return nil
}

// What happens between the first look and the registration.
func TestWaitLooksAgain(t *testing.T) {
	tr := New()
	must(t, tr, Op{Action: Set, Key: "/a"})
	data := bytesOf(t, tr)
	for name, hook := range map[string]func(){
		"set": func() { must(t, tr, Op{Action: Set, Key: "/a"}) },
		"restore": func() {
			if err := tr.Restore(bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
		},
	} {
		if err := tr.Restore(bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := tr.Wait(&hookContext{ctx, cancel, hook}, []string{"/a"}, 1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who is told finds the change.
func TestViewBeforeNews(t *testing.T) {
	tr := New()
	for range 2000 { // to make telling take long
		watch(t, tr, "/a", false, true, 0)
	}
	w := watch(t, tr, "/a", false, true, 0)
	var wg sync.WaitGroup
	wg.Go(func() {
		for e := range w.C {
			if got := tr.View().Index(); got < e.Index() {
				t.Errorf("told of %d at %d", e.Index(), got)
			}
		}
	})
	for range 90 {
		must(t, tr, Op{Action: Set, Key: "/a"})
	}
	w.Close()
	wg.Wait()
}

// No change may be lost between a View and the Wait that follows, whoever comes first.
func TestWaitLosesNothing(t *testing.T) {
	const writes = 3000
	tr := New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key := fmt.Sprintf("/%d", i%2)
			prefixes := []string{key, "/x"}
			for last := 0; last < writes; {
				v := tr.View()
				if n, err := v.Get(key); err == nil {
					fmt.Sscan(n.Value, &last)
				}
				if last == writes {
					return
				}
				if err := tr.Wait(t.Context(), prefixes, v.Index()); err != nil {
					t.Errorf("lost the change after %d: %v", last, err)
					return
				}
				// As a test it must say the same, as the view is from before.
				if !changed(tr, v.Index(), prefixes...) {
					t.Errorf("woken at %d for nothing", v.Index())
					return
				}
			}
		})
	}
	for i := 1; i <= writes; i++ {
		for k := range 2 {
			op := &Op{Action: Set, Key: fmt.Sprintf("/%d", k), Value: fmt.Sprint(i)}
			if _, err := tr.Apply(op, t0); err != nil {
				t.Fatal(err)
			}
			if (i+k)%3 == 0 {
				tr.Publish()
			}
		}
	}
	tr.Publish()
	wg.Wait()
}
