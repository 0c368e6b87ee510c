// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// findLeader waits until a node leads, and sets which.
func (s *server) findLeader(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no node of %s leads for %v", s.name, startTimeout))
	defer cancel()
	for {
		for _, n := range s.nodes {
			answer, err := n.ask(ctx, "GET", "/v2/stats/self", "")
			if err != nil {
				return errors.Join(err, context.Cause(ctx), n.Failed())
			}
			if bytes.Contains(answer, []byte(`"StateLeader"`)) {
				s.leader = n
				return nil
			}
		}
		if pause(ctx, 10*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}

// followers returns all nodes but the leader.
func (s *server) followers() []*node {
	var all []*node
	for _, n := range s.nodes {
		if n != s.leader {
			all = append(all, n)
		}
	}
	return all
}

// steady returns a measurement of a cluster whose leader is known. When a request is
// refused, as in an election on a machine that is too busy, it is said in a note of the
// table and measured anew, at most twice.
func steady[M any](t *report.Table, measure func(context.Context, *server) (M, error)) func(context.Context, *server) (M, error) {
	return func(ctx context.Context, s *server) (m M, err error) {
		for attempt := 0; ; attempt++ {
			if err := s.findLeader(ctx); err != nil {
				return m, err
			}
			m, err = measure(ctx, s)
			var refused load.Refused
			if attempt == 2 || !errors.As(err, &refused) {
				return m, err
			}
			t.Notes = append(t.Notes, fmt.Sprintf("A round was measured anew, as a request was refused: %v.", err))
		}
	}
}

// pause waits; the error is ctx's.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
