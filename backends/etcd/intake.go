// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"sync"

	"confd/raftkv/client"
)

// An intake holds the events of a stream until the listing that they follow is taken. Its
// methods may be called concurrently.
type intake struct {
	mu     sync.Mutex
	opened bool            // events are applied as they come
	held   []client.Change // until then
	over   chan struct{}   // closed when nothing is held any more
	once   sync.Once
}

func newIntake() *intake { return &intake{over: make(chan struct{})} }

// hold keeps the events for later, and waits if there are too many. It reports false, and
// does nothing, if the intake is open: then they are the caller's.
func (in *intake) hold(events []client.Change) bool {
	in.mu.Lock()
	if in.opened {
		in.mu.Unlock()
		return false
	}
	in.held = append(in.held, events...)
	full := len(in.held) >= queueLen
	in.mu.Unlock()
	if full {
		<-in.over
	}
	return true
}

// open has apply called with the events that are held, and returns its error. Later ones are
// let pass.
func (in *intake) open(apply func([]client.Change) error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var err error
	if len(in.held) > 0 {
		err = apply(in.held)
	}
	in.opened, in.held = true, nil
	in.end()
	return err
}

// end lets go whoever waits.
func (in *intake) end() { in.once.Do(func() { close(in.over) }) }
