// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// counts are what a node counts for WriteMetrics beside what it knows anyway. The zero
// value is ready.
type counts struct {
	proposals    atomic.Uint64 // begun
	answered     atomic.Uint64 // of those, ended
	notProposed  atomic.Uint64 // ended without having been written to the log
	unknown      atomic.Uint64 // ended with an unknown outcome
	entries      atomic.Uint64 // log entries made of them
	forwarded    atomic.Uint64 // of the proposals, carried out by another node that leads
	commit       Histogram     // from handing such an entry to raft to its result
	confirm      Histogram     // confirmations of leadership, each for all who waited
	confirmFails atomic.Uint64

	applied    atomic.Uint64 // log entries given to the state machine
	apply      Histogram     // batches of them
	fsmRestore Histogram

	snapshot      Histogram // writing one, from the tree to the disk
	snapshotFails atomic.Uint64
	snapshotBytes atomic.Int64 // size of the last one, by this process or before
	snapshotIndex atomic.Uint64

	candidacies   atomic.Uint64
	leaderChanges atomic.Uint64
	lostContacts  atomic.Uint64
}

// ended counts the end of a proposal.
func (c *counts) ended(err error) {
	c.answered.Add(1)
	switch {
	case err == nil:
	case errors.Is(err, ErrNotProposed):
		c.notProposed.Add(1)
	default:
		c.unknown.Add(1)
	}
}

// observer returns a raft observer that counts. It takes nothing: the filter is called
// by raft at the moment of the change, and needs no goroutine.
func (c *counts) observer() *raft.Observer {
	return raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		switch data := o.Data.(type) {
		case raft.RaftState:
			if data == raft.Candidate {
				c.candidacies.Add(1)
			}
		case raft.LeaderObservation:
			if data.LeaderID != "" {
				c.leaderChanges.Add(1)
			}
		case raft.FailedHeartbeatObservation:
			c.lostContacts.Add(1)
		}
		return false
	})
}

// nodeFSM is the node's state machine as raft sees it, with its times taken. It applies only
// what is on this node's disk.
type nodeFSM struct {
	raft.BatchingFSM
	node *Node
}

// ApplyBatch applies entries once this node has them on its disk; see aheadLog.
func (m nodeFSM) ApplyBatch(logs []*raft.Log) []any {
	if err := m.node.ahead.waitDurable(lastOf(logs)); err != nil {
		m.node.fsm.Halt(err)
	}
	start := time.Now()
	responses := m.BatchingFSM.ApplyBatch(logs)
	m.node.counts.apply.Observe(time.Since(start))
	m.node.counts.applied.Add(uint64(len(logs)))
	m.node.transport.committed()
	return responses
}

func (m nodeFSM) Restore(r io.ReadCloser) error {
	start := time.Now()
	err := m.BatchingFSM.Restore(r)
	if err == nil {
		m.node.counts.fsmRestore.Observe(time.Since(start))
	}
	return err
}

func (m nodeFSM) Snapshot() (raft.FSMSnapshot, error) {
	s, err := m.BatchingFSM.Snapshot()
	if err != nil {
		return nil, err
	}
	return meteredSnapshot{s, &m.node.counts}, nil
}

type meteredSnapshot struct {
	raft.FSMSnapshot
	counts *counts
}

func (m meteredSnapshot) Persist(sink raft.SnapshotSink) error {
	start := time.Now()
	err := m.FSMSnapshot.Persist(sink)
	if err == nil {
		m.counts.snapshot.Observe(time.Since(start))
	}
	return err
}

// WriteMetrics adds to page what the node counts and measures. The metrics, and what
// their names promise, are those of docs/metrics.md. It waits for nothing but short
// locks, and costs less than a millisecond.
func (n *Node) WriteMetrics(page *MetricsPage) {
	n.writeRaft(page)
	n.writeProposals(page)
	n.writeLog(page)
	view, stats := n.tree.View(), n.tree.Stats()
	n.writeTree(page, view, &stats)
	n.writeEtcd(page, &stats)
}

// writeRaft tells what raft knows of itself.
func (n *Node) writeRaft(p *MetricsPage) {
	_, leader := n.raft.LeaderWithID()
	leads := n.raft.State() == raft.Leader
	p.Gauge("confd_raft_has_leader", "1 if this node knows a leader, else 0.", flag(leader != ""))
	p.Gauge("confd_raft_is_leader", "1 if this node leads, else 0.", flag(leads))
	p.Gauge("confd_raft_term", "Raft's term.", n.RaftTerm())
	p.Gauge("confd_raft_last_index", "Index of the last entry in the log.", n.raft.LastIndex())
	p.Gauge("confd_raft_commit_index", "Index of the last entry known to be committed.", n.committed())
	p.Gauge("confd_raft_applied_index", "Index of the last entry applied to the tree.", n.RaftIndex())
	p.Counter("confd_raft_applied_entries_total", "Log entries applied to the tree since the start; after a restart the log is applied again.", n.counts.applied.Load())
	p.Begin("gauge", "confd_raft_servers", "Servers of raft's configuration, by their vote.")
	servers, _ := n.servers() // none after raft has stopped
	voters := countVoters(servers)
	p.Uint(`vote="yes"`, uint64(voters))
	p.Uint(`vote="no"`, uint64(len(servers)-voters))
	p.Begin("gauge", "confd_raft_last_contact_seconds", "Time since this node heard of its leader; 0 on the leader, and before there was one.")
	p.Seconds("", n.lastContact(leads))
	p.Counter("confd_raft_candidacies_total", "How often this node has stood for election.", n.counts.candidacies.Load())
	p.Counter("confd_raft_leader_changes_total", "How often this node has seen a leader begin.", n.counts.leaderChanges.Load())
	p.Counter("confd_raft_lost_contacts_total", "Heartbeats to other nodes that failed.", n.counts.lostContacts.Load())
	p.Counter("confd_raft_appends_received_total", "Requests of a leader to store entries, heartbeats included.", n.transport.received.Load())
	p.Begin("histogram", "confd_raft_append_duration_seconds", "Requests to other nodes to store entries, heartbeats included, from sending to the answer.")
	p.Histogram("", &n.transport.appends)
	p.Counter("confd_raft_append_failures_total", "Such requests without an answer.", n.transport.failures.Load())
	p.Begin("histogram", "confd_raft_apply_duration_seconds", "Applying one batch of committed entries to the tree, watchers told.")
	p.Histogram("", &n.counts.apply)
	p.Begin("histogram", "confd_raft_restore_duration_seconds", "Reading a snapshot into the tree.")
	p.Histogram("", &n.counts.fsmRestore)
}

// lastContact returns the time since the leader was heard of.
func (n *Node) lastContact(leads bool) time.Duration {
	last := n.raft.LastContact()
	if leads || last.IsZero() {
		return 0
	}
	return time.Since(last)
}

// writeProposals tells what becomes of the operations that are given to this node.
func (n *Node) writeProposals(p *MetricsPage) {
	// In this order: what has been answered was begun before.
	answered := n.counts.answered.Load()
	begun := n.counts.proposals.Load()
	p.Counter("confd_proposals_total", "Operations given to this node to write to the log.", begun)
	p.Counter("confd_proposals_forwarded_total", "Operations that another node, which leads, carried out for this one.", n.counts.forwarded.Load())
	p.Gauge("confd_proposals_pending", "Operations that wait for their result.", begun-answered)
	p.Begin("counter", "confd_proposals_failed_total", "Operations without a result: not written to the log, or of unknown outcome. A refused compare is a result.")
	p.Uint(`outcome="not_proposed"`, n.counts.notProposed.Load())
	p.Uint(`outcome="unknown"`, n.counts.unknown.Load())
	p.Counter("confd_proposal_entries_total", "Log entries made of operations; operations per entry is what one fsync was shared by.", n.counts.entries.Load())
	p.Begin("histogram", "confd_proposal_commit_duration_seconds", "One such entry, from handing it to raft to its results: fsync, replication, applying.")
	p.Histogram("", &n.counts.commit)
	p.Begin("histogram", "confd_read_confirm_duration_seconds", "One confirmation of leadership, which all linearizable reads that wait share.")
	p.Histogram("", &n.counts.confirm)
	p.Counter("confd_read_confirm_failures_total", "Confirmations that failed.", n.counts.confirmFails.Load())
}

// writeLog tells of the log and the snapshots.
func (n *Node) writeLog(p *MetricsPage) {
	p.Begin("histogram", "confd_log_write_duration_seconds", "One write to the log with its fsync.")
	p.Histogram("", &n.logs.writes)
	p.Gauge("confd_log_entries", "Entries in the log.", n.logs.entries())
	p.Counter("confd_log_written_bytes_total", "Bytes written to the log, without its framing.", n.logs.written.Load())
	p.Begin("histogram", "confd_snapshot_duration_seconds", "Writing one snapshot to the disk; writes go on meanwhile.")
	p.Histogram("", &n.counts.snapshot)
	p.Counter("confd_snapshot_failures_total", "Snapshots that could not be taken; the log grows until one succeeds.", n.counts.snapshotFails.Load())
	p.Gauge("confd_snapshot_size_bytes", "Size of the last snapshot; 0 if there is none.", uint64(n.counts.snapshotBytes.Load()))
	p.Gauge("confd_snapshot_index", "Index of the last entry in the last snapshot.", n.counts.snapshotIndex.Load())
}

// writeTree tells of the keys.
func (n *Node) writeTree(p *MetricsPage, view *tree.View, stats *tree.Stats) {
	p.Gauge("confd_tree_index", "The store's index, X-Etcd-Index.", view.Index())
	p.Gauge("confd_tree_keys", "Keys and directories.", uint64(view.Len()))
	p.Gauge("confd_tree_bytes", "Length of all keys and values together.", uint64(view.Bytes()))
	p.Begin("counter", "confd_tree_operations_total", "Operations on the tree, equal on all nodes and kept across restarts; refused ones by action too.")
	for _, o := range operations(stats) {
		p.Uint(`action="`+o.action+`",result="done"`, o.success)
		p.Uint(`action="`+o.action+`",result="refused"`, o.fail)
	}
	p.Begin("counter", "confd_tree_reads_total", "Reads of keys answered by this node, by whether the key was there.")
	p.Uint(`result="found"`, stats.GetsSuccess)
	p.Uint(`result="refused"`, stats.GetsFail)
	p.Counter("confd_tree_expired_keys_total", "Keys whose time to live has ended.", stats.ExpireCount)
	p.Gauge("confd_watchers", "Open watches, long polls and streams.", stats.Watchers)
	p.Counter("confd_watchers_cut_off_total", "Streams ended because their reader was too far behind.", n.tree.CutOff())
}

type operation struct {
	action        string
	success, fail uint64
}

// operations returns the counters of the writing operations.
func operations(s *tree.Stats) []operation {
	return []operation{
		{"set", s.SetsSuccess, s.SetsFail},
		{"create", s.CreateSuccess, s.CreateFail},
		{"update", s.UpdateSuccess, s.UpdateFail},
		{"compareAndSwap", s.CompareAndSwapSuccess, s.CompareAndSwapFail},
		{"delete", s.DeleteSuccess, s.DeleteFail},
		{"compareAndDelete", s.CompareAndDeleteSuccess, s.CompareAndDeleteFail},
	}
}

// writeEtcd repeats some of it under the names by which etcd's dashboards and alerts
// look for it.
func (n *Node) writeEtcd(p *MetricsPage, stats *tree.Stats) {
	_, leader := n.raft.LeaderWithID()
	answered := n.counts.answered.Load()
	p.Gauge("etcd_server_has_leader", "As confd_raft_has_leader.", flag(leader != ""))
	p.Gauge("etcd_server_is_leader", "As confd_raft_is_leader.", flag(n.raft.State() == raft.Leader))
	p.Counter("etcd_server_leader_changes_seen_total", "As confd_raft_leader_changes_total.", n.counts.leaderChanges.Load())
	p.Gauge("etcd_server_proposals_committed_total", "As confd_raft_commit_index.", n.committed())
	p.Gauge("etcd_server_proposals_applied_total", "As confd_raft_applied_index.", n.RaftIndex())
	p.Gauge("etcd_server_proposals_pending", "As confd_proposals_pending.", n.counts.proposals.Load()-answered)
	p.Counter("etcd_server_proposals_failed_total", "The sum of confd_proposals_failed_total.", n.counts.notProposed.Load()+n.counts.unknown.Load())
	p.Begin("histogram", "etcd_disk_wal_fsync_duration_seconds", "As confd_log_write_duration_seconds: here write and fsync are one.")
	p.Histogram("", &n.logs.writes)
	p.Gauge("etcd_debugging_store_watchers", "As confd_watchers.", stats.Watchers)
	p.Counter("etcd_debugging_store_expires_total", "As confd_tree_expired_keys_total.", stats.ExpireCount)
	p.Begin("counter", "etcd_debugging_store_reads_total", "As confd_tree_reads_total, found; recursive ones are not told apart.")
	p.Uint(`action="get"`, stats.GetsSuccess)
	p.Begin("counter", "etcd_debugging_store_reads_failed_total", "As confd_tree_reads_total, refused.")
	p.Uint(`action="get"`, stats.GetsFail)
	p.Begin("counter", "etcd_debugging_store_writes_total", "As confd_tree_operations_total, done.")
	for _, o := range operations(stats) {
		p.Uint(`action="`+o.action+`"`, o.success)
	}
	p.Begin("counter", "etcd_debugging_store_writes_failed_total", "As confd_tree_operations_total, refused.")
	for _, o := range operations(stats) {
		p.Uint(`action="`+o.action+`"`, o.fail)
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
