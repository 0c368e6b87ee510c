// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"confd/backends"
)

// Snapshot returns the keys under the prefixes. A prefix that does not exist holds no
// keys. It fails, naming the nodes, if the store could not be listed yet.
func (b *Backend) Snapshot(ctx context.Context, prefixes []string) (backends.Snapshot, error) {
	prefixes = cleanAll(prefixes)
	b.mu.Lock()
	direct := !b.used
	b.used = true
	b.coverLocked(prefixes)
	if !direct {
		b.followLocked()
	}
	b.mu.Unlock()
	if direct {
		if err := b.listDirectly(ctx, prefixes); err != nil {
			return backends.Snapshot{}, err
		}
	}

	seen := map[*mirror]int{} // :: mirror → its failures when this call came
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return backends.Snapshot{}, errClosed
		}
		m := b.unsyncedLocked(prefixes)
		if m == nil {
			s := b.snapshotLocked(prefixes)
			b.mu.Unlock()
			return s, nil
		}
		b.followLocked()
		before, ok := seen[m]
		if !ok {
			seen[m], before = m.failures, m.failures
		}
		failures, err, changed := m.failures, m.err, m.changed
		b.mu.Unlock()
		if failures > before {
			return backends.Snapshot{}, b.readError(m.root, err)
		}
		m.hurry()
		select {
		case <-changed:
		case <-b.ctx.Done():
		case <-ctx.Done():
			return backends.Snapshot{}, b.readError(m.root, errors.Join(ctx.Err(), err))
		}
	}
}

// Wait blocks until a key under the prefixes differs from the snapshot with this index.
// It does not fail when the store is away: it wakes if something has changed meanwhile.
func (b *Backend) Wait(ctx context.Context, prefixes []string, index uint64) error {
	prefixes = cleanAll(prefixes)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	b.used = true
	b.coverLocked(prefixes)
	b.followLocked()
	if b.news.since(prefixes, index) {
		b.mu.Unlock()
		return nil
	}
	if err := ctx.Err(); err != nil {
		b.mu.Unlock()
		return err
	}
	w := b.news.add(prefixes)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.news.remove(w)
		b.mu.Unlock()
	}()
	select {
	case <-w.ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ctx.Done():
		return errClosed
	}
}

// snapshotLocked returns the copy as it is.
func (b *Backend) snapshotLocked(prefixes []string) backends.Snapshot {
	s := backends.Snapshot{Index: b.news.version}
	hidden := false
	for root := range b.mirrors {
		hidden = hidden || strings.Contains(root, "/_")
	}
	if hidden {
		s.Keys = newVisible(b.values.Keys(), prefixes)
	} else {
		s.Keys = b.values.Keys().Under(prefixes)
	}
	return s
}

// coverLocked sees to it that a mirror covers each of the prefixes.
func (b *Backend) coverLocked(prefixes []string) {
	missing := false
	for _, p := range prefixes {
		if _, ok := coverer(b.mirrors, p); !ok {
			b.asked[p] = true
			missing = true
		}
	}
	if missing {
		b.planLocked()
	}
}

// planLocked makes the mirrors those of the plan. What a mirror has copied stays, and is
// corrected by the mirror that takes its place.
func (b *Backend) planLocked() {
	roots := map[string]bool{}
	for _, root := range plan(b.asked, b.denied) {
		roots[root] = true
		if b.mirrors[root] == nil {
			b.mirrors[root] = newMirror(root)
		}
	}
	for root, m := range b.mirrors {
		if !roots[root] {
			delete(b.mirrors, root)
			b.upLocked(m)
			m.stop()
			m.signalLocked()
		}
	}
	if b.following {
		b.followLocked()
	}
}

// followLocked starts every mirror that does not run.
func (b *Backend) followLocked() {
	if b.closed {
		return
	}
	b.following = true
	for _, m := range b.mirrors {
		if m.running {
			continue
		}
		m.running = true
		ctx, cancel := context.WithCancel(b.ctx)
		m.cancel = cancel
		b.wg.Go(func() {
			defer cancel()
			b.run(ctx, m)
		})
	}
}

// unsyncedLocked returns a mirror of one of the prefixes that has no listing yet, nil
// if all have.
func (b *Backend) unsyncedLocked(prefixes []string) *mirror {
	b.coverLocked(prefixes)
	for _, p := range prefixes {
		root, ok := coverer(b.mirrors, p)
		if ok && !b.mirrors[root].synced {
			return b.mirrors[root]
		}
	}
	return nil
}

// listDirectly lists the mirrors of the prefixes without starting them.
func (b *Backend) listDirectly(ctx context.Context, prefixes []string) error {
	for {
		b.mu.Lock()
		m := b.unsyncedLocked(prefixes)
		following := b.following
		b.mu.Unlock()
		if m == nil || following {
			return nil
		}
		l, err := b.list(ctx, m.root, false)
		if err != nil {
			if b.deny(m, err) {
				continue
			}
			return b.readError(m.root, err)
		}
		b.mu.Lock()
		// A mirror that runs by now knows better: its listing may be the newer one.
		if b.mirrors[m.root] == m && !m.running {
			b.news.publish(b.takeLocked(m, l))
		}
		b.mu.Unlock()
	}
}

// deny reports whether err means that a common parent may not be read, and plans without it.
func (b *Backend) deny(m *mirror, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked[m.root] || b.mirrors[m.root] != m || !unauthorized(err) {
		return false
	}
	b.denied[m.root] = true
	b.planLocked()
	return true
}

func (b *Backend) readError(root string, err error) error {
	return fmt.Errorf("reading %q from etcd (%s): %w", root, strings.Join(b.client.Endpoints(), ", "), err)
}
