// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"confd/backends"
	"confd/backends/backendtest"
)

// A source is a store that can only be read as a whole.
type source struct {
	mu   sync.Mutex
	keys *backends.Map
	down bool
}

func (s *source) read(context.Context) (backends.Keys, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("the source is down")
	}
	return s.keys.Keys(), nil
}

func (s *source) do(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	return nil
}

func TestPollConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		s := &source{keys: backends.NewMap()}
		s.keys.Set("/static/a", "1")
		return backendtest.Harness{
			Backend: backends.NewPoll(backends.PollConfig{Read: s.read, Interval: time.Millisecond}),
			Static:  map[string]string{"/static/a": "1"},
			Set:     func(key, value string) error { return s.do(func() { s.keys.Set(key, value) }) },
			Delete:  func(key string) error { return s.do(func() { s.keys.DeleteUnder(key) }) },
			Wipe:    func() error { return s.do(func() { s.keys = backends.NewMap() }) },
			Stop:    func() error { return s.do(func() { s.down = true }) },
			Start:   func() error { return s.do(func() { s.down = false }) },
		}
	})
}

// TestPollPoke: with a poke for every change, the interval does not matter.
func TestPollPoke(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		s := &source{keys: backends.NewMap()}
		p := backends.NewPoll(backends.PollConfig{Read: s.read, Interval: time.Hour})
		do := func(change func()) error {
			defer p.Poke()
			return s.do(change)
		}
		return backendtest.Harness{
			Backend: p,
			Set:     func(key, value string) error { return do(func() { s.keys.Set(key, value) }) },
			Delete:  func(key string) error { return do(func() { s.keys.DeleteUnder(key) }) },
			Wipe:    func() error { return do(func() { s.keys = backends.NewMap() }) },
		}
	})
}
