// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package backends says what a source of values promises to the renderer.
//
// Each source is a package below this one; only the program's main package names them.
package backends

import (
	"context"
	"iter"
	"time"
)

// A Backend is a source of values. Its methods may be called concurrently.
//
// Snapshot and Wait are two halves of one promise: no change is lost between them. A
// snapshot holds every change up to its Index, and Wait with that Index returns as
// soon as something after it is known. Wait says that something may have changed,
// never what; it may return without cause, and it must return when it cannot tell, as
// after a lost history, a reconnect, or a store that was restored or replaced. So the
// one right answer to Wait is another Snapshot. Snapshots of one Backend never go back
// in time, unless the store itself did.
type Backend interface {
	// Snapshot reads all keys under the prefixes, at one point in time where the
	// source has one. It fails if the source cannot be read whole: a part is never
	// passed off as the whole.
	Snapshot(ctx context.Context, prefixes []string) (Snapshot, error)

	// Wait blocks until the keys under the prefixes may differ from the snapshot with
	// this index. What is known already counts before the state of ctx does: called
	// with a ctx that has ended, Wait tells whether there is news (nil) or not
	// (ctx's error) without blocking. It fails when ctx ends or the source cannot
	// be reached.
	//
	// The prefixes of Wait lie within those of the Snapshot that the index is from.
	Wait(ctx context.Context, prefixes []string, index uint64) error
}

// A Reporter is a Backend that goes on with the last values while its source is away, and
// can tell. What it tells is for people to look at: it changes nothing of the promise.
type Reporter interface {
	// Outage returns since when changes may have been missed, and why; the zero time
	// while the source is there. It may be called concurrently and does not block.
	Outage() (since time.Time, err error)
}

// A Snapshot is the state of some prefixes at one point in time.
type Snapshot struct {
	Keys  Keys
	Index uint64 // for Wait; compare it only for equality
}

// Keys is an immutable set of keys and their values, in byte order of the keys. Keys
// are absolute ("/a/b"). It may be read concurrently, and is shared, never copied.
type Keys interface {
	// Get returns the value of a key, and whether it exists. O(log n).
	Get(key string) (string, bool)

	// From iterates over the keys from the first that is not below key, in byte
	// order. O(log n) to start.
	From(key string) iter.Seq2[string, string]

	// Under returns the keys under the prefixes only: a key that equals one, or lies
	// below it by whole components ("/a" holds "/a" and "/a/b", not "/ab"; "/" holds
	// everything). Costs nothing per key.
	Under(prefixes []string) Keys
}
