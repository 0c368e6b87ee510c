// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// PollConfig says what a Poll reads, and how often.
type PollConfig struct {
	// Read reads everything there is. It is called by one goroutine at a time. An
	// unchanged source is cheapest told by returning the same Keys as the last time.
	Read func(ctx context.Context) (Keys, error)

	// Interval is the time from one read to the next while somebody waits, and the
	// longest time a Snapshot may lag behind the source. Zero means 10 seconds.
	Interval time.Duration

	// Log is told of reads that fail while somebody waits, once per error, and of the
	// recovery. Nil discards.
	Log *slog.Logger
}

// A Poll makes a Backend of a source that can only be read as a whole. It starts no
// goroutine: those who wait take turns in reading for all, and when nobody waits
// nothing is read.
//
// Snapshot reads, unless the last read is younger than the interval; it fails if that
// read failed. Wait does not fail when a read does: it goes on trying, because the
// values may be back the next time and an error is no news about them.
type Poll struct {
	read     func(ctx context.Context) (Keys, error)
	interval time.Duration
	log      *slog.Logger

	reading chan struct{} // holds one token while somebody reads

	mu     sync.Mutex
	keys   Keys          // of the last read that succeeded; nil before the first
	index  uint64        // counts the reads that found a change; 0 before the first
	err    error         // of the last read
	since  time.Time     // when reads began to fail; zero if the last one did not
	logged string        // the error told to the log, "" if it is in order
	due    time.Time     // of the next read
	pokes  uint64        // calls of Poke
	news   chan struct{} // closed and replaced when index changes, and by Poke
}

// NewPoll returns a backend that reads by cfg.Read. Nothing is read yet.
func NewPoll(cfg PollConfig) *Poll {
	p := &Poll{
		read:     cfg.Read,
		interval: cfg.Interval,
		log:      cfg.Log,
		reading:  make(chan struct{}, 1),
		news:     make(chan struct{}),
	}
	if p.interval <= 0 {
		p.interval = 10 * time.Second
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// Poke says that the source may have changed: whoever waits reads now, and the next
// Snapshot reads in any case. It never blocks.
func (p *Poll) Poke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = time.Time{}
	p.pokes++
	p.wakeLocked()
}

func (p *Poll) wakeLocked() {
	close(p.news)
	p.news = make(chan struct{})
}

// Snapshot returns the keys under the prefixes as of a read that is not older than the
// interval.
func (p *Poll) Snapshot(ctx context.Context, prefixes []string) (Snapshot, error) {
	p.mu.Lock()
	due := !time.Now().Before(p.due)
	p.mu.Unlock()
	if due {
		if err := p.turn(ctx); err != nil {
			return Snapshot{}, err
		}
	}
	p.mu.Lock()
	keys, index, err := p.keys, p.index, p.err
	p.mu.Unlock()
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Keys: keys.Under(prefixes), Index: index}, nil
}

// Wait blocks until a read finds the keys changed since index. It does not look at the
// prefixes: whoever waits is woken by every change.
func (p *Poll) Wait(ctx context.Context, _ []string, index uint64) error {
	for {
		p.mu.Lock()
		if p.index != index {
			p.mu.Unlock()
			return nil
		}
		news, pause := p.news, time.Until(p.due)
		p.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if pause <= 0 {
			if err := p.turn(ctx); err != nil {
				return err
			}
			p.tell(ctx)
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-news:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Outage returns since when reads have failed, and why.
func (p *Poll) Outage() (since time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since, p.err
}

// turn waits for the turn to read, and reads if that is still due. The error is
// ctx's; that of the read is kept.
func (p *Poll) turn(ctx context.Context) error {
	select {
	case p.reading <- struct{}{}:
		defer func() { <-p.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	due := !time.Now().Before(p.due)
	old, pokes := p.keys, p.pokes
	p.mu.Unlock()
	if !due {
		return nil
	}

	keys, err := p.read(ctx)
	same := err == nil && old != nil && Equal(old, keys)

	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // it was broken off, and remains due
	}
	switch p.err = err; {
	case err == nil:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = time.Now()
	}
	if p.pokes == pokes { // a later Poke is about something the read may have missed
		p.due = time.Now().Add(p.interval)
	}
	if err == nil && !same {
		p.keys = keys
		p.index++
		p.wakeLocked()
	}
	return nil
}

// tell logs the error of the last read, or its end, unless that has been done.
func (p *Poll) tell(ctx context.Context) {
	p.mu.Lock()
	err, text := p.err, ""
	if err != nil {
		text = err.Error()
	}
	before := p.logged
	p.logged = text
	p.mu.Unlock()
	switch {
	case text == before:
	case err != nil:
		p.log.WarnContext(ctx, "reading values, the last ones stay in force", "err", err)
	default:
		p.log.InfoContext(ctx, "reading values works again")
	}
}
