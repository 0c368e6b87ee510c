// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"confd/backends"
	"confd/backends/env"
	"confd/backends/etcd"
	"confd/backends/file"
	"confd/backends/raftkv"
)

// defaultEtcdNode is confd 0.16's.
const defaultEtcdNode = "http://127.0.0.1:4001"

// backendNames are the backends of this version.
var backendNames = []string{"raftkv", "etcd", "file", "env"}

// absentBackends are those of confd 0.16 that this version does not have.
var absentBackends = []string{"etcdv3", "consul", "vault", "redis", "zookeeper", "dynamodb", "ssm", "rancher", "stackengine"}

// checkBackend returns an error unless this version has the backend.
func checkBackend(name string) error {
	all := strings.Join(backendNames, ", ")
	switch {
	case slices.Contains(backendNames, name):
		return nil
	case name == "etcdv3":
		return hint(errors.New(`backend "etcdv3" is not in this version, which has `+all),
			"etcd up to 3.5 also speaks the v2 API, if started with --enable-v2: use -backend etcd")
	case slices.Contains(absentBackends, name):
		return fmt.Errorf("backend %q is not in this version, which has %s", name, all)
	}
	return hint(fmt.Errorf("unknown backend %q", name), "%s", didYouMean(name, backendNames, "", "this version has "+all))
}

// openBackend returns the source of values that the settings name, and what closes it.
// node is the embedded store, which only the backend of that name needs.
func (p *program) openBackend(ctx context.Context, node raftkv.Node) (backends.Backend, func() error, error) {
	switch p.Backend {
	case "raftkv":
		return raftkv.New(node), func() error { return nil }, nil
	case "env":
		return env.New(p.environ), func() error { return nil }, nil
	case "file":
		b, err := file.Open(ctx, file.Config{Paths: p.Files, Filter: p.Filter, Log: p.log})
		if err != nil {
			return nil, nil, err
		}
		return b, b.Close, nil
	case "etcd":
		return p.openEtcd(ctx)
	}
	return nil, nil, checkBackend(p.Backend)
}

func (p *program) openEtcd(ctx context.Context) (backends.Backend, func() error, error) {
	nodes := p.Nodes
	if p.SRVRecord != "" {
		var err error
		if nodes, err = p.awaitNodes(ctx); err != nil {
			return nil, nil, err
		}
	}
	b, err := etcd.Open(ctx, etcd.Config{
		Nodes:    nodes,
		CertFile: p.ClientCert,
		KeyFile:  p.ClientKey,
		CAFile:   p.ClientCAKeys,
		Insecure: p.ClientInsecure,
		Username: p.Username,
		Password: p.Password,
		Log:      p.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return b, b.Close, nil
}

// awaitNodes finds the nodes; a daemon goes on looking until there are some.
func (p *program) awaitNodes(ctx context.Context) ([]string, error) {
	for told := false; ; {
		nodes, err := p.findNodes(ctx)
		if err == nil || p.Onetime {
			return nodes, err
		}
		if !told {
			told = true
			p.log.Warn("the servers cannot be found; looking again until they are", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookupPause):
		}
	}
}

// lookupPause is the time between two looks for servers that cannot be found.
const lookupPause = 2 * time.Second

// findNodes looks up the nodes by SRV record, the preferred ones first.
func (p *program) findNodes(ctx context.Context) ([]string, error) {
	records, err := p.lookupSRV(ctx, p.SRVRecord)
	if err != nil {
		return nil, fmt.Errorf("looking up the nodes: %w", err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("looking up the nodes: %s has no SRV record", p.SRVRecord)
	}
	var nodes []string
	for _, r := range records {
		host := net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
		nodes = append(nodes, p.Scheme+"://"+host)
	}
	p.log.InfoContext(ctx, "found nodes by SRV record", "record", p.SRVRecord, "nodes", nodes)
	return nodes, nil
}
