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

	"confd/raftkv"
)

// findCluster tells a node whose data directory is new where its cluster is.
func (p *program) findCluster(ctx context.Context) (raftkv.Founders, error) {
	if p.Onetime && p.clusterOptions() != nil {
		return raftkv.Founders{}, hint(errors.New("-onetime renders once and ends, and a node that joins a cluster has to stay"),
			"to render from a cluster use -onetime -backend etcd -node URL")
	}
	given := raftkv.Founders{Addrs: p.net.peers}
	switch {
	case p.Etcd.DiscoverySRV != "":
		return p.lookupFounders(ctx)
	case p.Etcd.Discovery != "":
		d, err := p.newDiscovery()
		if err != nil {
			return raftkv.Founders{}, err
		}
		defer d.client.Close()
		f, err := d.find(ctx)
		if err != nil && len(p.net.peers) > 0 && ctx.Err() == nil {
			p.log.Warn("discovery has failed; asking the nodes of -peers", "err", err)
			return given, nil
		}
		p.warnOfLoopback(f.Addrs)
		return f, err
	case len(p.net.founders) > 0:
		return raftkv.Founders{Addrs: p.net.founders, Together: true}, nil
	}
	return given, nil
}

// lookupFounders finds the nodes by the SRV records that etcd has for them.
func (p *program) lookupFounders(ctx context.Context) (raftkv.Founders, error) {
	domain := strings.TrimSuffix(p.Etcd.DiscoverySRV, ".")
	var errs []error
	var addrs []string
	for _, service := range []string{"_etcd-server-ssl", "_etcd-server"} {
		records, err := p.lookupSRV(ctx, service+"._tcp."+domain)
		if err != nil {
			errs = append(errs, err)
		}
		for _, r := range records {
			addrs = append(addrs, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
		}
	}
	if len(addrs) == 0 {
		return raftkv.Founders{}, fmt.Errorf("%s: no node is found: %w", p.spelt["discovery-srv"], errors.Join(errs...))
	}
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	p.log.Info("found nodes by SRV record", "nodes", addrs)
	p.warnOfLoopback(addrs)
	return raftkv.Founders{Addrs: addrs, Together: p.Etcd.InitialClusterState == clusterNew}, nil
}

// keepRegistered renews what discovery knows of this node until ctx ends.
func (p *program) keepRegistered(ctx context.Context) {
	d, err := p.newDiscovery()
	if err != nil {
		p.log.Warn("discovery", "err", err)
		return
	}
	defer d.client.Close()
	d.keep(ctx, refreshInterval)
}

// warnOfLoopback warns if other nodes are told an address that means themselves.
func (p *program) warnOfLoopback(others []string) {
	if own := p.peerAddr(); isLoopback(own) && elsewhere(others) {
		p.log.Warn("this node tells the others to reach it by an address that means themselves; set -peer-addr",
			"address", own, "others", others)
	}
}

// elsewhere tells whether one of the addresses may be on another machine.
func elsewhere(addrs []string) bool {
	return slices.ContainsFunc(addrs, func(addr string) bool { return !isLoopback(addr) })
}
