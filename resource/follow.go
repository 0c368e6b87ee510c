// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"confd/backends"
)

// Follow applies the resources whenever the values that they depend on change, until
// ctx ends; then it waits for reloads that run, up to Config.StopTimeout, and returns
// nil. What fails is logged and tried again, be it a template, a command or the
// backend. One goroutine per lane: they do not wait for each other.
func (run *Runner) Follow(ctx context.Context) error {
	working := make(map[*lane]*worker)
	var leaving []*worker // of lanes that are no more, and in whose reloads something may hang
	for {
		leaving = slices.DeleteFunc(leaving, (*worker).hasEnded)
		for _, l := range run.lanes {
			if working[l] == nil {
				working[l] = startWorker(ctx, run, l, before(l, leaving))
			}
		}
		run.tellPassed()
		select {
		case <-ctx.Done(): // also if there are no resources
			for _, w := range working {
				w.wait()
			}
			for _, w := range leaving {
				w.wait()
			}
			return nil
		case again := <-run.rereads:
			run.reread(again.retry, func(gone []*lane) {
				for _, l := range gone {
					working[l].cancel()
					leaving = append(leaving, working[l])
					delete(working, l)
				}
			})
			for _, l := range run.lanes {
				if working[l] != nil {
					l.poke.now()
				}
			}
			close(again.done)
		}
	}
}

// A worker is the goroutine of a lane.
type worker struct {
	lane   *lane
	cancel context.CancelFunc
	ended  chan struct{} // closed at its end
}

// startWorker starts the goroutine of a lane, which begins when those of the lanes whose
// files and reloads it takes over have ended.
func startWorker(ctx context.Context, run *Runner, l *lane, before []*worker) *worker {
	ctx, cancel := context.WithCancel(ctx)
	w := &worker{lane: l, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for _, b := range before {
			b.wait()
		}
		l.takeOver()
		l.follow(ctx, run)
		run.forgetOutages(l)
	}()
	return w
}

func (w *worker) wait() {
	<-w.ended
	w.cancel()
}

func (w *worker) hasEnded() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// before returns those that must have ended before the lane begins.
func before(l *lane, leaving []*worker) []*worker {
	return slices.DeleteFunc(slices.Clone(leaving), func(w *worker) bool { return !l.touches(w.lane) })
}

func (l *lane) follow(ctx context.Context, run *Runner) {
	recheck := run.nextRecheck()
	for why := forAll; ctx.Err() == nil; {
		snap, err := run.backend.Snapshot(ctx, l.keys)
		if err != nil {
			l.outages++
			run.reads.failed(ctx, l, err)
			run.tried(l)
			run.reads.rest(ctx, l, l.outages)
			continue
		}
		run.reads.ended(ctx, l)
		out := l.passAside(ctx, run, snap, why)
		if ctx.Err() == nil {
			out.report(run.log)
		}
		run.tried(l)
		if why == forAll {
			recheck = run.nextRecheck()
		}
		why = l.wait(ctx, run, recheck)
	}
}

// passAside makes a pass on a goroutine of its own, and waits for it: the stack that a
// template needs is given back, and not kept by each lane while it waits for news.
func (l *lane) passAside(ctx context.Context, run *Runner, snap backends.Snapshot, why cause) (out outcome) {
	var pass sync.WaitGroup
	pass.Go(func() { out = l.pass(ctx, run, snap, why) })
	pass.Wait()
	return out
}

// wait blocks until the lane has something to do: news, a retry, the end of a time that
// changes are waited out for, the recheck, a poke, or ctx has ended.
func (l *lane) wait(ctx context.Context, run *Runner, recheck time.Time) cause {
	if l.settling() {
		sleep(ctx, lookPause) // who watches a burst need not look at each change
	}
	until := l.next()
	if until.IsZero() || !recheck.IsZero() && recheck.Before(until) {
		until = recheck
	}
	bounded, done := l.poke.until(ctx, until)
	defer done()
	waits := l.waits()
	if len(waits) == 0 { // no key can change anything
		<-bounded.Done()
	} else if err := run.backend.Wait(bounded, waits, l.index); err != nil && bounded.Err() == nil {
		l.outages++
		run.waits.failed(ctx, l, err)
		run.waits.rest(ctx, l, l.outages)
		return forTime
	}
	switch {
	case ctx.Err() != nil:
		return forTime
	case l.poke.taken():
		return forAll
	}
	l.outages = 0
	run.waits.ended(ctx, l)
	switch {
	case bounded.Err() == nil:
		return forNews
	case !recheck.IsZero() && !time.Now().Before(recheck):
		return forAll
	}
	return forTime
}

// nextRecheck returns the time of the next recheck, spread a little so that lanes do
// not come all at once; the zero time if there is none.
func (run *Runner) nextRecheck() time.Time {
	if run.recheck <= 0 {
		return time.Time{}
	}
	return time.Now().Add(run.recheck*9/10 + rand.N(run.recheck/5+1))
}

// A poke ends a wait early, or keeps the next one from beginning.
type poke struct {
	mu     sync.Mutex
	due    bool
	cancel context.CancelFunc // of the wait that is going on
}

// now pokes.
func (p *poke) now() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = true
	if p.cancel != nil {
		p.cancel()
	}
}

// until returns a context for a wait, which ends at a time, if that is not zero.
func (p *poke) until(ctx context.Context, t time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	end := cancel
	if !t.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, t)
		end = func() { stop(); cancel() }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel = cancel
	if p.due {
		cancel()
	}
	return ctx, end
}

// taken reports whether there was a poke, and takes it.
func (p *poke) taken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.due
	p.due = false
	return due
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
