// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"confd/raftkv"
	"confd/resource"
)

// once renders every resource once, and reports as the command that the user gave. Its error joins one per resource that
// failed.
func (p *program) once(ctx context.Context, command string) error {
	statuses, broken, err := p.pass(ctx)
	failed := p.writeReport(command, onetimeResults(statuses, broken, err))
	return errors.Join(broken, err, failed)
}

// pass renders every resource once. broken is of the resources that could not be loaded.
func (p *program) pass(ctx context.Context) (statuses []resource.Status, broken, err error) {
	if err := p.checkConfDir(); err != nil {
		return nil, nil, err
	}
	resources, broken := p.load()
	var node *raftkv.Reader
	if p.Backend == "raftkv" {
		if err := p.wantStore(); err != nil {
			return nil, broken, err
		}
		if node, err = p.openReader(ctx, p.clientURL(&net.TCPAddr{})); err != nil {
			return nil, broken, err
		}
		defer func() { err = errors.Join(err, node.Close()) }()
	}
	backend, closeBackend, err := p.openBackend(ctx, node)
	if err != nil {
		return nil, broken, err
	}
	defer func() { err = errors.Join(err, closeBackend()) }()
	if len(resources) == 0 && broken == nil {
		p.log.Warn("there are no template resources", "dir", filepath.Join(p.ConfDir, "conf.d"))
	}
	runner := p.newRunner(backend, resources, broken)
	err = runner.Once(ctx)
	return runner.Status(), broken, err
}

// wantStore returns an error if a store would have to be made for a run that changes
// nothing.
func (p *program) wantStore() error {
	if !p.Noop {
		return nil
	}
	return p.haveStore()
}

// haveStore returns an error if there is no store in the data directory yet.
func (p *program) haveStore() error {
	dir := filepath.Join(p.DataDir, "store")
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0:
		return hint(fmt.Errorf("there is no store in the data directory %q, and none is made to look at it", p.DataDir),
			"name the directory of the store with -data-dir, a running store with -node, or a file of values with -file")
	case err != nil:
		return fmt.Errorf("looking for the store: %w", err)
	}
	return nil
}

// load reads the template resources. With an error, those that are in order.
func (p *program) load() ([]*resource.Resource, error) {
	if p.StoreOnly || p.likeEtcd() && p.missing() {
		return nil, nil
	}
	return resource.LoadDir(p.ConfDir, p.resourceOptions())
}

// resourceOptions returns how resources are loaded.
func (p *program) resourceOptions() resource.Options {
	opts := resource.Options{
		Prefix:        p.Prefix,
		StateDir:      p.DataDir,
		Noop:          p.Noop,
		SyncOnly:      p.SyncOnly,
		KeepStageFile: p.KeepStageFile,
		Wait:          p.pace.wait,
		Splay:         p.pace.splay,
		Secrets:       p.secrets,
		WaitForDisk:   p.processors.wait,
		Log:           p.log,
	}
	if p.differ != nil {
		opts.Show = p.differ.show
	}
	return opts
}

// checkConfDir returns an error with advice if there is no place for resources at all.
func (p *program) checkConfDir() error {
	dir := filepath.Join(p.ConfDir, "conf.d")
	_, err := os.Stat(dir)
	switch {
	case err == nil || p.StoreOnly:
		return nil
	case p.likeEtcd() && p.missing():
		p.log.Info("started as etcd would be: the store is served and nothing is rendered", "no", p.ConfDir)
		return nil
	case errors.Is(err, os.ErrNotExist):
		return hint(fmt.Errorf("no template resources: %q does not exist", dir),
			"create it, even empty to serve the store alone, or name the directory that holds conf.d with -confdir")
	}
	return fmt.Errorf("looking for template resources: %w", err)
}

// likeEtcd tells whether confd was started as etcd would have been: by options of etcd,
// with the embedded store, and without a word about templates.
func (p *program) likeEtcd() bool {
	return p.asEtcd && p.Backend == "raftkv" && !p.Onetime && p.given["confdir"] == fromDefault
}

// missing tells whether there is no confdir at all.
func (p *program) missing() bool {
	_, err := os.Stat(p.ConfDir)
	return errors.Is(err, os.ErrNotExist)
}
