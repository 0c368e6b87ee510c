// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// nemProbeEvery is how exact a gap is known.
const nemProbeEvery = 20 * ms

// measure takes the time until a write through one of the nodes is acknowledged. It sends
// one every moment, so that none waits for a timeout of the one before.
func (s *nemStrike) measure(f nemFault, left []*nemNode) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 30*sc)
	defer cancel()
	acked := make(chan time.Duration, 1)
	var wg sync.WaitGroup
	tick := time.NewTicker(nemProbeEvery)
	defer tick.Stop()
	for gap := time.Duration(0); gap == 0; {
		for _, n := range left {
			wg.Go(func() {
				if err := s.probe(ctx, n, nemOpLimit); err == nil {
					select {
					case acked <- time.Since(start):
					default: // not the first
					}
				}
			})
		}
		select {
		case gap = <-acked:
			now, err := s.nemCluster.leader(ctx, left)
			s.report.gap(f, gap, !f.short || err != nil || now != s.leader)
		case <-tick.C:
		case <-ctx.Done():
			s.report.violation("no write was acknowledged for 30 s after %s", f.kind)
			gap = 30 * sc
		}
	}
	cancel()
	wg.Wait()
}

// probe writes a key that is in no history.
func (s *nemStrike) probe(ctx context.Context, n *nemNode, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+n.api+"/v2/keys/probe/"+n.name, strings.NewReader(url.Values{"value": {"x"}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, _, err := parseAnswer(resp); err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// nemAnswerLimit is when a node must have answered although there is no quorum.
const nemAnswerLimit = 10 * sc

// answers checks that a write is answered, by whatever, without a quorum.
func (s *nemStrike) answers(kind string, n *nemNode) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), nemAnswerLimit)
	defer cancel()
	s.probe(ctx, n, nemAnswerLimit) // an error is an answer, too
	if ctx.Err() != nil {
		s.report.violation("no answer within %v from node %s during %s", nemAnswerLimit, n.name, kind)
		return
	}
	s.report.answered(time.Since(start))
}
