// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

var errChanged = errors.New("changed")

// fakeStore is metadata under a lock.
type fakeStore struct {
	mu     sync.Mutex
	meta   atomic.Pointer[map[string][]byte]
	writes int

	// hooks; both may be nil
	before func(key string)       // before a write, without the lock
	fail   func(key string) error // instead of a write
}

func newFakeStore() *fakeStore {
	s := &fakeStore{}
	s.meta.Store(&map[string][]byte{})
	return s
}

func (s *fakeStore) Meta() *map[string][]byte { return s.meta.Load() }

func (s *fakeStore) SetMeta(_ context.Context, key string, prev, value []byte) error {
	if s.before != nil {
		s.before(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		if err := s.fail(key); err != nil {
			return err
		}
	}
	old, found := (*s.Meta())[key]
	if found != (prev != nil) || !bytes.Equal(old, prev) {
		return errChanged
	}
	s.setLocked(key, value)
	return nil
}

// set writes without a condition, as another node might have.
func (s *fakeStore) set(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, value)
}

func (s *fakeStore) setLocked(key string, value []byte) {
	m := maps.Clone(*s.Meta())
	if m[key] = slices.Clone(value); value == nil {
		delete(m, key)
	}
	s.meta.Store(&m)
}

// A counter stands in for bcrypt's comparison and counts.
type counter struct {
	mu      sync.Mutex
	calls   int
	running int
	most    int // that ran at once
	costs   []int
	takes   time.Duration
}

// count makes a compare through c.
func count(a *Auth, c *counter) {
	real := a.compare
	a.compare = func(hash, password []byte) bool {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			panic(err)
		}
		c.mu.Lock()
		c.calls++
		c.running++
		c.most = max(c.most, c.running)
		c.costs = append(c.costs, cost)
		c.mu.Unlock()
		time.Sleep(c.takes) // not 0 only in synctest bubbles
		ok := real(hash, password)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
		return ok
	}
}

// newTestAuth returns an Auth with cheap hashes over a fresh store.
func newTestAuth() (*Auth, *fakeStore) {
	s := newFakeStore()
	return New(Config{Store: s, Changed: errChanged, Cost: bcrypt.MinCost}), s
}

// mustCreate makes a user whose password is the name followed by "-pw".
func mustCreate(t *testing.T, a *Auth, name string, roles ...string) {
	t.Helper()
	if _, err := a.CreateUser(t.Context(), name, name+"-pw", roles); err != nil {
		t.Fatal(err)
	}
}

// mustEnable makes root and enables.
func mustEnable(t *testing.T, a *Auth) {
	t.Helper()
	mustCreate(t, a, Root)
	if err := a.Enable(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantRefusal checks that err is that refusal.
func wantRefusal(t *testing.T, what string, err error, kind Kind, text string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || e.Error() != text {
		t.Errorf("%s: got %v, want kind %d: %s", what, err, kind, text)
	}
}
