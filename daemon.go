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
	resources, broken := p.load()
	p.logBroken(broken)

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	st := &store{}
	if p.Backend == "raftkv" {
		if st, err = p.openStore(ctx, fail); err != nil {
			if cause := context.Cause(ctx); told.Err() == nil && cause != nil {
				err = cause // a port that could not be served has ended the opening
			}
			return err
		}
		defer func() { err = errors.Join(err, st.close()) }()
	}
	backend, closeBackend, err := p.openBackend(ctx, st)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBackend()) }()

	p.banner(ctx, st, backend, resources)
	p.renderUntil(ctx, backend, resources)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// renderUntil keeps the resources rendered until ctx ends. SIGHUP has them read again;
// if one is broken then, the old ones are kept.
func (p *program) renderUntil(ctx context.Context, backend backends.Backend, resources []*resource.Resource) {
	for ctx.Err() == nil {
		running, stop := context.WithCancel(ctx)
		var rendering sync.WaitGroup
		rendering.Go(func() { p.render(running, backend, resources) })
		if fresh, ok := p.awaitHangup(ctx); ok {
			resources = fresh
		}
		stop()
		rendering.Wait()
	}
}

// awaitHangup returns the resources as they are after a SIGHUP, false if ctx has ended.
func (p *program) awaitHangup(ctx context.Context) ([]*resource.Resource, bool) {
	for {
		select {
		case <-ctx.Done():
			p.log.Info("ending; a reload that is running is waited for")
			return nil, false
		case <-p.hangups:
		}
		resources, broken := p.load()
		if broken == nil {
			p.log.Info("read the template resources again", "resources", len(resources))
			return resources, true
		}
		p.logBroken(broken)
		p.log.Error("the template resources are kept as they were")
	}
}

// render keeps the resources rendered until ctx ends.
func (p *program) render(ctx context.Context, backend backends.Backend, resources []*resource.Resource) {
	if len(resources) == 0 {
		if !p.StoreOnly {
			p.log.Warn("nothing to render; add template resources and send SIGHUP", "dir", filepath.Join(p.ConfDir, "conf.d"))
		}
		return
	}
	runner := p.newRunner(backend, resources)
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

// interval returns the time between two passes.
func (p *program) interval() time.Duration { return time.Duration(p.Interval) * time.Second }

// newRunner returns what applies the resources.
func (p *program) newRunner(backend backends.Backend, resources []*resource.Resource) *resource.Runner {
	cfg := resource.Config{Backend: backend, Resources: resources, Load: p.load, Log: p.log}
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
