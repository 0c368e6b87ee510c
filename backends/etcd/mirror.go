// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"confd/raftkv/client"
)

const (
	// queueLen is how many events a mirror takes in while it lists. Beyond that the
	// server is left to wait, and ends the stream.
	queueLen = 4096

	// batchLen is how many events are made visible at once.
	batchLen = 256

	// steady is how long a stream must have lived for the next one to be opened
	// without growing pauses.
	steady = 5 * time.Second
)

// A mirror keeps the copy of what lies under root, without what is hidden there.
type mirror struct {
	root    string
	hurried chan struct{} // capacity 1: somebody waits for the first listing

	// Guarded by Backend.mu.
	running  bool
	cancel   context.CancelFunc // ends run
	synced   bool               // the copy holds a listing
	index    uint64             // the store's index that the copy is at
	failures int                // of listings, so far
	err      error              // of the last failure
	heard    time.Time          // when the last events were applied
	changes  []string           // empty, for the next ones
	changed  chan struct{}      // closed and replaced when synced or failures change
	down     bool               // counted in Backend.down
}

func newMirror(root string) *mirror {
	return &mirror{root: root, hurried: make(chan struct{}, 1), changed: make(chan struct{})}
}

// stop makes run return; it does not wait.
func (m *mirror) stop() {
	if m.cancel != nil {
		m.cancel()
	}
}

func (m *mirror) signalLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// hurry cuts a pause between two failures short.
func (m *mirror) hurry() {
	select {
	case m.hurried <- struct{}{}:
	default:
	}
}

// run keeps the copy current until ctx ends or the mirror is replaced.
func (b *Backend) run(ctx context.Context, m *mirror) {
	pause := b.cfg.RetryMin
	for ctx.Err() == nil {
		began := time.Now()
		synced, err := b.session(ctx, m)
		if ctx.Err() != nil || b.deny(m, err) {
			return
		}
		limit := b.cfg.RetryMax
		if synced {
			b.log.DebugContext(ctx, "the stream from etcd has ended, opening it again", "prefix", m.root, "err", err)
			limit = min(limit, time.Second)
			if time.Since(began) > steady {
				pause = b.cfg.RetryMin
			}
		} else {
			b.lost(ctx, m, err)
		}
		pause = min(pause, limit)
		if !m.rest(ctx, pause/2+rand.N(pause/2+1), b.cfg.RetryMin/2) {
			return
		}
		pause = min(2*pause, limit)
	}
}

// rest waits for the pause, or if hurried for the shortest one. It reports whether ctx
// goes on.
func (m *mirror) rest(ctx context.Context, pause, shortest time.Duration) bool {
	for _, d := range []time.Duration{shortest, pause - shortest} {
		timer := time.NewTimer(d)
		hurried := m.hurried
		if d == shortest {
			hurried = nil
		}
		select {
		case <-timer.C:
		case <-hurried:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return ctx.Err() == nil
}

// session opens a stream, lists, and applies what the stream brings, until something
// ends it. synced tells whether the listing succeeded.
func (b *Backend) session(ctx context.Context, m *mirror) (synced bool, err error) {
	w, err := b.client.Watch(ctx, m.root, client.WatchOptions{Recursive: true, Stream: true})
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, w.Close)
	in, ended := newIntake(), make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() { ended <- b.receive(m, w, in) })
	defer func() {
		stop()
		in.end()
		w.Close()
		reading.Wait()
	}()

	old := w.ClusterID() == ""
	l, err := b.list(ctx, m.root, old)
	if err != nil {
		return false, err
	}
	if l.clusterID != w.ClusterID() {
		return false, fmt.Errorf("the nodes are of different clusters (%s: %q, %s: %q)", w.Endpoint(), w.ClusterID(), l.endpoint, l.clusterID)
	}
	if l.index < w.Start() {
		return false, fmt.Errorf("the listing (index %d) is older than the watch (index %d)", l.index, w.Start())
	}
	if !b.take(ctx, m, l) {
		return true, errReplaced
	}
	if !old && l.endpoint != w.Endpoint() {
		return true, fmt.Errorf("the watch is at %s, which would not list", w.Endpoint())
	}
	if err := in.open(func(events []client.Change) error { return b.apply(m, events) }); err != nil {
		return true, err
	}
	return true, b.oversee(ctx, m, w, ended)
}

// oversee waits until the stream has ended, and has a look at the server when it has been
// silent for long.
func (b *Backend) oversee(ctx context.Context, m *mirror, w *client.Watch, ended <-chan error) error {
	pause := func() time.Duration { return b.cfg.CheckInterval - rand.N(b.cfg.CheckInterval/8+1) }
	timer := time.NewTimer(pause())
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-timer.C:
		}
		if silent := b.silent(m); silent < b.cfg.CheckInterval*7/8 {
			timer.Reset(pause() - silent)
			continue
		}
		if err := b.check(ctx, m, w); err != nil {
			return err
		}
		timer.Reset(pause())
	}
}

// silent returns how long ago the last events were applied.
func (b *Backend) silent(m *mirror) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(m.heard)
}

// errReplaced ends the session of a mirror in whose place there is another.
var errReplaced = errors.New("the mirror was replaced")

// receive reads the events of the watch until it ends, and applies them once the intake
// is open. It does so itself, as a goroutine more on the way would cost more than all the
// rest of an event.
func (b *Backend) receive(m *mirror, w *client.Watch, in *intake) error {
	var events []client.Change
	for {
		var err error
		clear(events)
		if events, err = w.Take(events[:0], batchLen); err != nil {
			return err
		}
		if in.hold(events) {
			continue
		}
		if err := b.apply(m, events); err != nil {
			return err
		}
	}
}

// check finds out whether the server of a silent watch is still part of its cluster,
// and the cluster the same. It reads a key that does not exist, so the answer is small;
// the key lies below the root, where the user may read.
func (b *Backend) check(ctx context.Context, m *mirror, w *client.Watch) error {
	old := w.ClusterID() == ""
	r, err := b.client.Get(ctx, path.Join(m.root, "_confd"), client.GetOptions{Quorum: !old, Consistent: old})
	var e *client.Error
	switch {
	case err == nil:
		e = &client.Error{Index: r.Index, ClusterID: r.ClusterID, Endpoint: r.Endpoint}
	case !errors.As(err, &e) || e.Status >= 500 || e.Code == 0:
		return fmt.Errorf("checking a silent watch: %w", err)
	}
	b.mu.Lock()
	index := m.index
	b.mu.Unlock()
	switch {
	case e.ClusterID != w.ClusterID():
		return fmt.Errorf("checking a silent watch: the cluster was replaced (%q, was %q)", e.ClusterID, w.ClusterID())
	case !old && e.Endpoint != w.Endpoint():
		return fmt.Errorf("checking a silent watch: %s does not answer", w.Endpoint())
	case e.Index != 0 && e.Index < index:
		return fmt.Errorf("checking a silent watch: the store has gone back from index %d to %d", index, e.Index)
	}
	return nil
}

// lost records a failed listing, and tells the log if it is the first of an outage. Of
// a store that has never been listed, it is Snapshot that tells, by its error.
func (b *Backend) lost(ctx context.Context, m *mirror, err error) {
	b.mu.Lock()
	m.failures++
	m.err = err
	m.signalLocked()
	first := false
	if m.synced && !m.down && b.mirrors[m.root] == m {
		m.down = true
		b.down++
		first = b.down == 1
		if first {
			b.downSince = time.Now()
		}
	}
	b.mu.Unlock()
	if first {
		b.log.WarnContext(ctx, "lost etcd, trying until it is back", "nodes", b.client.Endpoints(), "prefix", m.root, "err", err)
	} else {
		b.log.DebugContext(ctx, "listing from etcd", "prefix", m.root, "err", err)
	}
}

// upLocked ends the mirror's outage. It reports whether that was the last one, and
// since when the store had been away.
func (b *Backend) upLocked(m *mirror) (last bool, since time.Time) {
	if !m.down {
		return false, time.Time{}
	}
	m.down = false
	b.down--
	return b.down == 0, b.downSince
}

// Outage returns since when a mirror has lost the store, and why.
func (b *Backend) Outage() (since time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.mirrors {
		if m.down {
			return b.downSince, m.err
		}
	}
	return time.Time{}, nil
}
