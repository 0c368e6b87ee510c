// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// maxLeap is how far the wall clock may get ahead of the time that has passed.
	maxLeap = 24 * time.Hour

	// leapHold is how long a greater leap is disbelieved.
	leapHold = 5 * time.Minute

	// slowDown is the share of the time, 1/slowDown, that is left out while the wall
	// clock is behind.
	slowDown = 8
)

// A clock is what a node writes into its log entries. It follows the wall clock, with
// two exceptions, since every key with a time to live hangs on it:
//
// When the wall clock is behind (somebody set it back, or the last leader's was ahead),
// the time of the log cannot follow. Then it goes on by the time that passes, at 7/8 of
// its speed until the wall clock has caught up, so that keys still expire: an hour is
// made up for in eight, and a ttl of 60 s takes 69 s meanwhile.
//
// When the wall clock leaps ahead by more than a day while the node runs, that is not
// believed for five minutes: one wrong answer of a time server must not expire every
// key. If the wall clock stays there it was set right, or the machine was suspended.
//
// When a node begins to lead, the wall clock is believed as it is: a machine that was
// off for a week cannot be told from one whose clock is wrong, and the first is common.
type clock struct {
	now func() time.Time     // wall clock
	run func() time.Duration // time that has passed since some moment; never goes back
	log *slog.Logger

	mu      sync.Mutex
	value   int64         // what was last returned, Unix nanoseconds
	at      time.Duration // run() at that time
	leapt   bool          // the wall clock is too far ahead
	leaptAt time.Duration
}

func newClock(now func() time.Time, log *slog.Logger) *clock {
	start := time.Now()
	c := &clock{now: now, run: func() time.Duration { return time.Since(start) }, log: log}
	c.value, c.at = now().UnixNano(), c.run()
	return c
}

// read returns the time for an entry, Unix time in nanoseconds. It never goes back.
func (c *clock) read() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, run := c.now().UnixNano(), c.run()
	passed := run - c.at
	if c.disbelievedLocked(wall, run, passed) {
		wall = c.value + int64(passed)
	}
	if wall < c.value {
		wall = c.value + int64(passed-passed/slowDown)
	}
	c.value, c.at = wall, run
	return wall
}

// disbelievedLocked reports whether the wall clock is too far ahead to be followed.
func (c *clock) disbelievedLocked(wall int64, run, passed time.Duration) bool {
	leap := time.Duration(wall - c.value - int64(passed))
	if leap <= maxLeap {
		c.leapt = false
		return false
	}
	if !c.leapt {
		c.leapt, c.leaptAt = true, run
		c.log.Error("the clock has leapt ahead; it is not followed for a while, so that keys do not expire by mistake",
			"by", leap, "for", leapHold)
	}
	if run-c.leaptAt < leapHold {
		return true
	}
	c.log.Warn("the clock has stayed ahead; following it again", "by", leap)
	c.leapt = false
	return false
}

// seed begins with the state machine's clock, Unix nanoseconds, when the node begins
// to lead.
func (c *clock) seed(machine int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.now().UnixNano()
	ahead := time.Duration(wall - machine)
	switch {
	case machine == 0:
	case ahead > maxLeap:
		c.log.Warn("the clock is far ahead of the last entry in the log; keys whose time to live has passed expire now",
			"by", ahead)
	case ahead < -time.Minute:
		c.log.Warn("the clock is behind the last entry in the log; the time of keys runs on from there", "by", -ahead)
	}
	c.value, c.at, c.leapt = max(wall, machine), c.run(), false
}
