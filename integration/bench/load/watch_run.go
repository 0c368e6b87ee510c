// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// A watchRun is writes that are being made.
type watchRun struct {
	Writes
	w        *Watches
	sent     int
	open     []written // those that not all have been told of, oldest first
	got      []int     // how many events each watcher has got
	measures bool
	ended    bool
	from     time.Time
	cpu      time.Duration
	seen     Seen
}

// A written is a write that was sent.
type written struct {
	sent, acked, told time.Time
	missing           int // events
}

// Write makes writes and waits for their events. It returns the first error of a
// connection, an answer or an event; the watches are of no use after one.
func (w *Watches) Write(ctx context.Context, job Writes) (Seen, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := w.renew(); err != nil {
		return Seen{}, err
	}
	r := &watchRun{Writes: job, w: w, got: make([]int, len(w.c.conns)), seen: Seen{Woken: new(Histogram), After: new(Histogram)}}
	w.event = r.event
	warm := time.Now().Add(job.For / 10)
	for {
		now := time.Now()
		if r.between() && (!r.measures && !r.ended && (job.Total > 0 || now.After(warm)) || r.due(now)) {
			if err := r.mark(now); err != nil {
				return Seen{}, err
			}
		}
		if err := r.next(); err != nil {
			return Seen{}, err
		}
		if len(r.open) == 0 && w.opening == 0 && r.ended {
			return r.seen, nil
		}
		if len(r.open) == 0 && w.opening == 0 {
			continue // the last of Total has been seen
		}
		if err := w.wait(ctx); err != nil {
			return Seen{}, err
		}
	}
}

// between says whether the measurement may begin or end. If there is one write at a time that is
// between two, or what a server does for a part of one would be counted without it, and a round
// may have few.
func (r *watchRun) between() bool { return r.Window > 1 || len(r.open) == 0 }

// due says whether the measurement is to end.
func (r *watchRun) due(now time.Time) bool {
	if !r.measures {
		return false
	}
	if r.Total > 0 {
		return r.seen.Writes == r.Total
	}
	return r.seen.Writes > 0 && now.Sub(r.from) > r.For
}

// mark begins the measurement, or ends it.
func (r *watchRun) mark(now time.Time) error {
	if r.measures {
		r.seen.Took, r.seen.CPU = now.Sub(r.from), ownCPU()-r.cpu
		r.measures, r.ended = false, true
	} else {
		r.measures, r.from, r.cpu = true, now, ownCPU()
	}
	if r.Mark == nil {
		return nil
	}
	return r.Mark()
}

// next sends the next write if there is to be one now.
func (r *watchRun) next() error {
	c := r.w.c.conns[0]
	if r.ended || c.busy || r.w.opening > 0 || len(r.open) == r.Window || r.Total > 0 && r.sent == r.Total {
		return nil
	}
	c.n, c.busy = r.sent, true
	r.sent++
	c.out, c.sent = r.Request(c.out[:0], c.n), 0
	r.open = append(r.open, written{sent: time.Now(), missing: r.Watchers})
	return c.send(r.w.c.epoll)
}

// event takes what has come for the current connection: the answer to a write, or an
// event.
func (r *watchRun) event(text []byte) error {
	c := r.w.current
	if c.index == 0 {
		return r.answer(c)
	}
	if c.index > r.Watchers {
		return fmt.Errorf("an event at watcher %d, which has none: %.300q", c.index, text)
	}
	n := r.got[c.index]
	r.got[c.index]++
	if n >= r.sent {
		return fmt.Errorf("one event more than writes at watcher %d: %.300q", c.index, text)
	}
	if err := r.Event(n, text); err != nil {
		return fmt.Errorf("event of write %d: %w: %.300q", n, err, text)
	}
	of := &r.open[n-(r.sent-len(r.open))]
	of.missing--
	of.told = r.w.at
	r.settle()
	return nil
}

// answer takes the answer to a write.
func (r *watchRun) answer(c *conn) error {
	if !c.busy {
		return errors.New("an answer to no write")
	}
	done, err := c.parse()
	if !done {
		return err
	}
	if err := r.Check(0, c.n, &c.resp); err != nil {
		return fmt.Errorf("write %d: %w; status %d, %.300q", c.n, err, c.resp.Status, c.resp.Body)
	}
	c.busy = false
	c.reset()
	r.open[len(r.open)-1].acked = r.w.at
	r.settle()
	return nil
}

// settle counts the oldest writes that are answered and seen by all.
func (r *watchRun) settle() {
	for len(r.open) > 0 && r.open[0].missing == 0 && !r.open[0].acked.IsZero() {
		if of := r.open[0]; r.measures {
			r.seen.Writes++
			r.seen.Events += r.Watchers
			r.seen.Woken.Record(of.told.Sub(of.sent))
			r.seen.After.Record(of.told.Sub(of.acked))
		}
		r.open = r.open[1:]
	}
}
