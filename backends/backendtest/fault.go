// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"
)

func testWipe(t *testing.T, h Harness) {
	want := make(content)
	for i := range 50 {
		want[fmt.Sprintf("/app/k%02d", i)] = "old"
	}
	set(t, h, want)
	until(t, h.Backend, want, "/app")
	old := snapshot(t, h.Backend, "/app")

	must(t, h.Wipe())
	must(t, h.Set("/app/k00", "new")) // an index far below that of old
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	// The store may be out of reach for a moment; that too is an answer.
	if err := h.Backend.Wait(ctx, []string{"/app"}, old.Index); ctx.Err() != nil {
		t.Fatalf("Wait after the store was replaced: %v", err)
	}
	until(t, h.Backend, content{"/app/k00": "new"}, "/app")
	must(t, h.Set("/app/k01", "new"))
	until(t, h.Backend, content{"/app/k00": "new", "/app/k01": "new"}, "/app")
}

// testWipeSameIndex replaces the store by one with the same number of changes, so that
// no index tells them apart.
func testWipeSameIndex(t *testing.T, h Harness) {
	fill := func(value string) content {
		c := make(content)
		for i := range 10 {
			key := fmt.Sprintf("/app/k%d", i)
			c[key] = value
			must(t, h.Set(key, value))
		}
		return c
	}
	until(t, h.Backend, fill("old"), "/app")
	done := make(chan bool, 1)
	want := maps.Collect(maps.All(content{"/app/k9": "new"}))
	go func() {
		_, ok := follow(t.Context(), h.Backend, []string{"/app"}, idle, func(c content) bool { return c["/app/k9"] == want["/app/k9"] })
		done <- ok
	}()
	must(t, h.Wipe())
	all := fill("new")
	if !<-done {
		t.Error("the new store is not seen")
	}
	until(t, h.Backend, all, "/app")
}

func testDownAtStart(t *testing.T, h Harness) {
	must(t, h.Set("/app/a", "1"))
	must(t, h.Stop())
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if snap, err := h.Backend.Snapshot(ctx, []string{"/app"}); err == nil {
		t.Fatalf("Snapshot while the store is down: got %v, want an error", read(snap.Keys))
	}
	must(t, h.Start())
	until(t, h.Backend, content{"/app/a": "1"}, "/app")
	must(t, h.Set("/app/a", "2"))
	until(t, h.Backend, content{"/app/a": "2"}, "/app")
}

func testDownBetween(t *testing.T, h Harness) {
	must(t, h.Set("/app/a", "0"))
	until(t, h.Backend, content{"/app/a": "0"}, "/app")
	for i := 1; i <= 3; i++ {
		done := make(chan content, 1)
		go func() {
			got, _ := follow(t.Context(), h.Backend, []string{"/app"}, idle, func(c content) bool { return c["/app/a"] == fmt.Sprint(i) })
			done <- got
		}()
		must(t, h.Stop())
		pause(t.Context(), 50*time.Millisecond) // some attempts fail
		must(t, h.Start())
		must(t, h.Set("/app/a", fmt.Sprint(i)))
		if got := <-done; got["/app/a"] != fmt.Sprint(i) {
			t.Fatalf("after %d times down: got %v, want value %d", i, got, i)
		}
	}
}

func testCut(t *testing.T, h Harness) {
	want := make(content)
	for i := range 20 {
		key := fmt.Sprintf("/app/k%d", i%5)
		want[key] = fmt.Sprint(i)
		done := make(chan content, 1)
		go func() {
			got, _ := follow(t.Context(), h.Backend, []string{"/app"}, idle, func(c content) bool { return c[key] == fmt.Sprint(i) })
			done <- got
		}()
		if i%2 == 0 {
			pause(t.Context(), 5*time.Millisecond)
		}
		must(t, h.Cut())
		must(t, h.Set(key, want[key]))
		if i%3 == 0 {
			must(t, h.Cut())
		}
		if got := <-done; got[key] != want[key] {
			t.Fatalf("after cut %d: got %v, want %q = %q", i, got, key, want[key])
		}
	}
	until(t, h.Backend, want, "/app")
}
