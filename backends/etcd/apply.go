// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"confd/backends"
	"confd/raftkv/client"
)

// The codes of the v2 API that matter here.
const (
	codeKeyNotFound  = 100
	codeNotDir       = 104
	codeUnauthorized = 110
)

func unauthorized(err error) bool { return client.IsCode(err, codeUnauthorized) }

// A listing is the state of what lies under a root, at one index.
type listing struct {
	values    []backends.Pair // sorted by key, each key once
	index     uint64
	clusterID string
	endpoint  string
}

// list reads everything under root. What does not exist is empty: only an error of the
// v2 API says so, never any other 404. old is for etcd 0.4.
func (b *Backend) list(ctx context.Context, root string, old bool) (*listing, error) {
	l, c := &listing{}, &collector{root: root}
	r, err := b.client.ListTo(ctx, root, client.GetOptions{Quorum: !old, Consistent: old}, c)
	values := c.end()
	var e *client.Error
	switch {
	case err == nil:
		l.index, l.clusterID, l.endpoint = r.Index, r.ClusterID, r.Endpoint
		l.values = order(values)
	case errors.As(err, &e) && (e.Code == codeKeyNotFound || e.Code == codeNotDir):
		l.index, l.clusterID, l.endpoint = e.Index, e.ClusterID, e.Endpoint
	default:
		return nil, err
	}
	return l, nil
}

// has reports whether a key is in the listing.
func (l *listing) has(key string) bool {
	_, ok := slices.BinarySearchFunc(l.values, key, func(p backends.Pair, key string) int { return cmp.Compare(p.Key, key) })
	return ok
}

// take makes the copy equal to the listing. It reports false, and does nothing, if the
// mirror was replaced meanwhile.
func (b *Backend) take(ctx context.Context, m *mirror, l *listing) bool {
	b.mu.Lock()
	if b.mirrors[m.root] != m {
		b.mu.Unlock()
		return false
	}
	before := m.index
	b.news.publish(b.takeLocked(m, l))
	back, since := b.upLocked(m)
	b.mu.Unlock()
	if back {
		b.log.InfoContext(ctx, "etcd is back", "endpoint", l.endpoint, "away", time.Since(since).Round(time.Millisecond))
	}
	if l.index < before {
		b.log.WarnContext(ctx, "the store has gone back; its keys are taken as they are now", "endpoint", l.endpoint, "from", before, "to", l.index)
	}
	return true
}

// takeLocked returns the keys that the listing has changed.
func (b *Backend) takeLocked(m *mirror, l *listing) []string {
	var changed []string
	for key := range b.values.Keys().Under([]string{m.root}).From("") {
		if !l.has(key) && covers(m.root, key) {
			changed = append(changed, key)
		}
	}
	for _, key := range changed {
		b.values.Delete(key)
	}
	changed = append(changed, b.values.SetAll(l.values)...)
	m.synced, m.err, m.index = true, nil, l.index
	m.signalLocked()
	return changed
}

// apply carries events out on the copy, all at once. After an error the copy may be
// wrong, and must be listed again.
func (b *Backend) apply(m *mirror, events []client.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mirrors[m.root] != m {
		return errReplaced
	}
	m.heard = time.Now()
	changed := m.changes[:0]
	var err error
	for i := range events {
		e := &events[i]
		if e.Modified <= m.index {
			continue // it is in the listing; or told twice, as etcd does for some removals
		}
		if changed, err = b.applyLocked(m.root, e, changed); err != nil {
			break
		}
		m.index = e.Modified
	}
	b.news.publish(changed)
	if cap(changed) > batchLen {
		changed = nil // a directory that is gone had many
	}
	clear(changed)
	m.changes = changed[:0]
	return err
}

// applyLocked carries one event out. It adds the keys that it has changed.
func (b *Backend) applyLocked(root string, e *client.Change, changed []string) ([]string, error) {
	key := backends.Clean(e.Key)
	switch e.Action {
	case "set", "create", "update", "compareAndSwap":
		switch {
		case !covers(root, key):
			return changed, nil
		case !e.Dir:
			if b.values.Set(key, e.Value) {
				changed = append(changed, key)
			}
		case b.values.Delete(key): // a directory in the place of a file
			changed = append(changed, key)
		}
		return changed, nil
	case "delete", "compareAndDelete", "expire":
		return append(changed, b.removeLocked(root, key)...), nil
	}
	return changed, fmt.Errorf("unknown action %q in an event", e.Action)
}

// removeLocked removes what the mirror of root has of key and everything below. The
// hidden keys below are another mirror's, which is at another index.
func (b *Backend) removeLocked(root, key string) []string {
	var gone []string
	for k := range b.values.Keys().Under([]string{root}).Under([]string{key}).From("") {
		if covers(root, k) {
			gone = append(gone, k)
		}
	}
	for _, k := range gone {
		b.values.Delete(k)
	}
	return gone
}
