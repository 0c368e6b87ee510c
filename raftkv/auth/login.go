// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// An Identity is who somebody says to be. The zero value has not said anything: a guest.
type Identity struct {
	kind     identityKind
	name     string
	password string
	from     string
}

type identityKind uint8

const (
	guest     identityKind = iota
	basic                  // a name and a password, to be checked
	certified              // a name that somebody else has checked
	nobody                 // something was said that means nothing
)

// Basic is who says a name and a password; from is the address, as 10.0.0.1:5000, that it
// came from.
func Basic(name, password, from string) Identity {
	return Identity{basic, name, password, from}
}

// Certified is whom a certificate names. If there is no such user it is a guest, who may
// not do what needs root.
func Certified(name string) Identity { return Identity{kind: certified, name: name} }

// Nobody is who said something that cannot be understood. It may do nothing.
func Nobody() Identity { return Identity{kind: nobody} }

// Allows reports whether id may do acc. It may wait for a password to be compared, but not
// for ever; ctx ends that with a refusal.
func (a *Auth) Allows(ctx context.Context, id Identity, acc Access) bool {
	st := a.load()
	if !st.enabled {
		return true
	}
	u, ok := a.identify(ctx, st, id)
	if !ok {
		return false
	}
	if u == nil {
		r := st.role(Guest)
		return r != nil && r.allows(acc)
	}
	return slices.ContainsFunc(u.Roles, func(name string) bool {
		r := st.role(name)
		return r != nil && r.allows(acc)
	})
}

// IsRoot reports whether id may do everything, which anybody may while not enabled. It may
// wait as Allows does.
func (a *Auth) IsRoot(ctx context.Context, id Identity) bool {
	st := a.load()
	if !st.enabled {
		return true
	}
	u, _ := a.identify(ctx, st, id)
	return u != nil && slices.Contains(u.Roles, Root)
}

// identify returns the user that id is, nil for a guest; ok is false for nobody, who is no
// user either.
func (a *Auth) identify(ctx context.Context, st *state, id Identity) (u *user, ok bool) {
	switch id.kind {
	case guest:
		return nil, true
	case certified:
		return st.users[id.name], true
	case basic:
		if u = st.users[id.name]; a.verify(ctx, u, id) {
			return u, true
		}
	}
	return nil, false
}

const (
	// maxWait is how long a login waits for its comparison. etcd's clients wait 2 s.
	maxWait = 1500 * time.Millisecond

	// restFactor is how long a source rests after a failure, in comparisons, and maxRest
	// the longest rest: somebody else there who waits still has a turn.
	restFactor = 3
	maxRest    = maxWait / 3
)

var errBusy = errors.New("too many passwords are being compared")

// acquire waits for one of the slots in which bcrypt may run. It returns false if that takes
// too long or ctx ends.
func (a *Auth) acquire(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case a.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *Auth) release() { <-a.slots }

// verify reports whether the password of id is that of u, which is nil if there is no user
// of that name: then it does the same work.
func (a *Auth) verify(ctx context.Context, u *user, id Identity) bool {
	var stored []byte
	if u != nil {
		stored = u.hash
	}
	t := a.tag(id, stored)
	if right, found := a.recall(t); found {
		return right
	}
	acc := account{sourceOf(id.from), a.tag(Identity{name: id.name}, nil)}
	if !a.mayFail(ctx, acc, id) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	leave := a.lanes.enter(ctx, acc.source)
	if leave == nil {
		return false
	}
	defer leave()
	// Many requests with one new login arrive at once: the first has compared for all.
	if right, found := a.recall(t); found {
		return right
	}
	if !a.mayFail(ctx, acc, id) || !a.rest(ctx, acc.source) || !a.acquire(ctx) {
		return false
	}
	defer a.release()
	began := time.Now()
	if len(stored) == 0 {
		stored = a.dummy
	}
	password := []byte(id.password)
	ok := a.compare(stored, password[:min(len(password), maxPassword)])
	if ok && u != nil && len(password) <= maxPassword {
		a.known.add(t)
		return true
	}
	a.wrong.add(t)
	a.failures.add(acc, min(restFactor*time.Since(began), maxRest))
	return false
}

// recall returns whether the login with that tag was right, if that is remembered.
func (a *Auth) recall(t tag) (right, found bool) {
	right = a.known.has(t)
	return right, right || a.wrong.has(t)
}

// mayFail reports whether acc may fail once more, and logs it when it is the first time that
// its source may not.
func (a *Auth) mayFail(ctx context.Context, acc account, id Identity) bool {
	ok, warn := a.failures.allow(acc)
	if warn {
		a.log.WarnContext(ctx, "too many failed logins, refusing more without looking at them",
			"from", bounded(id.from), "user", bounded(id.name))
	}
	return ok
}

// bounded returns the beginning of what a client has sent, quoted, for the log.
func bounded(s string) string { return fmt.Sprintf("%.64q", s) }

// rest waits until the source has rested from its last failure. It returns false if ctx ends
// first. The rest itself goes on then, or leaving would be a way to have more tries.
func (a *Auth) rest(ctx context.Context, source netip.Prefix) bool {
	d := a.failures.rest(source)
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A tag stands for a login that was right, or wrong.
type tag [sha256.Size]byte

// tag returns the tag of a login against a stored hash.
func (a *Auth) tag(id Identity, stored []byte) tag {
	mac := a.macs.Get().(hash.Hash)
	defer a.macs.Put(mac)
	var scratch [256]byte
	b := scratch[:0]
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(id.name))), id.name...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(id.password))), id.password...)
	b = append(b, stored...)
	mac.Reset()
	_, _ = mac.Write(b) // a hash takes everything
	var t tag
	mac.Sum(t[:0])
	return t
}

// maxRemembered is how many logins a memory holds.
const maxRemembered = 4096

// A memory is a set of logins.
type memory struct {
	mu   sync.RWMutex
	tags map[tag]struct{}
}

func (m *memory) has(t tag) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.tags[t]
	return ok
}

// add remembers t. If there is no room, another one is forgotten, no matter which.
func (m *memory) add(t tag) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tags == nil {
		m.tags = make(map[tag]struct{})
	}
	if len(m.tags) >= maxRemembered {
		for old := range m.tags {
			delete(m.tags, old)
			break
		}
	}
	m.tags[t] = struct{}{}
}
