// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// An outage tells the log once that something does not work, however many lanes find
// it out, and once that it works again for all of them. One of them, the scout, goes on
// trying often; when it gets through, the others try at once.
type outage struct {
	log  *slog.Logger
	what string

	mu    sync.Mutex
	down  map[*lane]bool
	scout *lane         // one of those that are down
	over  chan struct{} // closed and replaced when it works again for one of them
	since time.Time
	err   error // the last one
}

// state tells whether it works, and if not since when and why.
func (o *outage) state() (since time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.down) == 0 {
		return time.Time{}, nil
	}
	return o.since, o.err
}

func (o *outage) failed(ctx context.Context, l *lane, err error) {
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.down) == 0 {
		o.log.Warn(o.what+" does not work; trying again until it does", "err", err)
		o.down, o.since = make(map[*lane]bool), time.Now()
		o.over = make(chan struct{})
	} else {
		o.log.Debug(o.what, "err", err)
	}
	o.down[l], o.err = true, err
	if !o.down[o.scout] {
		o.scout = l
	}
}

// rest waits until the lane, which has failed so often in a row, is to try again.
func (o *outage) rest(ctx context.Context, l *lane, failures int) {
	d := delay(failures)
	o.mu.Lock()
	over := o.over
	if l == o.scout {
		d = min(d, scoutDelay)
	}
	o.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
	}
}

// ended tells that it works for l. What comes back when ctx has ended proves nothing.
func (o *outage) ended(ctx context.Context, l *lane) {
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.down[l] {
		return
	}
	delete(o.down, l)
	close(o.over)
	o.over = make(chan struct{})
	if len(o.down) == 0 {
		o.log.Info(o.what+" works again", "after", time.Since(o.since).Round(time.Millisecond))
	}
}

// forget takes a lane that is no more off the list.
func (o *outage) forget(l *lane) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.down, l)
}
