// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Close stops the node: what waits is refused, what is in the log already is finished
// as far as that takes no waiting for other nodes. All goroutines have ended and the
// data directory is free when it returns, unless the node has failed on a disk that
// hangs. It may be called more than once, and by several.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	var errs []error
	n.queue.close(ErrClosed)
	close(n.closing)
	n.cancel()
	// Raft forgets entries that are on their way to the state machine when it stops,
	// and never answers for them. So first nothing must be on its way.
	joined := n.join(&n.wg)
	if n.running.Load() {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			n.raft.Shutdown().Error()
		}()
		joined = n.within(stopped) && n.join(&n.wg) && n.join(&n.compacts) && joined
	}
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
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}

// join waits for wg, but not for long if the node has failed. It reports whether all
// have ended.
func (n *Node) join(wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	return n.within(done)
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
