// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Poll applies every resource at once and then every interval, until ctx ends; then it
// waits for reloads that run, up to Config.StopTimeout, and returns nil. Before each
// pass the resources are read anew (Config.Load). The lanes of a pass do not wait for
// each other; the next pass waits for all of them. What failed is tried again in
// between. The interval must be longer than nothing.
func (run *Runner) Poll(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("interval of %v is not longer than nothing", interval)
	}
	var next time.Time // of the next pass over everything
	failures := 0
	reread := false // just now
	for ctx.Err() == nil {
		all := !time.Now().Before(next)
		if all {
			if !reread {
				run.rereadIdle(false)
			}
			next, reread = time.Now().Add(interval), false
		}
		retry, err := run.pollOnce(ctx, all)
		if err != nil {
			failures++
			run.reads.failed(ctx, nil, err)
			for _, l := range run.lanes {
				run.tried(l)
			}
			retry = time.Now().Add(min(delay(failures), scoutDelay))
		} else {
			failures = 0
			run.reads.ended(ctx, nil)
		}
		until := next
		if !retry.IsZero() && retry.Before(next) {
			until = retry
		}
		if err != nil && all {
			next = until // what was not read is not done
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case again := <-run.rereads:
			run.rereadIdle(again.retry)
			next, reread = time.Now(), true
			close(again.done)
		}
		timer.Stop()
	}
	return nil
}

// pollOnce makes one pass, and returns when something that failed in it is to be tried
// again. The error is that of reading the values.
func (run *Runner) pollOnce(ctx context.Context, all bool) (retry time.Time, err error) {
	snap, err := run.backend.Snapshot(ctx, run.keys())
	if err != nil {
		return time.Time{}, err
	}
	var wg sync.WaitGroup
	why := forTime
	if all {
		why = forAll
	}
	for _, l := range run.lanes {
		wg.Go(func() {
			out := l.pass(ctx, run, snap, why)
			if ctx.Err() == nil {
				out.report(run.log)
			}
			run.tried(l)
		})
	}
	wg.Wait()
	for _, l := range run.lanes {
		if t := l.next(); !t.IsZero() && (retry.IsZero() || t.Before(retry)) {
			retry = t
		}
	}
	return retry, nil
}
