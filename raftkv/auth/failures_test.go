// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWrongLoginIsRemembered: a client that repeats a wrong login costs one comparison and
// is in nobody's way, and the login is looked at again when the user has another password.
func TestWrongLoginIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAuth()
		mustEnable(t, a)
		var c counter
		count(a, &c)
		login := func(name, password string) bool {
			return a.IsRoot(t.Context(), Basic(name, password, "10.0.0.1:1"))
		}
		for range 1000 {
			if login(Root, "new") || login("unknown", "new") {
				t.Fatal("allowed")
			}
			time.Sleep(time.Second / 2)
		}
		if c.calls != 2 {
			t.Errorf("got %d comparisons, want one for each login", c.calls)
		}
		if !login(Root, "root-pw") {
			t.Error("the right login from there was refused")
		}
		if _, err := a.UpdateUser(t.Context(), Root, "new", nil, nil); err != nil {
			t.Fatal(err)
		}
		if !login(Root, "new") {
			t.Error("what was wrong once stays wrong")
		}
		if _, err := a.CreateUser(t.Context(), "unknown", "new", []string{Root}); err != nil {
			t.Fatal(err)
		}
		if !login("unknown", "new") {
			t.Error("a new user cannot log in with what was wrong before")
		}
		for i := range maxRemembered + 100 {
			a.wrong.add(tag{byte(i), byte(i >> 8), 1})
		}
		c.calls = 0
		if !login(Root, "new") || c.calls != 0 {
			t.Error("wrong logins have displaced a right one")
		}
	})
}

// TestFailuresAreLimited: a name that fails from an address is soon refused there without a
// comparison, and many names refuse the address; others and remembered logins are not, and
// after a second there is one more try.
func TestFailuresAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAuth()
		mustEnable(t, a)
		for _, name := range []string{"ann", "bob", "eve"} {
			mustCreate(t, a, name)
		}
		var c counter
		count(a, &c)
		login := func(name, password, from string) bool {
			return a.verify(t.Context(), a.load().users[name], Basic(name, password, from))
		}
		const here, elsewhere = "10.0.0.1:1", "10.0.0.2:1"
		passwords := 0
		fail := func(what, name string, n, want int) {
			t.Helper()
			before := c.calls
			for range n {
				passwords++
				if login(name, fmt.Sprint("wrong", passwords), here) {
					t.Fatal("allowed")
				}
			}
			if got := c.calls - before; got != want {
				t.Errorf("%s: got %d comparisons, want %d", what, got, want)
			}
		}
		if !login(Root, "root-pw", elsewhere) {
			t.Fatal("refused")
		}
		fail("one name", "ann", 50, failureBurst)
		if login("ann", "ann-pw", here) {
			t.Error("a new login with the same name was compared")
		}
		if !login("bob", "bob-pw", here) || !login("ann", "ann-pw", elsewhere) {
			t.Error("another name, or the same one from elsewhere, was refused")
		}
		time.Sleep(failureTime)
		fail("after a second", "ann", 5, 1)
		time.Sleep(time.Hour)
		fail("after an hour", "ann", 50, failureBurst)

		time.Sleep(time.Hour)
		before := c.calls
		for i := range 2 * sourceBurst {
			fail("", fmt.Sprint("user", i), 1, min(1, max(0, sourceBurst-i)))
		}
		if got := c.calls - before; got != sourceBurst {
			t.Errorf("many names: got %d comparisons, want %d", got, sourceBurst)
		}
		if login("eve", "eve-pw", here) {
			t.Error("a new login from there was compared")
		}
		if !login(Root, "root-pw", here) || !login("eve", "eve-pw", elsewhere) {
			t.Error("a remembered login, or one from elsewhere, was refused")
		}
	})
}

// TestThrottlingIsLogged: once for an address, with little of what it has sent.
func TestThrottlingIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := New(Config{Store: newFakeStore(), Changed: errChanged, Cost: 4, Log: slog.New(slog.NewTextHandler(&log, nil))})
		mustEnable(t, a)
		name := "ann\n" + strings.Repeat("x", 1000)
		fail := func(from string, n int) {
			for i := range n {
				if a.IsRoot(t.Context(), Basic(name, fmt.Sprint("secret", time.Now(), i), from)) {
					t.Fatal("allowed")
				}
			}
		}
		want := func(what string, lines int) {
			t.Helper()
			if got := strings.Count(log.String(), "level=WARN"); got != lines {
				t.Errorf("%s: got %d warnings, want %d:\n%s", what, got, lines, &log)
			}
		}
		fail("10.0.0.1:1", failureBurst)
		want("not refused yet", 0)
		fail("10.0.0.1:1", 100)
		want("refused", 1)
		if s := log.String(); !strings.Contains(s, "10.0.0.1:1") || !strings.Contains(s, "ann") ||
			strings.Contains(s, "secret") || len(s) > 400 {
			t.Errorf("got %s, want the address and the beginning of the name", s)
		}
		fail("10.0.0.2:1", 100)
		want("another address", 2)
		time.Sleep(warnTime)
		fail("10.0.0.1:1", 100)
		want("later", 3)
	})
}

// TestFlood: failures from everywhere share the slots there are, and who waits too long is
// refused; who has logged in before does not notice.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAuth()
		a.slots = make(chan struct{}, 2)
		mustEnable(t, a)
		id := Basic(Root, "root-pw", "10.1.1.1:1")
		if !a.IsRoot(t.Context(), id) {
			t.Fatal("refused")
		}
		c := counter{takes: 50 * time.Millisecond}
		count(a, &c)
		ctx := context.Background()
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				if a.IsRoot(ctx, Basic(Root, "wrong", fmt.Sprintf("10.0.%d.%d:1", i/250, i%250))) {
					t.Error("allowed")
				}
			})
		}
		synctest.Wait()
		at := time.Now()
		if !a.IsRoot(ctx, id) || time.Now() != at {
			t.Error("a remembered login was refused or had to wait")
		}
		wg.Wait()
		if got := time.Since(began); got < maxWait || got > maxWait+c.takes {
			t.Errorf("the flood took %v, want %v: who waits longer is refused", got, maxWait)
		}
		if c.most != 2 {
			t.Errorf("%d comparisons ran at once, want 2", c.most)
		}
	})
}

// TestOneSource: an address has one comparison at a time and rests after failures, for which
// nobody else has to wait.
func TestOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAuth()
		a.slots = make(chan struct{}, 4)
		mustEnable(t, a)
		c := counter{takes: 50 * time.Millisecond}
		count(a, &c)
		ctx := context.Background()
		const here, elsewhere = "10.0.0.1:1", "10.0.0.2:1"
		began := time.Now()
		took := func(what string, want time.Duration) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("%s took %v, want %v", what, got, want)
			}
		}
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if a.IsRoot(ctx, Basic(Root, fmt.Sprint("wrong", i), here)) {
					t.Error("allowed")
				}
			})
		}
		wg.Wait()
		took("five failures", 5*c.takes+4*restFactor*c.takes)
		if c.most != 1 {
			t.Errorf("%d comparisons ran at once, want 1", c.most)
		}
		began = time.Now()
		if !a.IsRoot(ctx, Basic(Root, "root-pw", here)) {
			t.Error("refused after the rest")
		}
		took("a login in the rest", restFactor*c.takes+c.takes)

		// With one slot, others need not wait for the rest.
		a, _ = newTestAuth()
		a.slots = make(chan struct{}, 1)
		mustEnable(t, a)
		count(a, &c)
		if a.IsRoot(ctx, Basic(Root, "wrong", here)) {
			t.Error("allowed")
		}
		began = time.Now()
		if !a.IsRoot(ctx, Basic(Root, "root-pw", elsewhere)) {
			t.Error("refused elsewhere")
		}
		took("a login from elsewhere", c.takes)
		// A comparison that takes long does not make the rest longer than logins wait.
		c.takes = 2 * time.Second
		if a.IsRoot(ctx, Basic(Root, "wrong2", elsewhere)) || !a.IsRoot(ctx, Basic(Root, "root-pw", elsewhere)) {
			t.Error("allowed, or refused")
		}
		if len(a.lanes.open) != 0 {
			t.Errorf("%d lanes stay", len(a.lanes.open))
		}
	})
}

// TestWaitIsBounded: a login waits for its comparison less than etcd's clients wait for it,
// also behind others of its address.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAuth()
		mustEnable(t, a)
		for range cap(a.slots) {
			a.slots <- struct{}{}
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if a.IsRoot(context.Background(), Basic(Root, "root-pw", "10.0.0.1:1")) {
					t.Error("allowed without a comparison")
				}
				if got := time.Since(began); got != maxWait {
					t.Errorf("waited %v, want %v", got, maxWait)
				}
			})
		}
		wg.Wait()
		for range cap(a.slots) {
			a.release()
		}
		if !a.IsRoot(context.Background(), Basic(Root, "root-pw", "10.0.0.1:1")) || len(a.lanes.open) != 0 {
			t.Errorf("refused with free slots, or %d lanes stay", len(a.lanes.open))
		}
	})
}
