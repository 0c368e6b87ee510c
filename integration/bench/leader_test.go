// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

// fakeCluster returns a server whose second node leads once it was asked a few times.
func fakeCluster(t *testing.T) *server {
	s := &server{name: "fake"}
	asked := 0
	for i := range 3 {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			state := "StateFollower"
			if i == 1 {
				if asked++; asked > 3 {
					state = "StateLeader"
				}
			}
			fmt.Fprintf(w, `{"state":%q}`, state)
		}))
		t.Cleanup(h.Close)
		s.nodes = append(s.nodes, &node{client: strings.TrimPrefix(h.URL, "http://")})
	}
	return s
}

// TestSteady: a round in which a request is refused is measured anew and told of, one with
// a wrong answer is not.
func TestSteady(t *testing.T) {
	s := fakeCluster(t)
	for _, test := range []struct {
		err                    error
		failing, calls, result int
	}{
		{nil, 0, 1, 1},
		{load.Refused(500), 2, 3, 3},
		{load.Refused(500), 9, 3, 0},
		{errors.New("a wrong answer"), 1, 1, 0},
	} {
		table, calls := &report.Table{}, 0
		got, err := steady(table, func(_ context.Context, s *server) (int, error) {
			if s.leader != s.nodes[1] || len(s.followers()) != 2 {
				t.Error("the leader is not known")
			}
			if calls++; calls <= test.failing {
				return 0, fmt.Errorf("request 7: %w", test.err)
			}
			return calls, nil
		})(t.Context(), s)
		if got != test.result || calls != test.calls || (err == nil) != (test.result > 0) || len(table.Notes) != min(test.calls, 3)-1 {
			t.Errorf("%v %d times: %d after %d calls, %v, notes %q", test.err, test.failing, got, calls, err, table.Notes)
		}
	}
}
