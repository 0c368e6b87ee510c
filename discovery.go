// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"confd/raftkv"
	"confd/raftkv/client"
)

// Discovery: nodes that start find each other below a key of a store that runs already.
// There are two protocols, and the key says which.
//
// With KEY/_config/size, as of etcd 2.x: every node registers, and waits until so many
// have. The first of them make the cluster together. A machine that comes later joins it.
//
// Without it, as of etcd 0.4: every node registers, for a week at a time. Who creates
// KEY/_state makes the cluster, the others join those that have registered.

// The times of discovery.
const (
	registrationTTL = 7 * 24 * time.Hour
	refreshInterval = registrationTTL / 8

	discoveryPause = time.Second      // after a request that failed
	discoveryWait  = 10 * time.Second // for a change, before one looks again anyway
)

// errDiscovery is the error of a discovery that cannot go on.
var errDiscovery = errors.New("discovery")

// A discovery is this node's part in it.
type discovery struct {
	client  *client.Client
	key     string
	name    string
	peerURL string
	once    bool // give up when the service does not answer
	log     *slog.Logger
}

func (p *program) newDiscovery() (*discovery, error) {
	u, err := url.Parse(p.Etcd.Discovery)
	if err != nil {
		return nil, err // checkDiscovery has seen it
	}
	cfg := client.Config{Endpoints: []string{u.Scheme + "://" + u.Host}, Log: p.log, KeysPath: "/"}
	if u.User != nil {
		cfg.Username = u.User.Username()
		cfg.Password, _ = u.User.Password()
	}
	key, ok := strings.CutPrefix(path.Clean(u.Path), "/v2/keys")
	if ok {
		cfg.KeysPath = ""
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.spelt["discovery"], err)
	}
	return &discovery{
		client: c, key: key, name: p.Name, peerURL: endpoint{p.net.peer.scheme(), p.peerAddr()}.String(),
		once: len(p.net.peers) > 0, log: p.log.With("discovery", u.Scheme+"://"+u.Host),
	}, nil
}

// find returns the nodes that this one belongs to.
func (d *discovery) find(ctx context.Context) (f raftkv.Founders, err error) {
	told := time.Now().Add(-discoveryWait)
	for {
		f, err = d.try(ctx)
		if err == nil || errors.Is(err, errDiscovery) || d.once || ctx.Err() != nil {
			return f, err
		}
		if time.Since(told) >= discoveryWait {
			told = time.Now()
			d.log.Warn("discovery does not answer; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(discoveryPause):
		}
	}
}

// try is find until something fails. The error is errDiscovery if it would fail again.
func (d *discovery) try(ctx context.Context) (raftkv.Founders, error) {
	size, err := d.size(ctx)
	switch {
	case err != nil:
		return raftkv.Founders{}, err
	case size == 0:
		return d.findFirst(ctx)
	}
	return d.gather(ctx, size)
}

// size returns how many nodes make the cluster, 0 if that is not said.
func (d *discovery) size(ctx context.Context) (int, error) {
	r, err := d.client.Get(ctx, d.key+"/_config/size", client.GetOptions{Quorum: true})
	switch {
	case client.IsCode(err, client.CodeKeyNotFound):
		return 0, nil
	case err != nil:
		return 0, refusedForGood(err)
	}
	text := valueOf(r.Event.Node)
	size, err := strconv.Atoi(text)
	if err != nil || size < 1 {
		return 0, fmt.Errorf("%w: the size of the cluster is %q", errDiscovery, text)
	}
	return size, nil
}

// refusedForGood makes a refusal that another try would not change an errDiscovery.
func refusedForGood(err error) error {
	if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status < 500 {
		return fmt.Errorf("%w: %w", errDiscovery, err)
	}
	return err
}

// gather registers this node unless enough have, and waits until so many have.
func (d *discovery) gather(ctx context.Context, size int) (raftkv.Founders, error) {
	h := fnv.New64a() // the same after a restart
	fmt.Fprintf(h, "%s=%s", d.name, d.peerURL)
	own := strconv.FormatUint(h.Sum64(), 16)
	registered := -1
	for {
		list, index, err := d.list(ctx)
		if err != nil {
			return raftkv.Founders{}, err
		}
		first := list[:min(size, len(list))]
		if !slices.ContainsFunc(first, func(r registration) bool { return r.id == own }) {
			if len(first) == size {
				d.log.Info("the cluster has as many founders as it was to have; joining it", "size", size)
				return raftkv.Founders{Addrs: addrsOf(first)}, nil
			}
			_, err := d.client.Create(ctx, d.key+"/"+own, d.name+"="+d.peerURL, client.SetOptions{})
			if err != nil && !client.IsCode(err, client.CodeNodeExist) {
				return raftkv.Founders{}, refusedForGood(err)
			}
			continue
		}
		if len(list) != registered {
			registered = len(list)
			d.log.Info("found nodes by discovery", "found", addrsOf(first), "wanted", size)
		}
		if len(first) == size {
			return raftkv.Founders{Addrs: addrsOf(first), Together: true}, nil
		}
		d.awaitChange(ctx, index)
		if ctx.Err() != nil {
			return raftkv.Founders{}, fmt.Errorf("waiting for %d nodes to register: %w", size, ctx.Err())
		}
	}
}

// awaitChange waits for a change after that index, or for a while: what is not told is
// seen by looking.
func (d *discovery) awaitChange(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, discoveryWait)
	defer cancel()
	w, err := d.client.Watch(ctx, d.key, client.WatchOptions{Recursive: true, After: index})
	if err == nil {
		defer w.Close()
		_, err = w.Next(ctx)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Debug("watching for other nodes", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(discoveryPause):
		}
	}
}

// findFirst is the protocol of etcd 0.4.
func (d *discovery) findFirst(ctx context.Context) (raftkv.Founders, error) {
	if err := d.register(ctx); err != nil {
		return raftkv.Founders{}, refusedForGood(err)
	}
	_, err := d.client.Create(ctx, d.key+"/_state", "started", client.SetOptions{})
	if err == nil {
		d.log.Info("this is the first node that discovery was asked by; it makes the cluster")
		return raftkv.Founders{}, nil
	}
	if !client.IsCode(err, client.CodeNodeExist) {
		return raftkv.Founders{}, refusedForGood(err)
	}
	list, _, err := d.list(ctx)
	if err != nil {
		return raftkv.Founders{}, err
	}
	list = slices.DeleteFunc(list, func(r registration) bool { return r.id == d.name })
	if len(list) == 0 {
		return raftkv.Founders{}, fmt.Errorf("%w: the cluster was begun, and no other node of it is registered", errDiscovery)
	}
	addrs := addrsOf(list)
	d.log.Info("found nodes by discovery", "found", addrs)
	return raftkv.Founders{Addrs: addrs}, nil
}

// register says where this node is, in the protocol of etcd 0.4.
func (d *discovery) register(ctx context.Context) error {
	_, err := d.client.Set(ctx, d.key+"/"+d.name, d.peerURL, client.SetOptions{TTL: uint64(registrationTTL.Seconds())})
	return err
}

// keep renews the registration until ctx ends, for the protocol of etcd 0.4.
func (d *discovery) keep(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		size, err := d.size(ctx)
		if err == nil && size > 0 {
			return
		}
		if err == nil {
			err = d.register(ctx)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("the registration for discovery was not renewed; new nodes may not find this one", "err", err)
		}
	}
}

// A registration is what one node has said.
type registration struct {
	id      string // last part of its key
	addr    string // host and port
	created uint64
}

func addrsOf(list []registration) []string {
	addrs := make([]string, len(list))
	for i, r := range list {
		addrs[i] = r.addr
	}
	return addrs
}

// list returns who has registered, in that order, and the index of the store.
func (d *discovery) list(ctx context.Context) ([]registration, uint64, error) {
	r, err := d.client.Get(ctx, d.key, client.GetOptions{Recursive: true, Quorum: true})
	if err != nil {
		return nil, 0, refusedForGood(err)
	}
	var list []registration
	for _, node := range r.Event.Node.Nodes {
		id := path.Base(node.Key)
		if node.Dir || strings.HasPrefix(id, "_") {
			continue
		}
		addr, ok := registeredAddr(valueOf(node))
		if !ok {
			d.log.Warn("a registration for discovery is passed over: it is not the address of a node", "key", node.Key)
			continue
		}
		list = append(list, registration{id, addr, node.Created})
	}
	slices.SortFunc(list, func(a, b registration) int { return cmp.Compare(a.created, b.created) })
	return list, r.Index, nil
}

// registeredAddr returns host and port out of what a node has registered: a URL, or host
// and port, or of 2.x NAME=URL,NAME=URL.
func registeredAddr(value string) (string, bool) {
	first, _, _ := strings.Cut(value, ",")
	if _, after, ok := strings.Cut(first, "="); ok {
		first = after
	}
	u, err := splitURL(first, false)
	return u.host, err == nil && !isHost(u.host) && strings.Contains(u.host, ":")
}
