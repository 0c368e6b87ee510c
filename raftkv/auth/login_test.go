// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestAllows: who may do what, while enabled and not.
func TestAllows(t *testing.T) {
	a, _ := newTestAuth()
	ctx := t.Context()
	mustCreate(t, a, "ann", "missing", "reader")
	mustCreate(t, a, "bob", "writer", "reader")
	mustCreate(t, a, "eve")
	mustCreate(t, a, "adm", "reader", Root)
	for _, r := range []Role{
		{"reader", Permissions{Read: []string{"/r/*"}}},
		{"writer", Permissions{Write: []string{"/w", "/r/w*"}}},
		{Guest, Permissions{Read: []string{"/g", "/open/*"}}},
	} {
		if err := a.CreateRole(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	user := func(name string) Identity { return Basic(name, name+"-pw", "10.0.0.1:1") }
	tests := []struct {
		who  string
		id   Identity
		acc  Access
		want bool
	}{
		{"reader", user("ann"), Access{Key: "/r/a"}, true},
		{"reader, recursive", user("ann"), Access{Key: "/r/a", Recursive: true}, true},
		{"reader above", user("ann"), Access{Key: "/r"}, false},
		{"reader writes", user("ann"), Access{Key: "/r/a", Write: true}, false},
		{"user does what guests may", user("ann"), Access{Key: "/g"}, false},
		{"second role", user("bob"), Access{Key: "/r/a"}, true},
		{"writer", user("bob"), Access{Key: "/w", Write: true}, true},
		{"writer, recursive", user("bob"), Access{Key: "/w", Write: true, Recursive: true}, false},
		{"no role", user("eve"), Access{Key: "/r/a"}, false},
		{"role root", user("adm"), Access{Key: "/", Write: true, Recursive: true}, true},
		{"root", user(Root), Access{Key: "/any", Write: true}, true},
		{"guest", Identity{}, Access{Key: "/g"}, true},
		{"guest, recursive", Identity{}, Access{Key: "/g", Recursive: true}, false},
		{"guest, recursive prefix", Identity{}, Access{Key: "/open/x", Recursive: true}, true},
		{"guest writes", Identity{}, Access{Key: "/g", Write: true}, false},
		{"wrong password", Basic("ann", "x", "10.0.0.2:1"), Access{Key: "/r/a"}, false},
		{"wrong password is no guest", Basic("ann", "x", "10.0.0.2:1"), Access{Key: "/g"}, false},
		{"no password", Basic("ann", "", "10.0.0.2:1"), Access{Key: "/r/a"}, false},
		{"unknown user", Basic("zoe", "x", "10.0.0.2:1"), Access{Key: "/g"}, false},
		{"no name", Basic("", "", "10.0.0.2:1"), Access{Key: "/g"}, false},
		{"nobody", Nobody(), Access{Key: "/g"}, false},
		{"certificate", Certified("ann"), Access{Key: "/r/a"}, true},
		{"certificate of root", Certified(Root), Access{Key: "/r/a", Write: true}, true},
		{"certificate of a guest", Certified("zoe"), Access{Key: "/g"}, true},
		{"certificate of a guest", Certified("zoe"), Access{Key: "/r/a"}, false},
	}
	for _, test := range tests {
		if !a.Allows(ctx, test.id, test.acc) || !a.IsRoot(ctx, test.id) {
			t.Errorf("%s: refused before it was enabled", test.who)
		}
	}
	mustEnable(t, a)
	for _, test := range tests {
		if got := a.Allows(ctx, test.id, test.acc); got != test.want {
			t.Errorf("%s: %+v: got %v", test.who, test.acc, got)
		}
	}
	for who, want := range map[string]bool{Root: true, "adm": true, "ann": false, "eve": false} {
		if got := a.IsRoot(ctx, user(who)); got != want {
			t.Errorf("%s is root: %v", who, got)
		}
		if got := a.IsRoot(ctx, Certified(who)); got != want {
			t.Errorf("the certificate of %s is root: %v", who, got)
		}
	}
	for who, id := range map[string]Identity{"guest": {}, "nobody": Nobody(), "zoe": Certified("zoe"), "wrong": Basic(Root, "x", "10.0.0.3:1")} {
		if a.IsRoot(ctx, id) {
			t.Errorf("%s is root", who)
		}
	}
	if err := a.DeleteRole(ctx, Guest); err != nil {
		t.Fatal(err)
	}
	if a.Allows(ctx, Identity{}, Access{Key: "/g"}) {
		t.Error("a guest may read without the role guest")
	}
}

// TestLoginIsRemembered: a login is compared once, and what is remembered ends with the
// password and with the user.
func TestLoginIsRemembered(t *testing.T) {
	a, _ := newTestAuth()
	ctx := t.Context()
	mustEnable(t, a)
	mustCreate(t, a, "ann", Guest)
	var c counter
	count(a, &c)
	may := func(password string) bool { return a.Allows(ctx, Basic("ann", password, ""), Access{Key: "/a"}) }
	for range 100 {
		if !may("ann-pw") {
			t.Fatal("refused")
		}
	}
	if c.calls != 1 {
		t.Errorf("got %d comparisons, want 1", c.calls)
	}
	if _, err := a.UpdateUser(ctx, "ann", "new", nil, nil); err != nil {
		t.Fatal(err)
	}
	if may("ann-pw") || !may("new") || c.calls != 3 {
		t.Errorf("the old password is good, or the new one is not (%d comparisons)", c.calls)
	}
	// Another role does not change the password.
	if _, err := a.UpdateUser(ctx, "ann", "", []string{"x"}, nil); err != nil || !may("new") || c.calls != 3 {
		t.Errorf("%v; got %d comparisons, want 3", err, c.calls)
	}
	if err := a.DeleteUser(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	if may("new") {
		t.Error("a deleted user may read")
	}
	if _, err := a.CreateUser(ctx, "ann", "new", nil); err != nil {
		t.Fatal(err)
	}
	if may("new") {
		t.Error("a user made anew has the roles of the old one")
	}
	// Parts of a login do not run into each other.
	if a.tag(Basic("ab", "c", ""), nil) == a.tag(Basic("a", "bc", ""), nil) {
		t.Error("two logins have the same tag")
	}
	if b, _ := newTestAuth(); a.tag(Basic("a", "b", ""), nil) == b.tag(Basic("a", "b", ""), nil) {
		t.Error("two processes make the same tags")
	}
}

// TestUnknownUsersCostTheSame: a login that fails is compared once, against a hash of the
// same cost, whatever is wrong with it.
func TestUnknownUsersCostTheSame(t *testing.T) {
	a, store := newTestAuth()
	mustEnable(t, a)
	long := strings.Repeat("x", maxPassword)
	if _, err := a.CreateUser(t.Context(), "long", long, nil); err != nil {
		t.Fatal(err)
	}
	store.set(userPrefix+"broken", []byte("{"))
	var c counter
	count(a, &c)
	for i, id := range []Identity{
		Basic(Root, "wrong", ""), Basic("unknown", "wrong", ""), Basic("", "", ""), Basic("broken", "", ""),
		Basic("long", long+"y", ""), Basic("long", long+"\x00", ""), Basic("unknown", long+long, ""),
	} {
		if a.IsRoot(t.Context(), id) || a.Allows(t.Context(), id, Access{Key: "/a"}) {
			t.Errorf("%d: allowed", i)
		}
		if c.calls != 1 || c.costs[0] != bcrypt.MinCost {
			t.Errorf("%d: got %d comparisons of costs %d, want 1 of %d", i, c.calls, c.costs, bcrypt.MinCost)
		}
		c.calls, c.costs = 0, nil
	}
	if got := a.verify(t.Context(), a.load().users["long"], Basic("long", long, "")); !got {
		t.Error("a password of 72 bytes is refused")
	}
	a = New(Config{Store: store, Changed: errChanged})
	if cost, err := bcrypt.Cost(a.dummy); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("the hash of nobody has cost %d (%v), want %d", cost, err, bcrypt.DefaultCost)
	}
}

// TestSameLoginAtOnce: of many requests with the same new login one is compared.
func TestSameLoginAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAuth()
		a.slots = make(chan struct{}, 1)
		mustEnable(t, a)
		c := counter{takes: 50 * time.Millisecond}
		count(a, &c)
		ctx := context.Background()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if !a.IsRoot(ctx, Basic(Root, "root-pw", "10.0.0.1:1")) {
					t.Error("refused")
				}
			})
		}
		wg.Wait()
		if c.calls != 1 {
			t.Errorf("got %d comparisons, want 1", c.calls)
		}
	})
}

// TestLoginEndsWithItsRequest: a client that leaves does not wait for its turn.
func TestLoginEndsWithItsRequest(t *testing.T) {
	a, _ := newTestAuth()
	mustEnable(t, a)
	for range cap(a.slots) {
		a.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a.IsRoot(ctx, Basic(Root, "root-pw", "")) {
		t.Error("allowed without a comparison")
	}
	if _, err := a.CreateUser(ctx, "ann", "p", nil); err == nil {
		t.Error("hashed without a slot")
	}
}

func TestSources(t *testing.T) {
	tests := []struct{ from, want string }{
		{"10.0.0.1:5000", "10.0.0.1/32"},
		{"10.0.0.1:5001", "10.0.0.1/32"},
		{"[::ffff:10.0.0.1]:5000", "10.0.0.1/32"},
		{"[2001:db8::1]:1", "2001:db8::/64"},
		{"[2001:db8::ffff:2]:2", "2001:db8::/64"},
		{"[fe80::1%eth0]:2", "fe80::/64"},
		{"@", "invalid Prefix"},
		{"", "invalid Prefix"},
	}
	for _, test := range tests {
		if got := sourceOf(test.from).String(); got != test.want {
			t.Errorf("%q: got %s, want %s", test.from, got, test.want)
		}
	}
}

// TestMemoryIsBounded: neither logins nor addresses fill the memory.
func TestMemoryIsBounded(t *testing.T) {
	var m memory
	var last tag
	for i := range maxRemembered + 100 {
		last = tag{byte(i), byte(i >> 8), byte(i >> 16), 1}
		m.add(last)
	}
	if len(m.tags) != maxRemembered || !m.has(last) {
		t.Errorf("got %d logins, want %d with the last one", len(m.tags), maxRemembered)
	}
	now := time.Unix(1e9, 0)
	f := newFailures(func() time.Time { return now })
	source := func(i int) account { return account{source: sourceOf(fmt.Sprintf("10.%d.%d.1:1", i/250, i%250))} }
	sizes := func(what string, want int) {
		t.Helper()
		got := []int{len(f.accounts), len(f.sources), len(f.rests)}
		if !slices.Equal(got, []int{want, want, want}) {
			t.Errorf("%s: got %d names, addresses and rests, want %d of each", what, got, want)
		}
	}
	for i := range maxCounted + 100 {
		f.add(source(i), time.Second)
	}
	sizes("full", maxCounted)
	now = now.Add(failureTime)
	f.add(source(maxCounted+200), time.Second)
	sizes("those that have failed lately", 1)
}

// BenchmarkRemembered is what a request pays that has logged in before.
func BenchmarkRemembered(b *testing.B) {
	a, _ := newTestAuth()
	if _, err := a.CreateUser(b.Context(), Root, "p", nil); err != nil {
		b.Fatal(err)
	}
	if err := a.Enable(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	id := Basic(Root, "p", "10.0.0.1:1")
	b.ReportAllocs()
	for b.Loop() {
		if !a.Allows(ctx, id, Access{Key: "/a"}) {
			b.Fatal("refused")
		}
	}
}

// BenchmarkOff is what a request pays while authentication is off.
func BenchmarkOff(b *testing.B) {
	a, _ := newTestAuth()
	b.ReportAllocs()
	for b.Loop() {
		if a.Enabled() {
			b.Fatal("enabled")
		}
	}
}
