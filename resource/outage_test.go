// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The end of the process is not the end of an outage: what a backend returns then, an
// error or not, says nothing of what works.
func TestOutageIsNotEndedByTheEnd(t *testing.T) {
	for name, run := range map[string]func(*Runner, context.Context) error{
		"follow": (*Runner).Follow,
		"poll":   func(r *Runner, ctx context.Context) error { return r.Poll(ctx, time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newConfdir(t)
				c.resource("a")
				b := newMemory("/a", "1")
				ctx, cancel := context.WithCancel(t.Context())
				var calls atomic.Int32
				b.fail = func(string) error {
					if calls.Add(1) == 1 {
						return errInjected
					}
					<-ctx.Done()                // as a connection attempt that is cut off
					time.Sleep(time.Nanosecond) // until the contexts made from it have ended, too
					return nil
				}
				done := make(chan error)
				go func() { done <- run(c.runner(b, nil), ctx) }()
				time.Sleep(time.Minute)
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if calls.Load() < 2 || c.log.count("does not work") != 1 || c.log.count("works again") != 0 {
					t.Errorf("after %d calls the log is\n%s", calls.Load(), c.log)
				}
			})
		})
	}
}
