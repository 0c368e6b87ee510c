// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"net/netip"
	"sync"
)

// lanes let one login of each source through at a time, in the order of arrival.
type lanes struct {
	mu   sync.Mutex
	open map[netip.Prefix]*lane // those that somebody is in or waits for
}

type lane struct {
	users int           // guarded by lanes.mu
	turn  chan struct{} // full while somebody is in
}

// enter waits until nobody else of the source is in. It returns what is to be called at the
// end, nil if ctx ended first.
func (l *lanes) enter(ctx context.Context, source netip.Prefix) (leave func()) {
	l.mu.Lock()
	if l.open == nil {
		l.open = make(map[netip.Prefix]*lane)
	}
	way := l.open[source]
	if way == nil {
		way = &lane{turn: make(chan struct{}, 1)}
		l.open[source] = way
	}
	way.users++
	l.mu.Unlock()
	select {
	case way.turn <- struct{}{}:
		return func() {
			<-way.turn
			l.forget(source, way)
		}
	case <-ctx.Done():
		l.forget(source, way)
		return nil
	}
}

// forget ends one use of way.
func (l *lanes) forget(source netip.Prefix, way *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if way.users--; way.users == 0 {
		delete(l.open, source)
	}
}
