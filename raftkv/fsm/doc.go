// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package fsm is the state machine of the store: it feeds committed log entries to a
// tree and makes and restores snapshots.
//
// A log entry is a batch of operations with the clock of the node that proposed it;
// AppendBatch writes one and Batch.Decode reads it. An FSM given the same entries is
// in the same state everywhere, to the byte: it asks no clock, no random source, no
// order of a map and no environment.
//
//	f := fsm.New(tree.New(), func(err error) { … the node must stop … })
//	r, err := raft.NewRaft(conf, f, …)
//	future := r.Apply(fsm.AppendBatch(nil, now, ops), 0)
//	results := future.Response().([]fsm.Result)
//
// # Time
//
// The machine's clock is the latest of the clocks in its entries, and part of the
// snapshot, so it never runs backwards, whichever node proposes. Each entry first
// removes what has expired by then and then carries out its operations at that time.
// Nothing here judges a clock: a rule that refuses a leap would need a second clock,
// and the entries of a machine that was off for a week look the same as those of one
// whose clock was set wrong. The proposer, which can count the time that has passed,
// checks its own clock before it writes it down.
//
// # Decisions
//
//   - An entry that cannot be read stops the machine, and nothing after it is applied:
//     another replica may understand it, so to skip it is to differ from then on. There
//     is no panic; the owner is told and ends the process with the message.
//   - A refused operation (compare failed, not a file) is a Result and changes nothing.
//   - The version stands before the checksum, so that a newer format can be told from
//     a damaged one.
//   - All entries of one call of ApplyBatch become visible together.
//   - Chunks of large entries are collected by go-raftchunking, with a storage of our
//     own (see chunkStorage), and are part of the snapshot.
//   - A snapshot's head (clock, metadata, chunks) carries a checksum of its own and
//     stands before the tree's part, which ends in one. So the head is known to be good
//     before the tree is replaced, and the tree is replaced as a whole or not at all.
package fsm
