// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
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

	// Broken is what Load has returned beside Resources, for State.
	Broken error

	// Load reads the resources anew, as [LoadDir] does. Poll calls it before each pass,
	// and Reread has it called. A resource whose file or template is broken then, or all
	// if the error does not tell which, goes on as it was. Nil means that the resources
	// stay what they are.
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

// A Runner applies resources. While Once, Follow or Poll runs, only the methods for which
// that is said may be called.
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

	rereads  chan reread
	reported string // the last error of load

	mu        sync.Mutex
	lanes     []*lane // written by the goroutine of Follow or Poll alone
	resources []*Resource
	broken    []Broken // files that cannot be used as they are now

	passed   chan struct{} // closed when every lane has tried once
	passOnce sync.Once
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
		rereads:     make(chan reread),
		lanes:       lanesOf(cfg.Resources),
		resources:   cfg.Resources,
		passed:      make(chan struct{}),
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
	run.noteBroken(cfg.Broken)
	return run
}

// Status returns how far each resource has come, in the order of their files. It may
// be called at any time.
func (run *Runner) Status() []Status { return run.State().Resources }

// Passed returns a channel that is closed when Follow or Poll has tried every resource
// once, or has found that the backend cannot be read.
func (run *Runner) Passed() <-chan struct{} { return run.passed }

// tried notes that the lane has been tried.
func (run *Runner) tried(l *lane) {
	if !l.tried.Swap(true) {
		run.tellPassed()
	}
}

func (run *Runner) tellPassed() {
	run.mu.Lock()
	defer run.mu.Unlock()
	if !slices.ContainsFunc(run.lanes, func(l *lane) bool { return !l.tried.Load() }) {
		run.passOnce.Do(func() { close(run.passed) })
	}
}

// forgetOutages forgets what the lane has found of the backend.
func (run *Runner) forgetOutages(l *lane) {
	run.reads.forget(l)
	run.waits.forget(l)
}

// Once applies every resource from one snapshot and reloads. Those that run commands are
// applied one after the other, in the order of their files, and so are all with
// Options.Noop; those between them are applied beside each other. It returns an [errors.Join] of one [*Error] per resource that failed; the others are
// applied. If the values cannot be read, or ctx ends, it returns that instead or too.
// With Options.Noop nothing is applied, and Status tells what would have been.
func (run *Runner) Once(ctx context.Context) error {
	snap, err := run.backend.Snapshot(ctx, run.keys())
	if err != nil {
		return fmt.Errorf("reading values: %w", err)
	}
	var errs []error
	for rest := run.lanes; len(rest) > 0 && ctx.Err() == nil; {
		n := leading(rest, (*lane).quiet)
		failed := make([]error, n)
		beside(n, diskSlots, func(i int) {
			if ctx.Err() == nil {
				failed[i] = rest[i].pass(ctx, run, snap, forAll).join()
			}
		})
		errs, rest = append(errs, failed...), rest[n:]
	}
	if ctx.Err() != nil {
		errs = append(errs, fmt.Errorf("applying resources: %w", context.Cause(ctx)))
	}
	return errors.Join(errs...)
}

// keys returns the prefixes of all resources.
func (run *Runner) keys() []string {
	var keys []string
	for _, l := range run.lanes {
		keys = append(keys, l.keys...)
	}
	return backends.Minimal(keys)
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
