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
// What Do has acknowledged is on the disks of a majority, the leader's among them; a crash
// loses none of it. The
// owner must watch Failed and end the process when it closes.
//
// # Reading
//
// View is this node's own copy. Linearizable returns one that holds everything
// acknowledged before the call, by asking the other nodes, not by writing. A lone node
// needs neither: what Do has acknowledged is in its View; and so it is on the node that was
// asked, whichever that is. A node that was just started has an old copy, until Ready.
//
// A process that only looks once uses OpenReader. The store of a node that was always alone
// is then read without raft; see aloneReader.
//
// # Any node
//
// Every node takes writes and confirms reads. One that does not lead asks the leader, over
// the peer port, and answers when its own tree has the result. Without a leader, Do and
// Linearizable wait for one and give up after Config.Timeout; View, and watches of the
// tree, go on.
//
//	Do ─► queue ─► batch ─┬─► this node leads:  raft log ─► majority ─► tree ─► answer
//	                      └─► another one does: frame ─► its queue ─► … ─► own tree ─► answer
//
// # Members
//
// The registry (Members, AddMember, UpdateMember, RemoveMember) says who belongs to the
// cluster and by which URLs it is reached; raft's configuration says who gets the log and
// who votes. reconcile, on the leader, has the second follow the first: a new member gets
// the log, and a vote when it has caught up and there are fewer than ClusterConfig's
// ActiveSize; further ones stand by, and do all the same but vote. A voter that is silent
// for RemoveDelay loses its vote to a standby and stands by when it comes back. No step is
// taken that those who are left could not go on without. A member that was added and has
// not started is known and nothing more, so to add one is never dangerous, other than
// with etcd.
//
// People know a node by its name, raft and the registry by a random id that is made with
// the data directory: a machine that was wiped is another node. A new node joins under a
// name and at an address that nobody else has, and only if the leader reaches it there. A
// node with data restarts from that alone, at whatever address: it tells the others.
//
// # Assumptions
//
// Disks: fsync makes data durable or fails, and so does fdatasync. A write that fails, or hangs for longer
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
// Networks: may lose, delay, repeat and reorder. Connections between nodes begin with a
// hello that names the cluster's id, 64 random bits, which keeps strays and mistakes out.
// It is no secret: the API tells it. So without Config.PeerTLS, which asks both sides for
// certificates, whoever reaches the peer port can join, and write to the log. Addresses may
// change, ids do not.
//
// # Decisions
//
//   - Operations that arrive together travel in one log entry (up to 512, or 1 MiB), and
//     one entry is on its way at a time: an fsync is what a write costs, so it is shared.
//     What is larger travels alone, in chunks of 512 KiB, so that no entry blocks heartbeats
//     for long; what comes to the same node after it waits for it.
//   - After a write that was slow, those who have been answered get a tenth of that time to
//     come back before the next is written; see gather.
//   - A leader has entries on their way to the others while it writes them to its own disk, so
//     that a write takes as long as the slower of two disks. What raft believes committed
//     reaches nobody before the leader has it on its disk. See aheadLog.
//   - Writes are forwarded, not redirected: a client needs to reach one node only, and the
//     operations of many share one frame. The leader sends the result back, rather than
//     have the follower find it when it applies the entry: a follower that is sent a
//     snapshot meanwhile never applies it.
//   - A batch is forwarded once, and what was not written is tried again at the next leader.
//   - An operation of unknown outcome is never repeated here: a POST would count twice.
//   - The only voter does not wait for an election timeout, it stands for election as
//     soon as it has read its log. So a lone node starts in milliseconds.
//   - Open waits for an entry of the node's own term to be applied, since before that a
//     node cannot know that it has everything.
//   - The only rule for snapshots is ours, by entries and by bytes; raft's own counts
//     entries. How much log is kept behind a snapshot is bounded by bytes too.
//   - A node whose log is long beside its store takes a snapshot when it is closed, which
//     takes no longer than half of StallTimeout, so that the next start need not apply the log.
//   - Raft's store of snapshots removes none: an old one goes bit by bit, beside all else, and
//     stays whole for a follower that it is sent to. See snapshotRemover.
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
//     That alone would find a dead leader late; see pulse.
//   - A read is confirmed by asking for terms, not by raft's VerifyLeader; see confirmTerm.
//   - Nothing is read by lease: LeaderLeaseTimeout is when a leader steps down, by its own
//     clock, and no promise that nobody else leads before.
//   - Members make room by losing their vote, not their membership as in etcd 0.4: nothing
//     has to be wiped and joined again, and the data they have is of use.
//   - To be removed is learnt from a committed entry or from another member, never from a
//     configuration in the log, which may not be committed (hashicorp/raft#524).
//   - TLS begins below the first byte that tells raft from HTTP, so one certificate check
//     covers both. It is a matter of the connection's goroutine, never of Accept.
//   - With certificates on both sides there are no session tickets: a resumed session would
//     outlive the change of an authority.
//   - Pipelining is off. CommitTimeout, after which raft tells followers of commits for lack
//     of other news, is 250 ms, since a nudge has told them; at 50 ms the requests without
//     news were half of what an idle leader did. The other defaults of raft are kept.
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
