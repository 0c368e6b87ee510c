// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package tree is the key space of the store: etcd's v2 tree of files and
// directories, with its index, time to live, event history and watches, in memory.
//
// It knows no clock, goroutine, log, network or raft. The time is an argument, and
// the one writer (the state machine) calls Apply, Expire and Publish.
//
//	e, err := t.Apply(op, now) // once for each operation of a batch
//	t.Publish()                // once a batch
//	b, err := t.View().AppendGet(nil, "/app", true, now)
//
// # Model
//
// Every key is an entry, by its full path, in a copy-on-write B-tree. A Node is one
// version of a key and never changes. Publish makes what the writer did visible at
// once: readers hold a View, which is one point in time and needs no lock.
//
// A View has the history too, so that what was read and what happened before it are
// one. Publish stores the new view and tells the watchers under one lock, the view
// first. So who is told finds the change; and who has read a view and then asks for
// what comes after it, by Watch or Wait, is either told from the history or is
// registered before the next change. Nothing falls between.
//
// # Decisions
//
// The semantics are those of etcd 3.4 with its v2 API, and so are the bytes of answers,
// but for these of its faults: a stream sees the removal of its key once; a stream
// from a past index goes on with later events, none lost or repeated; the history
// hides hidden nodes as live watches do, and compares keys by component; the update of
// a directory changes its modifiedIndex; a failed compareAndDelete counts as failed,
// and a set below a file counts once. Listings are always in byte order.
//
// Strings are escaped as encoding/json of this Go does. Builds of etcd with Go before
// 1.22 write \u0008 and \u000c for \b and \f, which reads the same.
//
// Expired nodes go in order of (time, key): etcd leaves the order of equal times open,
// but replicas must agree. A time to live too large for the clock ends in 2262.
//
// The last 1000 events are kept, and fewer if they hold more than 32 MiB of keys and
// values, where a value counts in the event that set it and in the one that replaced it;
// else a thousand writes of a large value would fill the memory. The newest one is kept
// whatever its size. The history is part of a snapshot, so that waitIndex has the same
// answer on all replicas; nothing but that depends on it, so releases with other bounds
// can be members of one cluster.
//
// The history does not know which keys went with a directory. From it, the removal of
// a directory is told to watchers of all keys below it; live, only to those of keys
// that were there.
//
// The B-tree is our own. Beside github.com/tidwall/btree, which stood in its place, keys that come in
// order or near each other, as from a snapshot, a log or a script, take a third of the time
// and half of the memory, and others no more (BenchmarkKeyTree). Its nodes have one size,
// that of an allocation without loss: larger ones cost memory and time for the copies.
//
// Snapshots are framed, each frame with its length and the checksum of all so far: a
// damaged one is found before it is believed, and it can stand in a larger stream.
package tree

// A Node is one version of a key. It is immutable.
type Node struct {
	Value    string
	Created  uint64 // index of the operation that made the key
	Modified uint64 // index of the operation that made this version
	Expires  int64  // Unix time in nanoseconds; 0 if permanent
	Dir      bool
	plain    bool // Value is known to need no escape in JSON; it takes no memory beside Dir
}
