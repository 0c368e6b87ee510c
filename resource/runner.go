// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"confd/backends"
)

// Config says what a Runner applies, and from where.
type Config struct {
	// Backend is where the values come from.
	Backend backends.Backend

	// Resources are what is applied.
	Resources []*Resource

	// Load reads the resources anew, as [LoadDir] does. Poll calls it before each pass.
	// A resource whose file is broken then, or all if the error does not tell which,
	// goes on as it was. Nil means that the resources stay what they are.
	Load func() ([]*Resource, error)

	// Recheck makes Follow apply every resource this often even if no change was told,
	// which repairs a destination that was changed by somebody else. Zero means never.
	Recheck time.Duration

	// StopTimeout bounds how long a reload command that runs may go on after ctx has
	// ended. Zero means 30 seconds.
	StopTimeout time.Duration

	// Log is told of each step. Nil discards.
	Log *slog.Logger
}

// A Runner applies resources. Only Status may be called while another method runs.
type Runner struct {
	backend     backends.Backend
	load        func() ([]*Resource, error)
	recheck     time.Duration
	stopTimeout time.Duration
	log         *slog.Logger
	gate        gate
	ended       context.Context // one that has ended, to ask the backend without waiting
	reads       outage
	waits       outage

	groups   []*group
	reported string // the last error of load

	mu        sync.Mutex
	resources []*Resource
}

// NewRunner returns a Runner. Nothing is read or run yet.
func NewRunner(cfg Config) *Runner {
	run := &Runner{
		backend:     cfg.Backend,
		load:        cfg.Load,
		recheck:     cfg.Recheck,
		stopTimeout: cfg.StopTimeout,
		log:         cfg.Log,
		gate:        make(gate, runtime.GOMAXPROCS(0)),
		groups:      groupBy(cfg.Resources),
		resources:   cfg.Resources,
	}
	if run.stopTimeout <= 0 {
		run.stopTimeout = 30 * time.Second
	}
	if run.log == nil {
		run.log = slog.New(slog.DiscardHandler)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	run.ended = ended
	run.reads = outage{log: run.log, what: "reading values"}
	run.waits = outage{log: run.log, what: "waiting for changes"}
	return run
}

// Status returns how far each resource has come, in the order of their files. It may
// be called at any time.
func (run *Runner) Status() []Status {
	run.mu.Lock()
	resources := run.resources
	run.mu.Unlock()
	statuses := make([]Status, len(resources))
	for i, r := range resources {
		statuses[i] = r.Status()
	}
	return statuses
}

// Once applies every resource from one snapshot, one after the other, and reloads. It
// returns an [errors.Join] of one [*Error] per resource that failed; the others are
// applied. If the values cannot be read, or ctx ends, it returns that instead or too.
// With Options.Noop nothing is applied, and Status tells what would have been.
func (run *Runner) Once(ctx context.Context) error {
	snap, err := run.backend.Snapshot(ctx, run.keys())
	if err != nil {
		return fmt.Errorf("reading values: %w", err)
	}
	var errs []error
	for _, g := range run.groups {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, g.pass(ctx, run, snap, true).join())
	}
	if ctx.Err() != nil {
		errs = append(errs, fmt.Errorf("applying resources: %w", context.Cause(ctx)))
	}
	return errors.Join(errs...)
}

// keys returns the prefixes of all resources.
func (run *Runner) keys() []string {
	var keys []string
	for _, g := range run.groups {
		keys = append(keys, g.keys...)
	}
	return backends.Minimal(keys)
}

// Follow applies the resources whenever the values that they depend on change, until
// ctx ends; then it waits for reloads that run, up to Config.StopTimeout, and returns
// nil. What fails is logged and tried again, be it a template, a command or the
// backend. One goroutine per group of resources with the same reload command; they do
// not wait for each other.
func (run *Runner) Follow(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, g := range run.groups {
		wg.Go(func() { g.follow(ctx, run) })
	}
	<-ctx.Done() // also if there are no resources
	wg.Wait()
	return nil
}

func (g *group) follow(ctx context.Context, run *Runner) {
	recheck := run.nextRecheck()
	for all := true; ctx.Err() == nil; {
		snap, err := run.backend.Snapshot(ctx, g.keys)
		if err != nil {
			g.outages++
			run.reads.failed(ctx, g, err)
			run.reads.rest(ctx, g, g.outages)
			continue
		}
		run.reads.ended(ctx, g)
		out := g.pass(ctx, run, snap, all)
		if ctx.Err() == nil {
			out.report(run.log)
		}
		if all {
			recheck = run.nextRecheck()
		}
		all = g.wait(ctx, run, recheck)
	}
}

// wait blocks until the group has something to do: news, a retry, the recheck, or ctx
// has ended. It reports whether all members are to be applied.
func (g *group) wait(ctx context.Context, run *Runner, recheck time.Time) (all bool) {
	until := g.next()
	if until.IsZero() || !recheck.IsZero() && recheck.Before(until) {
		until = recheck
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if !until.IsZero() {
		bounded, cancel = context.WithDeadline(ctx, until)
	}
	defer cancel()
	waits := g.waits()
	if len(waits) == 0 { // no key can change anything
		<-bounded.Done()
	} else if err := run.backend.Wait(bounded, waits, g.index); err != nil && bounded.Err() == nil {
		g.outages++
		run.waits.failed(ctx, g, err)
		run.waits.rest(ctx, g, g.outages)
		return false
	}
	if ctx.Err() != nil {
		return false
	}
	g.outages = 0
	run.waits.ended(ctx, g)
	if bounded.Err() != nil {
		return !recheck.IsZero() && !time.Now().Before(recheck)
	}
	return len(g.members) == 1 // its keys are the ones that were waited for
}

// nextRecheck returns the time of the next recheck, spread a little so that groups do
// not come all at once; the zero time if there is none.
func (run *Runner) nextRecheck() time.Time {
	if run.recheck <= 0 {
		return time.Time{}
	}
	return time.Now().Add(run.recheck*9/10 + rand.N(run.recheck/5+1))
}

// outlive returns a context that goes on after ctx has ended, but not for longer than
// the stop timeout.
func (run *Runner) outlive(ctx context.Context) (longer context.Context, release func()) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(run.stopTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(fmt.Errorf("stopped %v after the process was told to end", run.stopTimeout))
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel(nil)
	}
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

// A gate lets as many through at a time as its capacity.
type gate chan struct{}

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

// An outage tells the log once that something does not work, however many groups find
// it out, and once that it works again for all of them. One of them, the scout, goes on
// trying often; when it gets through, the others try at once.
type outage struct {
	log  *slog.Logger
	what string

	mu    sync.Mutex
	down  map[*group]bool
	scout *group        // one of those that are down
	over  chan struct{} // closed and replaced when it works again for one of them
	since time.Time
}

func (o *outage) failed(ctx context.Context, g *group, err error) {
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.down) == 0 {
		o.log.Warn(o.what+" does not work; trying again until it does", "err", err)
		o.down, o.since = make(map[*group]bool), time.Now()
		o.over = make(chan struct{})
	} else {
		o.log.Debug(o.what, "err", err)
	}
	o.down[g] = true
	if !o.down[o.scout] {
		o.scout = g
	}
}

// rest waits until the group, which has failed so often in a row, is to try again.
func (o *outage) rest(ctx context.Context, g *group, failures int) {
	d := delay(failures)
	o.mu.Lock()
	over := o.over
	if g == o.scout {
		d = min(d, scoutDelay)
	}
	o.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
	}
}

// ended tells that it works for g. What comes back when ctx has ended proves nothing.
func (o *outage) ended(ctx context.Context, g *group) {
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.down[g] {
		return
	}
	delete(o.down, g)
	close(o.over)
	o.over = make(chan struct{})
	if len(o.down) == 0 {
		o.log.Info(o.what+" works again", "after", time.Since(o.since).Round(time.Millisecond))
	}
}
