// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The names that mean something by themselves.
const (
	Root  = "root"  // the user and the role that may do everything
	Guest = "guest" // the role of those who have not logged in
)

// A Store holds the replicated metadata; *raftkv.Node is one. Both methods may be called
// concurrently.
type Store interface {
	// Meta returns all of it. The map is the same one, by its address, until something
	// changes; it is not changed by either side.
	Meta() *map[string][]byte

	// SetMeta replaces the value of key if that still is prev: nil means that the key is
	// not there. A nil value removes it. When it returns nil, Meta has the change.
	SetMeta(ctx context.Context, key string, prev, value []byte) error
}

// A Config says what an Auth works with.
type Config struct {
	Store   Store            // required
	Changed error            // what SetMeta returns, by errors.Is, if the value is not prev any more
	Cost    int              // of bcrypt for new passwords; 0 is 10, as etcd's
	Now     func() time.Time // clock for counting failures; nil is time.Now
	Log     *slog.Logger     // for addresses that fail too often; nil discards
}

// An Auth decides over the state in a store. Its methods may be called concurrently.
type Auth struct {
	// Set on construction.
	store   Store
	changed error
	cost    int
	macs    sync.Pool // of HMACs under the key of this process, for tags
	slots   chan struct{}
	compare func(hash, password []byte) bool
	dummy   []byte // hash for users who do not exist
	log     *slog.Logger

	state    atomic.Pointer[state]
	known    memory // logins that were right
	wrong    memory // logins that were not, apart so that they displace none that were
	failures *failures
	lanes    lanes
}

// New returns an Auth over cfg.Store.
func New(cfg Config) *Auth {
	a := &Auth{
		store:    cfg.Store,
		changed:  cfg.Changed,
		cost:     cfg.Cost,
		log:      cfg.Log,
		failures: newFailures(cfg.Now),
		slots:    make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		compare:  func(hash, password []byte) bool { return bcrypt.CompareHashAndPassword(hash, password) == nil },
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.cost == 0 {
		a.cost = bcrypt.DefaultCost
	}
	a.dummy = newDummy(a.cost)
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	a.macs.New = func() any { return hmac.New(sha256.New, key) }
	return a
}

// defaultDummy is the hash, of the default cost, of a random text that nobody has kept. It is
// made beforehand: to make it takes as long as a comparison.
const defaultDummy = "$2a$10$EOjFwh7sEh1u2aSRgBlfHeZ4UVt2AbJxG9UQ/OpFNFJOYtJUAFf2e"

// newDummy returns a hash that costs as much to compare with as those of passwords do.
func newDummy(cost int) []byte {
	if cost == bcrypt.DefaultCost {
		return []byte(defaultDummy)
	}
	h, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	if err != nil {
		panic(err) // the cost is out of bounds, which is a mistake in the program
	}
	return h
}

// A Kind says why a change was refused.
type Kind uint8

// The kinds of refusals.
const (
	Invalid   Kind = iota // the request makes no sense
	Forbidden             // nobody may do that
	NotFound              // the user or role does not exist
	Conflict              // the state is not one in which that can be done
)

// An Error is a refusal in etcd's words.
type Error struct {
	Kind Kind
	Text string
}

func (e *Error) Error() string { return "auth: " + e.Text }

func refuse(kind Kind, format string, args ...any) error {
	return &Error{kind, fmt.Sprintf(format, args...)}
}

// maxTries is how often a change is tried that others are in the way of.
const maxTries = 32

// change replaces the value of key by what f makes of the state; f is called again when
// somebody else has changed the key meanwhile. A nil value removes it.
func (a *Auth) change(ctx context.Context, key string, f func(*state) (value []byte, err error)) error {
	var err error
	for range maxTries {
		st := a.load()
		var value []byte
		value, err = f(st)
		if err != nil {
			return err
		}
		err = a.store.SetMeta(ctx, key, (*st.meta)[key], value)
		if err == nil || !errors.Is(err, a.changed) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("changing %q: %w", key, err)
	}
	return nil
}

// Enabled reports whether permissions are looked at.
func (a *Auth) Enabled() bool { return a.load().enabled }

// Enable begins to look at permissions. It makes the role guest, with all permissions, if
// there is none.
func (a *Auth) Enable(ctx context.Context) error {
	st := a.load()
	if _, err := a.enable(st); err != nil {
		return err
	}
	if st.roles[Guest] == nil {
		everything := Permissions{Read: []string{"/*"}, Write: []string{"/*"}}
		err := a.CreateRole(ctx, Role{Guest, everything})
		if e := (*Error)(nil); err != nil && !errors.As(err, &e) { // else somebody else has just made it
			return err
		}
	}
	if err := a.change(ctx, enabledKey, a.enable); err != nil {
		return err
	}
	if st = a.load(); st.enabled && st.users[Root] == nil {
		if err := a.change(ctx, enabledKey, a.disable); err != nil {
			return err
		}
		return errNoRoot
	}
	return nil
}

// Disable ends looking at permissions. Users and roles stay.
func (a *Auth) Disable(ctx context.Context) error {
	return a.change(ctx, enabledKey, a.disable)
}

var errNoRoot error = &Error{Conflict, "No root user available, please create one"}

func (a *Auth) enable(st *state) ([]byte, error) {
	switch {
	case st.enabled:
		return nil, refuse(Conflict, "already enabled")
	case st.users[Root] == nil:
		return nil, errNoRoot
	}
	return []byte("true"), nil
}

func (a *Auth) disable(st *state) ([]byte, error) {
	if !st.enabled {
		return nil, refuse(Conflict, "already disabled")
	}
	return nil, nil
}
