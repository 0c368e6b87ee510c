// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"confd/backends"
)

// counting is a source whose reads are counted. Its owner changes it between reads.
type counting struct {
	mu    sync.Mutex
	reads int
	value string
	err   error
	takes time.Duration
}

func (c *counting) set(value string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.err = value, err
}

func (c *counting) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

func (c *counting) read(ctx context.Context) (backends.Keys, error) {
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	if c.err != nil {
		return nil, c.err
	}
	m := backends.NewMap()
	m.Set("/a", c.value)
	return m.Keys(), nil
}

// A record is a log that may be read while it is written.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Write(p)
}

func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.buf.String(), text)
}

var root = []string{"/"}

// TestPollReads counts the reads: one per interval, however many wait, and none while
// nobody does.
func TestPollReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{value: "1", takes: time.Millisecond}
		p := backends.NewPoll(backends.PollConfig{Read: c.read, Interval: time.Second})
		snap, err := p.Snapshot(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := p.Snapshot(t.Context(), root); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.count(); got != 1 {
			t.Errorf("reads of 11 snapshots within the interval: got %d, want 1", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var waiters sync.WaitGroup
		for range 50 {
			waiters.Go(func() {
				if err := p.Wait(ctx, root, snap.Index); !errors.Is(err, context.Canceled) {
					t.Errorf("Wait: got %v, want %v", err, context.Canceled)
				}
			})
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		if got := c.count(); got != 11 {
			t.Errorf("reads for 50 that wait 10 intervals: got %d, want 1 and 10 more", got)
		}
		cancel()
		waiters.Wait()
		time.Sleep(time.Hour)
		if got := c.count(); got != 11 {
			t.Errorf("reads while nobody waits: got %d, want none", got-11)
		}
	})
}

func TestPollWakesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{value: "1"}
		p := backends.NewPoll(backends.PollConfig{Read: c.read, Interval: time.Second})
		snap, err := p.Snapshot(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var waiters sync.WaitGroup
		for range 50 {
			waiters.Go(func() {
				if err := p.Wait(t.Context(), root, snap.Index); err != nil {
					t.Errorf("Wait: %v", err)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("woken after %v", took)
				}
			})
		}
		c.set("2", nil)
		waiters.Wait()
		if got := c.count(); got != 2 {
			t.Errorf("reads: got %d, want 2", got)
		}
	})
}

// TestPollTurnPassesOn: when the one who reads for all gives up, another one reads.
func TestPollTurnPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{value: "1"}
		p := backends.NewPoll(backends.PollConfig{Read: c.read, Interval: time.Hour})
		snap, err := p.Snapshot(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		c.takes = time.Second
		c.set("2", nil)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- p.Wait(ctx, root, snap.Index) }()
		synctest.Wait()
		p.Poke()
		synctest.Wait() // the first one reads now
		second := make(chan error, 1)
		go func() { second <- p.Wait(t.Context(), root, snap.Index) }()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("Wait that was broken off: got %v, want %v", err, context.Canceled)
		}
		start := time.Now()
		if err := <-second; err != nil {
			t.Errorf("Wait: %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the read was taken over after %v", took)
		}
	})
}

// TestPollErrors: Snapshot fails, Wait does not, and the log hears of each error once.
func TestPollErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out record
		c := &counting{err: errors.New("down")}
		p := backends.NewPoll(backends.PollConfig{Read: c.read, Interval: time.Second, Log: slog.New(slog.NewTextHandler(&out, nil))})
		if _, err := p.Snapshot(t.Context(), root); err == nil || err.Error() != "down" {
			t.Errorf("Snapshot while the source is down: got %v, want its error", err)
		}
		woken := make(chan error, 1)
		go func() { woken <- p.Wait(t.Context(), root, 0) }()
		time.Sleep(10 * time.Second)
		if got := out.count("level=WARN"); got != 1 {
			t.Errorf("warnings after 10 failed reads: got %d, want 1", got)
		}
		c.set("1", nil)
		if err := <-woken; err != nil {
			t.Errorf("Wait for the source: %v", err)
		}
		snap, err := p.Snapshot(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.count("works again"); got != 1 {
			t.Errorf("messages of the recovery: got %d, want 1", got)
		}

		// Down and up again with the same values is no news.
		c.set("", errors.New("down again"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		go func() {
			time.Sleep(5 * time.Second)
			c.set("1", nil)
		}()
		if err := p.Wait(ctx, root, snap.Index); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait over a failure without a change: got %v, want %v", err, context.DeadlineExceeded)
		}
		if got := out.count("level=WARN"); got != 2 {
			t.Errorf("warnings of two errors: got %d, want 2", got)
		}
	})
}

// TestPollPokes: however often the source seems to change, a Snapshot ends.
func TestPollPokes(t *testing.T) {
	var p *backends.Poll
	n := 0
	p = backends.NewPoll(backends.PollConfig{Interval: time.Hour, Read: func(context.Context) (backends.Keys, error) {
		p.Poke()
		n++
		m := backends.NewMap()
		m.Set("/a", fmt.Sprint(n))
		return m.Keys(), nil
	}})
	for want := 1; want < 5; want++ {
		snap, err := p.Snapshot(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := snap.Keys.Get("/a"); got != fmt.Sprint(want) {
			t.Errorf("snapshot %d: got %q", want, got)
		}
	}
}

// Whoever goes on with the last values can tell since when.
func TestPollOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		p := backends.NewPoll(backends.PollConfig{Interval: time.Second, Read: func(context.Context) (backends.Keys, error) {
			if failing.Load() {
				return nil, errors.New("gone")
			}
			return backends.NewMap().Keys(), nil
		}})
		var _ backends.Reporter = p
		snap, err := p.Snapshot(t.Context(), []string{"/"})
		if err != nil {
			t.Fatal(err)
		}
		wait := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			p.Wait(ctx, []string{"/"}, snap.Index)
		}
		failing.Store(true)
		start := time.Now()
		wait(10500 * time.Millisecond)
		if since, err := p.Outage(); err == nil || since.Sub(start) > time.Second {
			t.Errorf("got %v, %v; it began at %v", since, err, start)
		}
		failing.Store(false)
		wait(2 * time.Second)
		if since, err := p.Outage(); err != nil || !since.IsZero() {
			t.Errorf("afterwards: %v, %v", since, err)
		}
	})
}
