// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Close stops the node. One that leads has another voter lead first, which takes two
// election timeouts at most. What waits is refused, what is in the log already is finished
// as far as that takes no waiting for other nodes. All goroutines have ended and the
// data directory is free when it returns, unless the node has failed on a disk that
// hangs. It may be called more than once, and by several.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	var errs []error
	n.retire()
	n.queue.close(ErrClosed)
	n.leaveNow()
	if n.mux != nil {
		n.mux.peer.Close()
	}
	n.dismiss()
	close(n.closing)
	n.cancel()
	n.queue.giveUp()
	n.peers.close()
	// Raft forgets entries that are on their way to the state machine when it stops,
	// and never answers for them. So first nothing must be on its way.
	joined := n.join(&n.serving) && n.join(&n.wg)
	if n.running.Load() {
		select { // raft has to run for a last snapshot
		case <-ended(&n.compacts):
		case <-n.failed:
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			n.raft.Shutdown().Error()
		}()
		joined = n.within(stopped) && n.join(&n.wg) && n.join(&n.compacts) && joined
	}
	joined = n.stopAhead(joined)
	joined = n.stopRemoving() && joined
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	if n.mux != nil {
		errs = append(errs, n.mux.close())
	}
	if !joined {
		// What hangs may still write, so the directory is not given to another.
		return errors.Join(append(errs, fmt.Errorf("closing node: the disk does not answer: %w", n.Err()))...)
	}
	if n.wal != nil {
		errs = append(errs, n.markAtEnd(), n.wal.Close())
		if !n.join(n.removing) {
			return errors.Join(append(errs, fmt.Errorf("closing node: the disk does not answer: %w", n.Err()))...)
		}
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}

// stopRemoving has the removal of old snapshots end. It reports whether it has.
func (n *Node) stopRemoving() bool {
	if n.snapshots == nil {
		return true
	}
	n.snapshots.remover.end()
	return n.join(&n.snapshots.remover.removing)
}

// retire has another voter lead, if there is one that answers, so that the others need not
// wait for an election timeout to miss this node.
func (n *Node) retire() {
	if l := n.lead.Load(); l == nil || n.Err() != nil || !n.hasHeir() {
		return
	}
	if err := n.handOver(); err != nil {
		n.log.Warn("ending while this node leads", "err", err)
	}
}

// dismiss answers the requests of other nodes that this one has taken, as far as that is
// quick.
func (n *Node) dismiss() {
	t := time.NewTimer(n.cfg.ElectionTimeout)
	defer t.Stop()
	select {
	case <-ended(&n.serving):
	case <-n.failed:
	case <-t.C:
	}
}

// leaving reports whether Close has begun to end the service for other nodes.
func (n *Node) leaving() bool { return n.leave.Err() != nil }

// whenLeaving calls f when it does, unless the function that it returns is called before.
func (n *Node) whenLeaving(f func()) (stop func() bool) { return context.AfterFunc(n.leave, f) }

// hasHeir reports whether another voter could lead.
func (n *Node) hasHeir() bool {
	seats, err := n.seats()
	return err == nil && slices.ContainsFunc(seats, func(s seat) bool {
		return s.votes && !s.leads && s.silent < n.cfg.ElectionTimeout && s.steady
	})
}

// join waits for wg, but not for long if the node has failed. It reports whether all
// have ended.
func (n *Node) join(wg *sync.WaitGroup) bool { return n.within(ended(wg)) }

// ended returns a channel that is closed when all of wg have ended.
func ended(wg *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	return done
}

func (n *Node) within(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-n.failed:
	}
	t := time.NewTimer(closeGrace)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// failHere stops the node and, if raft runs, the goroutine that calls it: raft panics
// when it cannot save its term, and the message would be lost among its stacks.
func (n *Node) failHere(err error) {
	n.fail(err)
	if n.running.Load() {
		runtime.Goexit()
	}
}
