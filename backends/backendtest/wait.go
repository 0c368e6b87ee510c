// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func testUnknownIndex(t *testing.T, h Harness) {
	snap := snapshot(t, h.Backend, "/")
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	if err := h.Backend.Wait(ctx, []string{"/"}, snap.Index+1000); err != nil {
		t.Errorf("Wait with an index that no snapshot had: got %v, want nil", err)
	}
}

func testEndedContext(t *testing.T, h Harness) {
	snap := snapshot(t, h.Backend, "/")
	returned := make(chan error, 1)
	go func() {
		for range 100 { // it may return without cause, but not every time
			if err := h.Backend.Wait(ended(), []string{"/"}, snap.Index); err != nil {
				returned <- err
				return
			}
		}
		returned <- nil
	}()
	select {
	case err := <-returned:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Wait with an ended context, called 100 times while nothing changes: got %v, want %v", err, context.Canceled)
		}
	case <-time.After(Limit):
		t.Fatal("Wait with an ended context blocks")
	}
}

func testBlocks(t *testing.T, h Harness) {
	for range 20 { // it may return without cause, but not every time
		snap := snapshot(t, h.Backend, "/")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := h.Backend.Wait(ctx, []string{"/"}, snap.Index)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if err != nil {
			t.Fatalf("Wait: got %v, want nil or %v", err, context.DeadlineExceeded)
		}
	}
	t.Error("Wait has returned 20 times, though nothing changes")
}

func testOldIndex(t *testing.T, h Harness) {
	must(t, h.Set("/app/a", "1"))
	until(t, h.Backend, content{"/app/a": "1"}, "/app")
	old := snapshot(t, h.Backend, "/app").Index
	must(t, h.Set("/app/a", "2"))
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	if err := h.Backend.Wait(ctx, []string{"/app"}, old); err != nil {
		t.Fatalf("Wait after a change: %v", err)
	}
	until(t, h.Backend, content{"/app/a": "2"}, "/app")
	if !news(t, h.Backend, old, "/app") {
		t.Error("the old index is no longer old")
	}
	if !news(t, h.Backend, old, "/app/a") {
		t.Error("the old index is not old for a narrower prefix")
	}
}

func testWake(t *testing.T, h Harness) {
	for i := range 20 {
		before := snapshot(t, h.Backend, "/app")
		ctx, cancel := context.WithTimeout(t.Context(), Limit)
		woken := make(chan error, 1)
		go func() { woken <- h.Backend.Wait(ctx, []string{"/app"}, before.Index) }()
		if i%2 == 1 { // let it begin to wait, sometimes
			pause(ctx, 5*time.Millisecond)
		}
		must(t, h.Set("/app/a", fmt.Sprint(i)))
		if err := <-woken; err != nil {
			t.Fatalf("Wait during change %d: %v", i, err)
		}
		cancel()
		until(t, h.Backend, content{"/app/a": fmt.Sprint(i)}, "/app")
	}
}

func testSibling(t *testing.T, h Harness) {
	set(t, h, around)
	until(t, h.Backend, around.under("/app", "/other"), "/app", "/other")
	snap := snapshot(t, h.Backend, "/app", "/other")
	for i := range 10 {
		must(t, h.Set("/other/app/up", fmt.Sprint(i)))
	}
	until(t, h.Backend, content{"/other/app/up": "9"}, "/other")
	if news(t, h.Backend, snap.Index, "/app") {
		t.Error("a change under \"/other\" is news for \"/app\"")
	}
	if !news(t, h.Backend, snap.Index, "/other") {
		t.Error("a change under \"/other\" is no news for it")
	}
}

// testRace writes at random while followers of several prefixes take their time. In the
// end each must hold what the store holds.
func testRace(t *testing.T, h Harness) {
	model := make(content)
	for round := range 5 {
		race(t, h, model, fmt.Sprint(round))
	}
}

func race(t *testing.T, h Harness, model content, round string) {
	var mu sync.Mutex
	over := false // guarded by mu; once it is set, model does not change

	ctx, cancel := context.WithCancel(t.Context())
	var followers sync.WaitGroup
	defer followers.Wait()
	defer func() {
		if t.Failed() {
			cancel()
		}
	}()
	for _, prefixes := range [][]string{{"/race"}, {"/race/a"}, {"/race/b", "/race/c/k1"}, {"/race/c"}} {
		followers.Go(func() {
			done := func(c content) bool {
				mu.Lock()
				defer mu.Unlock()
				return over && maps.Equal(c, model.under(prefixes...))
			}
			got, ok := follow(ctx, h.Backend, prefixes, slow(ctx, 5*time.Millisecond), done)
			if !ok && ctx.Err() == nil {
				t.Errorf("under %q an update is lost: got %v, want %v", prefixes, got, model.under(prefixes...))
			}
		})
	}
	for i := range 100 {
		key := fmt.Sprintf("/race/%c/k%d", 'a'+rune(rand.N(3)), rand.N(5))
		if _, ok := model[key]; ok && rand.N(3) == 0 {
			delete(model, key)
			must(t, h.Delete(key))
		} else {
			model[key] = fmt.Sprintf("%s.%d", round, i)
			must(t, h.Set(key, model[key]))
		}
		if rand.N(10) == 0 {
			pause(ctx, rand.N(3*time.Millisecond))
		}
	}
	// The last writes tell this round's end state from all before.
	ends := []string{"/race/a/end", "/race/b/end", "/race/c/end"}
	mu.Lock()
	for _, key := range ends {
		model[key] = round
	}
	over = true
	mu.Unlock()
	for _, key := range ends {
		must(t, h.Set(key, round))
	}
	followers.Wait()
	cancel()
}

func testManyWaiters(t *testing.T, h Harness) {
	const waiters = 100
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	prefix := func(i int) string { return fmt.Sprintf("/many/%02d", i%10) }
	for i := range waiters {
		all.Go(func() {
			arrived := func(c content) bool { return c[prefix(i)+"/end"] == "yes" }
			got, ok := follow(ctx, h.Backend, []string{prefix(i)}, idle, arrived)
			if !ok && ctx.Err() == nil {
				t.Errorf("under %q: got %v, want \"end\" too", prefix(i), got)
			}
		})
	}
	for i := range 10 {
		must(t, h.Set(prefix(i)+"/begin", "yes"))
	}
	for i := range 10 {
		must(t, h.Set(prefix(i)+"/end", "yes"))
	}
	all.Wait()
}

// testHistoryCleared makes more changes than the store remembers, twice: unseen, and
// with somebody waiting for a key that does not change until the end.
func testHistoryCleared(t *testing.T, h Harness) {
	const changes = 1200 // the history of the v2 API is 1000
	set(t, h, content{"/app/a": "1", "/noise": "0"})
	until(t, h.Backend, content{"/app/a": "1"}, "/app")
	before := snapshot(t, h.Backend, "/app")
	must(t, h.Set("/app/a", "2"))
	for i := range changes {
		must(t, h.Set("/noise", fmt.Sprint(i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	if err := h.Backend.Wait(ctx, []string{"/app"}, before.Index); err != nil {
		t.Fatalf("Wait after %d changes: %v", changes, err)
	}
	until(t, h.Backend, content{"/app/a": "2"}, "/app")

	arrived := make(chan bool, 1)
	go func() {
		_, ok := follow(t.Context(), h.Backend, []string{"/app"}, idle, func(c content) bool { return c["/app/a"] == "3" })
		arrived <- ok
	}()
	for i := range changes {
		must(t, h.Set("/noise", fmt.Sprint("again", i)))
	}
	must(t, h.Set("/app/a", "3"))
	if !<-arrived {
		t.Errorf("a change after %d others is lost", changes)
	}
}
