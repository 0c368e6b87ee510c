// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/tree"
)

// readers are the callers of Linearizable that wait for the next round.
type readers struct {
	wake  chan struct{} // capacity one; somebody waits
	again chan struct{} // capacity one; the leader may have changed
	alone atomic.Bool   // the last round found no leader

	mu      sync.Mutex
	waiting []*reader
}

// A reader is one caller.
type reader struct {
	done chan error // capacity one
	ctx  context.Context
}

func newReaders() *readers {
	return &readers{wake: make(chan struct{}, 1), again: make(chan struct{}, 1)}
}

// retry has a round that found no leader begin anew.
func (r *readers) retry() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

// Linearizable returns a view that holds every operation acknowledged, by any node,
// before the call. It writes nothing to the log: the leader has the other nodes confirm
// its place, once for all callers that wait at the same time, on any node. While there is
// no leader it waits for one, for as long as Config.Timeout.
//
// The only voter has nobody to ask, so it answers at once.
func (n *Node) Linearizable(ctx context.Context) (*tree.View, error) {
	if n.confirmedAlone(ctx) {
		return n.tree.View(), nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	r := &reader{make(chan error, 1), ctx}
	n.readers.mu.Lock()
	n.readers.waiting = append(n.readers.waiting, r)
	n.readers.mu.Unlock()
	select {
	case n.readers.wake <- struct{}{}:
	default:
	}
	select {
	case err := <-r.done:
		if err != nil {
			return nil, err
		}
		return n.tree.View(), nil
	case <-ctx.Done():
		if n.readers.alone.Load() {
			return nil, notProposed(fmt.Errorf("confirming leadership: %w", ErrNoLeader))
		}
		return nil, fmt.Errorf("confirming leadership: %w", context.Cause(ctx))
	case <-n.failed:
		return nil, ErrFailed
	case <-n.closing:
		return nil, ErrClosed
	}
}

// LinearizableNow is Linearizable as far as that need not wait, and reports whether so.
func (n *Node) LinearizableNow() (*tree.View, bool) {
	if !n.confirmedAlone(context.Background()) {
		return nil, false
	}
	return n.tree.View(), true
}

// readLoop serves the readers in rounds: all that wait when a round begins share it. If
// there is no leader to ask, they wait for the next one with those who came meanwhile.
func (n *Node) readLoop() {
	retry := time.NewTimer(0)
	retry.Stop()
	var round []*reader
	for {
		select {
		case <-n.readers.wake:
		case <-n.readers.again:
		case <-retry.C:
		case <-n.closing:
			return
		}
		round = n.readers.join(round)
		if len(round) == 0 {
			continue
		}
		start := time.Now()
		err := n.confirmed()
		n.readers.alone.Store(errors.Is(err, ErrNoLeader))
		switch {
		case err == nil:
			n.counts.confirm.Observe(time.Since(start))
		case errors.Is(err, ErrNoLeader):
			n.counts.confirmFails.Add(1)
			retry.Reset(retryPause)
			continue
		default:
			n.counts.confirmFails.Add(1)
		}
		for _, r := range round {
			r.done <- err
		}
		clear(round)
		round = round[:0]
	}
}

// join adds who waits to a round, and takes out who does not any more.
func (r *readers) join(round []*reader) []*reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(round, r.waiting...)
	clear(r.waiting)
	r.waiting = r.waiting[:0]
	still := all[:0]
	for _, one := range all {
		if one.ctx.Err() == nil {
			still = append(still, one)
		}
	}
	clear(all[len(still):])
	return still
}

// confirmed returns when this node's tree holds everything that had been acknowledged
// when it was called. The error is ErrNoLeader if there was nobody to ask.
func (n *Node) confirmed() error {
	to := n.route.Load()
	switch {
	case to == nil:
		return ErrNoLeader
	case to.self:
		return n.confirm()
	}
	ctx, cancel := context.WithTimeoutCause(to.ctx, n.cfg.Timeout, ErrTimeout)
	defer cancel()
	answer, err := n.peers.client(to.leader).call(ctx, kindReadIndex, nil)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, errUnreachable) || errors.Is(err, errAnswerLost) || errors.Is(err, errNoMember) {
			return fmt.Errorf("%w: %w", ErrNoLeader, err) // to ask again is harmless
		}
		return err
	}
	index, size := binary.Uvarint(answer)
	if size <= 0 {
		return errors.New("the leader's answer cannot be read")
	}
	if err := n.fsm.WaitShown(ctx, index); err != nil {
		return fmt.Errorf("%w: applying up to entry %d: %w", ErrNoLeader, index, err)
	}
	return nil
}

// serveReadIndex answers another node with what it has to have applied. The round of its
// readers joins one of this node's own.
func (n *Node) serveReadIndex(ctx context.Context) ([]byte, error) {
	if to := n.route.Load(); to == nil || !to.self {
		return nil, ErrNoLeader
	}
	if _, err := n.Linearizable(ctx); err != nil {
		return nil, err
	}
	return binary.AppendUvarint(nil, n.fsm.Shown()), nil
}

// confirm returns when this node's tree holds everything that had been committed when
// it was called. The order of the steps is what makes it so.
func (n *Node) confirm() error {
	l := n.lead.Load() // ready: has applied an entry of its own term
	if l == nil {
		return ErrNoLeader
	}
	index := n.committed()
	if err := n.confirmTerm(l.term); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout)
	defer cancel()
	if err := n.fsm.WaitApplied(ctx, index); err != nil {
		return fmt.Errorf("applying up to entry %d: %w", index, err)
	}
	return nil
}

// confirmTerm returns when a majority of the voters has said that it knows of no term
// after this one: then nobody else had been elected when it was called.
//
// Raft's VerifyLeader counts answers to heartbeats that were sent before it was called as
// well. A leader that was stopped for a while finds such answers in its sockets, from the
// time when it still led, and would take its old state for the newest.
func (n *Node) confirmTerm(term uint64) error {
	servers, err := n.servers()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	ctx, cancel := context.WithTimeoutCause(n.ctx, n.cfg.ElectionTimeout, ErrTimeout)
	defer cancel()
	answers := make(chan uint64, len(servers)) // terms; 0: none
	voters, agree := 0, 0
	for _, s := range servers {
		switch {
		case s.Suffrage != raft.Voter:
			continue
		case s.ID == raft.ServerID(n.dir.id):
			answers <- n.raft.CurrentTerm()
		default:
			n.wg.Go(func() { answers <- n.askTerm(ctx, string(s.ID)) })
		}
		voters++
	}
	for left := voters; left > 0; left-- {
		switch t := <-answers; {
		case t > term:
			return fmt.Errorf("%w: term %d has begun", ErrNoLeader, t)
		case t > 0: // an older one: it has not heard of this one yet, and of no newer
			agree++
		}
		if agree > voters/2 {
			return nil
		}
	}
	return fmt.Errorf("%w: only %d of %d voters confirm it", ErrNoLeader, agree, voters)
}

// askTerm returns the term that another node knows of, 0 if it does not answer.
func (n *Node) askTerm(ctx context.Context, id string) uint64 {
	answer, err := n.peers.client(id).call(ctx, kindTerm, nil)
	if err != nil {
		return 0
	}
	term, _ := binary.Uvarint(answer)
	return term
}
