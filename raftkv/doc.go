// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package raftkv is one node of the store: a tree of keys (package tree), kept the same
// on every node by hashicorp/raft, durable in a data directory.
//
//	node, err := raftkv.Open(ctx, raftkv.Config{
//		Name:     "a",
//		DataDir:  "/var/lib/confd",
//		PeerAddr: "127.0.0.1:7001",
//	})
//	…
//	event, err := node.Do(ctx, &tree.Op{Action: tree.Set, Key: "/app/port", Value: "80"})
//
// What Do has acknowledged is on the disk; a crash loses none of it. The owner must
// watch Failed and end the process when it closes.
//
// # Reading
//
// View is this node's own copy. Linearizable returns one that holds everything
// acknowledged before the call, by asking the other nodes who leads, not by writing.
// A lone node needs neither: what Do has acknowledged is in its View.
//
// # Members
//
// The registry (Members, AddMember, UpdateMember, RemoveMember) says who belongs to the
// cluster and by which URLs it is reached; raft's configuration says who votes. A node
// writes its own record when it leads. A member that was added and has not started is
// known and nothing more: it does not vote, nobody waits for it, and a lone node with any
// number of them goes on as before. So to add one is never dangerous, other than with
// etcd, where a second member that is only on paper stops a cluster of one. The only
// member that has started cannot be removed.
//
// # Assumptions
//
// Disks: fsync makes data durable or fails. A write that fails, or hangs for longer
// than Config.StallTimeout, ends the node, because a failed fsync cannot be repeated.
// Overwriting part of a file does not damage the rest of it (raft-wal's assumption). A
// write cut short by a crash is found by its checksum and taken back; it was not
// acknowledged. Damage to anything else is found when the node starts, which it then does
// not (ErrDamaged), or while it runs by the checksum of each entry when it is applied,
// which stops it. Two things cannot be found. If a node is killed, and all is damaged that
// it has written within about the last second, from some write on, this looks like a write
// that was cut short; see logMeta. And files that are put back from an older time are taken
// for what they say.
//
// Clocks: no promise but the expiry of keys depends on a clock. Time for keys never
// runs backwards, goes on when the wall clock is set back, and does not follow a leap
// of more than a day at once; see clock.
//
// Networks: may lose, delay, repeat and reorder; connections to the peer port are taken
// as those of members, unless Config.PeerTLS asks for certificates. Addresses may change,
// ids do not.
//
// # Decisions
//
//   - Operations that arrive together travel in one log entry (up to 512, or 256 KiB), and
//     one entry is on its way at a time: an fsync is what a write costs, so it is shared.
//     An operation above 512 KiB travels alone, in chunks of that size, so that no entry
//     blocks heartbeats for long.
//   - An operation of unknown outcome is never repeated here: a POST would count twice.
//   - The only voter does not wait for an election timeout, it stands for election as
//     soon as it has read its log. So a lone node starts in milliseconds.
//   - Open waits for an entry of the node's own term to be applied, since before that a
//     node cannot know that it has everything.
//   - The only rule for snapshots is ours, by entries and by bytes; raft's own counts
//     entries. How much log is kept behind a snapshot is bounded by bytes too.
//   - Files of the log are 16 MiB, not raft-wal's 64 MiB: they are made at full size, and
//     whole files are what a snapshot frees.
//   - Term and vote are in a file of our own, replaced as a whole; see stableStore. So is
//     the list of the log's files, in place of raft-wal's bbolt; see logMeta.
//   - All of the log and of the newest snapshot is read for its checksums before a node
//     starts. Raft reads it again anyway, and the log is bounded. See logCheck and
//     snapshotStore for what their owners leave unchecked.
//   - A restored or recovered store has a new cluster id, and its index leaps ahead; see
//     Restore and Recovery.Run.
//   - A backup is not raft's snapshot on the disk: it would be written twice, and cut the log.
//   - RestoreCommittedLogs stays off. In raft 1.8.0 it loses the configuration and can
//     hang; to apply the log again after a restart is what an election does anyway.
//   - Heartbeats go through raft's main loop; see transport. The price is that a disk
//     that stalls delays them too, so the election timeout should not be under a second.
//   - TLS begins below the first byte that tells raft from HTTP, so one certificate check
//     covers both. It is a matter of the connection's goroutine, never of Accept.
//   - With certificates on both sides there are no session tickets: a resumed session would
//     outlive the change of an authority.
//   - Pipelining is off, and CommitTimeout and the other defaults of raft are kept.
//   - Removing a member writes one record, removed/ID, that overrules its record member/ID,
//     since two writes could be torn apart. An id never comes back, so neither do these go.
//   - What a node was started with wins over what UpdateMember has said about it, the next
//     time it leads.
//   - Raft's telemetry goes to a global object of the process, which cannot tell nodes
//     apart and may be somebody else's. So it is left alone, and WriteMetrics tells the
//     same facts from where they arise: state machine, log, transport, observers.
//   - Histograms are our own: those of VictoriaMetrics/metrics have buckets that
//     Prometheus itself cannot read, and its types are switched on for a whole process.
//   - Raft's Info messages are Debug here. What people need to know the node says itself.
package raftkv
