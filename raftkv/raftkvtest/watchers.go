// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"confd/raftkv"
	"confd/raftkv/tree"
)

// A watch sees all events of a cluster, on one node or on one after the other. It finds
// those that are missing, come twice or in another order.
type watch struct {
	l    *Ledger
	who  string
	next uint64 // index of the next event
}

// follow watches a node from the first event to the end of the run.
func (l *Ledger) follow(m *Member, r *run, n *raftkv.Node) {
	w := &watch{l: l, who: m.Name, next: 1}
	l.c.wg.Go(func() { w.on(n, r, nil) })
}

// Wander watches one member after the other until ctx ends.
func (l *Ledger) Wander(ctx context.Context, r *rand.Rand) {
	w := &watch{l: l, who: "the wanderer", next: 1}
	for ctx.Err() == nil {
		members := l.c.Members()
		m := members[r.IntN(len(members))]
		run, n := m.current(), m.Node()
		stay, cancel := context.WithTimeout(ctx, time.Duration(1+r.IntN(5000))*time.Millisecond)
		if run == nil || n == nil {
			time.Sleep(10 * time.Millisecond)
		} else {
			w.on(n, run, stay.Done())
		}
		cancel()
	}
}

// on watches a node until its run or leave ends.
func (w *watch) on(n *raftkv.Node, r *run, leave <-chan struct{}) {
	for {
		watcher, err := n.Tree().Watch("/", true, true, w.next)
		if err != nil {
			var cleared *tree.Error
			if errors.As(err, &cleared) && cleared.Code == tree.CodeEventIndexCleared {
				w.l.c.fail("%s: watching from index %d: %v", w.who, w.next, err)
				w.next = cleared.Index + 1
				continue
			}
			w.l.c.fail("%s: %v", w.who, err)
			return
		}
		restored := w.receive(watcher, r, leave)
		watcher.Close()
		if !restored {
			return
		}
		w.l.c.count(func(c *Coverage) { c.Restored++ })
	}
}

// receive takes events until the run or leave ends. It reports whether the tree has been
// restored, which ends the watcher.
func (w *watch) receive(watcher *tree.Watcher, r *run, leave <-chan struct{}) bool {
	for {
		select {
		case e, ok := <-watcher.C:
			if !ok {
				return true
			}
			if e.Index() != w.next {
				w.l.c.fail("%s has seen %s at index %d, not %d", w.who, showEvent(e), e.Index(), w.next)
			}
			w.next = e.Index() + 1
			w.l.saw(w.who, e)
		case <-r.ended:
			return false
		case <-leave:
			return false
		}
	}
}
