// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"confd/backends"
	"confd/resource"
)

// daemon renders for as long as ctx lasts, and serves the embedded store if that is the
// backend. Its error is nil if it ended because ctx did.
func (p *program) daemon(ctx context.Context) (err error) {
	told := ctx // ends when confd is told to end
	defer func() {
		if err != nil && told.Err() != nil && errors.Is(err, context.Canceled) {
			p.log.Info("ended before everything was open")
			err = nil
		}
	}()
	if err := p.checkConfDir(); err != nil {
		return err
	}
	statusPort, err := p.listenStatus(ctx)
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	awaitStore, closeStore := p.openStoreAside(ctx, fail)
	defer func() { err = errors.Join(err, closeStore()) }()
	resources, broken := p.load()
	p.logBroken(broken)
	status, closeStatus := p.serveStatus(statusPort, p.newRunner(nil, resources, broken), fail)
	defer closeStatus() // at the latest
	st, err := awaitStore()
	if err != nil {
		if cause := context.Cause(ctx); told.Err() == nil && cause != nil {
			err = cause // a port that could not be served has ended the opening
		}
		return err
	}
	backend, closeBackend, err := p.openBackend(ctx, st.node)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBackend()) }()

	runner := p.newRunner(backend, resources, broken)
	status.begin(runner)
	defer closeStatus() // before the backend is closed
	p.banner(ctx, st, backend, resources)
	p.renderUntil(ctx, runner)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// openStoreAside opens the embedded store, if that is the backend, and serves it, while the
// resources are read: neither waits for the other. await returns when it is open or could
// not be opened; without it, the store has no node. end closes what was opened.
func (p *program) openStoreAside(ctx context.Context, fail func(error)) (await func() (*store, error), end func() error) {
	st := &store{}
	if p.Backend != "raftkv" {
		return func() (*store, error) { return st, nil }, func() error { return nil }
	}
	var err error
	var opening sync.WaitGroup
	opening.Go(func() {
		st, err = p.openStore(ctx, fail)
	})
	await = func() (*store, error) {
		opening.Wait()
		return st, err
	}
	end = func() error {
		if opening.Wait(); err != nil {
			return nil // await has told
		}
		return st.close()
	}
	return await, end
}

// renderUntil keeps the resources rendered until ctx ends. They are read again on SIGHUP
// and after an edit.
func (p *program) renderUntil(ctx context.Context, runner *resource.Runner) {
	systemd := p.newNotifier()
	var work sync.WaitGroup
	work.Go(func() { p.render(ctx, runner) })
	work.Go(func() { p.awaitHangups(ctx, runner, systemd) })
	work.Go(func() { p.watchConfDir(ctx, runner) })
	work.Go(func() { systemd.run(ctx, runner) })
	work.Go(func() { p.tightenAfter(ctx, runner.Passed()) })
	<-ctx.Done()
	systemd.send("STOPPING=1")
	p.log.Info("ending; a reload that is running is waited for", "at_most", p.pace.stopTimeout)
	work.Wait()
}

// tightenAfter ends the start, as far as garbage is concerned, when passed is closed.
func (p *program) tightenAfter(ctx context.Context, passed <-chan struct{}) {
	select {
	case <-passed:
		p.garbage.tighten()
	case <-ctx.Done():
	}
}

// render keeps the resources rendered until ctx ends.
func (p *program) render(ctx context.Context, runner *resource.Runner) {
	if len(runner.Status()) == 0 && !p.StoreOnly {
		p.log.Warn("nothing to render; add template resources", "dir", filepath.Join(p.ConfDir, "conf.d"))
	}
	var err error
	if p.Watch {
		err = runner.Follow(ctx)
	} else {
		err = runner.Poll(ctx, p.interval())
	}
	if err != nil {
		p.log.Error("rendering has ended", "err", err)
	}
}

// awaitHangups has the resources read again on each SIGHUP, until ctx ends.
func (p *program) awaitHangups(ctx context.Context, runner *resource.Runner, systemd *notifier) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.hangups:
		}
		systemd.reloading()
		p.reread(ctx, runner, true)
		systemd.send("READY=1")
	}
}

// watchConfDir has the resources read again after each edit, until ctx ends.
func (p *program) watchConfDir(ctx context.Context, runner *resource.Runner) {
	if p.StoreOnly || p.likeEtcd() && p.missing() {
		return
	}
	err := resource.WatchDir(ctx, p.ConfDir, func() { p.reread(ctx, runner, false) })
	if err != nil {
		p.log.Warn("edits of resources and templates are not seen; send SIGHUP after one", "err", err)
	}
}

// reread has the resources read again, and says so.
func (p *program) reread(ctx context.Context, runner *resource.Runner, retry bool) {
	runner.Reread(ctx, retry)
	if ctx.Err() == nil {
		p.log.Info("read the template resources again", "resources", len(runner.Status()))
	}
}

// interval returns the time between two passes.
func (p *program) interval() time.Duration { return time.Duration(p.Interval) * time.Second }

// newRunner returns what applies the resources. broken is of those that could not be loaded.
func (p *program) newRunner(backend backends.Backend, resources []*resource.Resource, broken error) *resource.Runner {
	cfg := resource.Config{Backend: backend, Resources: resources, Broken: broken, Load: p.load, StopTimeout: p.pace.stopTimeout, Log: p.log}
	if p.Watch && p.given["interval"] != fromDefault {
		cfg.Recheck = p.interval()
	}
	return resource.NewRunner(cfg)
}

// logBroken logs every fault of the resources that could not be loaded.
func (p *program) logBroken(err error) {
	if err == nil {
		return
	}
	for _, e := range flatten(err) {
		p.log.Error("reading template resources", "err", e)
	}
}
