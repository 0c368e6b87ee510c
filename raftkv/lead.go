// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"confd/raftkv/fsm"
)

// metaClusterID is the metadata key of the cluster's id.
const metaClusterID = "cluster-id"

// leadRetry is how soon a leader that could not get ready tries again.
const leadRetry = time.Second

// leadLoop follows this node's leadership. A leader is ready when it has applied an
// entry of its own term: only then has it all that earlier leaders acknowledged.
func (n *Node) leadLoop() {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case leads := <-n.raft.LeaderCh():
			n.lead.Store(nil)
			n.stuck.Store(0)
			retry.Stop()
			if !leads {
				continue
			}
		case <-retry.C:
		case <-n.closing:
			return
		}
		if err := n.beginToLead(); err != nil {
			// Raft may go on leading, as after a disk that was slow for a while.
			n.log.Warn("leadership was not taken up yet", "err", err)
			retry.Reset(leadRetry)
		}
	}
}

// leadership is what a leader knows about itself once it is ready.
type leadership struct {
	term  uint64
	since time.Time
	alone atomic.Bool // no other node votes, nor has one been asked to; see Node.confirmedAlone
}

func (n *Node) beginToLead() error {
	since := n.cfg.Now()
	term := n.raft.CurrentTerm()
	barrier := n.raft.Barrier(0)
	if err := barrier.Error(); err != nil {
		n.watchTransfer(err)
		return fmt.Errorf("applying the log: %w", err)
	}
	if b, ok := barrier.(interface{ Index() uint64 }); ok {
		n.fsm.Advance(b.Index())
	}
	n.clock.seed(n.fsm.Clock())
	if err := n.agreeOnCluster(term); err != nil {
		return fmt.Errorf("writing the cluster's id: %w", err)
	}
	if err := n.initClusterConfig(term); err != nil {
		return fmt.Errorf("writing the cluster's configuration: %w", err)
	}
	if err := n.register(term); err != nil {
		return fmt.Errorf("writing the node's own record: %w", err)
	}
	l := &leadership{term: term, since: since}
	l.alone.Store(n.votesAlone())
	n.lead.Store(l)
	n.log.Info("leading", "term", term, "index", n.fsm.Applied(), "cluster", n.ClusterID(), "took", n.cfg.Now().Sub(since))
	n.wakeReconcile()
	n.readers.retry()
	return nil
}

// agreeOnCluster writes the id of a new cluster into its log, and the one in the log into
// the data directory: before the log is read, it is what a node knows its cluster by.
func (n *Node) agreeOnCluster(term uint64) error {
	if _, ok := n.fsm.Meta(metaClusterID); !ok {
		id := n.ClusterID()
		if id == "" {
			id = randomID()
		}
		if err := n.setMetaHere(n.ctx, metaClusterID, nil, []byte(id), term); err != nil {
			return err
		}
	}
	id, _ := n.fsm.Meta(metaClusterID)
	err := n.setCluster(string(id))
	if errors.Is(err, ErrOtherCluster) {
		n.fail(damaged(filepath.Join(n.dir.path, "cluster"), fmt.Errorf("it says %q, and the log says %q", n.ClusterID(), id)))
	}
	return err
}

// expireLoop proposes an entry when a key expires and no other entry comes along to
// remove it. It does nothing while no key has a time to live.
func (n *Node) expireLoop() {
	// precision bounds how late a key goes when the wall clock has been set forward.
	const precision = 500 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-n.fsm.ExpiryChanged():
		case <-n.closing:
			return
		}
		timer.Stop()
		next := n.fsm.NextExpiry()
		if next == 0 {
			continue
		}
		wait := time.Duration(next - n.clock.read())
		if wait <= 0 {
			if n.lead.Load() != nil {
				n.expire()
			}
			wait = precision // ExpiryChanged tells of a change before
		}
		timer.Reset(min(wait, precision))
	}
}

func (n *Node) expire() {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout)
	defer cancel()
	if _, err := n.proposeHere(ctx, fsm.Op{}, 0); err != nil && n.lead.Load() != nil {
		n.log.Warn("expiring keys", "err", err)
	}
}
