// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"confd/backends"
)

// content is the keys of a snapshot and their values.
type content map[string]string

func read(keys backends.Keys) content { return maps.Collect(keys.From("")) }

// under returns the part of c under the prefixes.
func (c content) under(prefixes ...string) content {
	part := make(content)
	for key, value := range c {
		for _, p := range prefixes {
			if backends.Within(key, p) {
				part[key] = value
			}
		}
	}
	return part
}

// snapshot reads the backend, which must succeed.
func snapshot(t *testing.T, b backends.Backend, prefixes ...string) backends.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	defer cancel()
	snap, err := b.Snapshot(ctx, prefixes)
	if err != nil {
		t.Fatalf("Snapshot(%q): %v", prefixes, err)
	}
	return snap
}

// follow does what a renderer does, snapshot, work, wait, until done is content with
// a snapshot. Errors make it start again. It reports false if that takes longer than
// Limit, and then what it has read last.
func follow(ctx context.Context, b backends.Backend, prefixes []string, work func(), done func(content) bool) (content, bool) {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	var last content
	for ctx.Err() == nil {
		snap, err := b.Snapshot(ctx, prefixes)
		if err == nil {
			if last = read(snap.Keys); done(last) {
				return last, true
			}
			work()
			err = b.Wait(ctx, prefixes, snap.Index)
		}
		if err != nil {
			pause(ctx, 10*time.Millisecond)
		}
	}
	return last, false
}

// until follows the prefixes until they hold exactly want.
func until(t *testing.T, b backends.Backend, want content, prefixes ...string) {
	t.Helper()
	equal := func(c content) bool { return maps.Equal(c, want) }
	if got, ok := follow(t.Context(), b, prefixes, idle, equal); !ok {
		t.Fatalf("under %q after %v: got %v, want %v", prefixes, Limit, got, want)
	}
}

// idle is no work.
func idle() {}

// slow returns work that takes up to d.
func slow(ctx context.Context, d time.Duration) func() {
	return func() { pause(ctx, rand.N(d)) }
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ended returns a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// news reports whether Wait knows of a change, without blocking.
func news(t *testing.T, b backends.Backend, index uint64, prefixes ...string) bool {
	t.Helper()
	err := b.Wait(ended(), prefixes, index)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait with an ended context: got %v, want nil or %v", err, context.Canceled)
	}
	return err == nil
}

// must fails the test if the harness could not do something.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
}

// set sets all of c.
func set(t *testing.T, h Harness, c content) {
	t.Helper()
	for key, value := range c {
		must(t, h.Set(key, value))
	}
}
