// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// The values of -initial-cluster-state.
const (
	clusterNew      = "new"
	clusterExisting = "existing"
)

// resolveCluster finds the other nodes among the options that name some. -peers and
// -peers-file are nodes that have a cluster. -initial-cluster and -discovery-srv are nodes
// that make one together, unless the state is "existing". -discovery is a place to find
// out, and beside it -peers is what counts if that fails, as with etcd 0.4. Two lists
// would say two things.
func resolveCluster(s *settings) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Etcd.Proxy != "off" {
		errs = append(errs, hint(fmt.Errorf("%s %q: confd is no proxy", s.spelt["proxy"], s.Etcd.Proxy),
			"a machine beyond -cluster-active-size stands by: it serves the whole client API and has no vote"))
	}
	state := s.Etcd.InitialClusterState
	if state != clusterNew && state != clusterExisting {
		fault("%s: want new or existing, not %q", s.spelt["initial-cluster-state"], state)
	}
	joined, err := s.peerList()
	errs = append(errs, err)
	initial, err := s.initialCluster()
	errs = append(errs, err, s.checkDiscovery())
	switch {
	case len(initial) > 1 && (len(joined) > 0 || s.Etcd.Discovery != "" || s.Etcd.DiscoverySRV != ""),
		s.Etcd.DiscoverySRV != "" && (len(joined) > 0 || s.Etcd.Discovery != ""):
		errs = append(errs, hint(fmt.Errorf("%s: each of them says how to find the other nodes", strings.Join(s.clusterOptions(), ", ")),
			"give one; -peers may stand beside -discovery"))
	case state == clusterExisting && len(initial) <= 1 && len(joined) == 0 && s.Etcd.Discovery == "" && s.Etcd.DiscoverySRV == "":
		errs = append(errs, hint(fmt.Errorf("%s %q: there is no node to join", s.spelt["initial-cluster-state"], state),
			"name one with -initial-cluster or -peers"))
	}
	for _, host := range slices.Concat(joined, initial) {
		if !s.isOwnPeer(host) {
			s.net.peers = append(s.net.peers, host)
		}
	}
	if state == clusterNew && len(initial) > 1 {
		s.net.founders = initial
	}
	return errors.Join(errs...)
}

// clusterOptions returns the options about other nodes that were given, as they were
// written.
func (s *settings) clusterOptions() []string {
	var names []string
	for _, name := range []string{"peers", "peers-file", "discovery", "discovery-srv", "initial-cluster"} {
		if s.given[name] != fromDefault {
			names = append(names, s.spelt[name])
		}
	}
	return names
}

// peerList returns host and port of the nodes of -peers or -peers-file, without this one.
func (s *settings) peerList() ([]string, error) {
	peers, from := s.Etcd.Peers, "peers"
	if s.Etcd.PeersFile != "" {
		data, err := os.ReadFile(s.Etcd.PeersFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.spelt["peers-file"], err)
		}
		peers, from = splitList(strings.Fields(string(data)), true), "peers-file"
	}
	var errs []error
	var hosts []string
	for _, p := range peers {
		host, err := s.peerHost(from, p)
		errs = append(errs, err)
		if !s.isOwnPeer(host) {
			hosts = append(hosts, host)
		}
	}
	return hosts, errors.Join(errs...)
}

// etcdDefaultName is the name of an etcd that is given none; ours is the machine's.
const etcdDefaultName = "default"

// initialCluster returns host and port of the nodes of -initial-cluster, one for each
// name, in the order of the names, which is the same on all of them.
func (s *settings) initialCluster() ([]string, error) {
	const option = "initial-cluster"
	var errs []error
	hosts := map[string]string{} // :: name → host and port
	own := ""                    // the name of the entry that is this node
	for _, item := range s.Etcd.InitialCluster {
		name, text, ok := strings.Cut(item, "=")
		if !ok || name == "" {
			errs = append(errs, hint(fmt.Errorf("%s %q is not NAME=URL", s.spelt[option], item), "as in -initial-cluster %s=http://%s", s.Name, defaultPeerAddr))
			continue
		}
		host, err := s.peerHost(option, text)
		errs = append(errs, err)
		if err == nil && s.isOwnPeer(host) && (own == "" || name == s.Name) {
			own, hosts[name] = name, host
		} else if hosts[name] == "" {
			hosts[name] = host
		}
	}
	if errors.Join(errs...) != nil {
		return nil, errors.Join(errs...)
	}
	switch named := hosts[s.Name]; {
	case len(hosts) > 0 && own == "" && named == "":
		return nil, hint(fmt.Errorf("%s: this node, %s at %s, is not among them", s.spelt[option], s.Name, s.peerAddr()),
			"the list has all nodes, by -name and -peer-addr")
	case named != "" && own != s.Name:
		return nil, hint(fmt.Errorf("%s: %s is at %s there, and this node of that name at %s", s.spelt[option], s.Name, named, s.peerAddr()),
			"set -peer-addr %s, or correct the list", named)
	case len(hosts) > 0 && own != s.Name && !(own == etcdDefaultName && s.given["name"] == fromDefault):
		return nil, hint(fmt.Errorf("%s: there is no %s in it, which is the name of this node; %s is that of %s there", s.spelt[option], s.Name, s.peerAddr(), own),
			"set -name %s, or correct the list", own)
	}
	var list []string
	for _, name := range sortedKeys(hosts) {
		list = append(list, hosts[name])
	}
	return list, nil
}

// peerHost returns host and port of one peer of an option.
func (s *settings) peerHost(option, text string) (string, error) {
	u, err := splitURL(text, s.PeerCertFile != "")
	if err == nil && u.scheme == "https" && s.PeerCertFile == "" {
		return "", hint(fmt.Errorf("%s %q: the peer port has no certificate", s.spelt[option], text), "give it one with -peer-cert-file, -peer-key-file and -peer-ca-file")
	}
	if err != nil || isHost(u.host) || !strings.Contains(u.host, ":") {
		return "", hint(fmt.Errorf("%s %q %w", s.spelt[option], text, errNotHostPort), "as in 10.0.0.1:7001")
	}
	return u.host, nil
}

// checkDiscovery checks the URL of -discovery.
func (s *settings) checkDiscovery() error {
	if s.Etcd.Discovery == "" {
		return nil
	}
	u, err := url.Parse(s.Etcd.Discovery)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		// Not the URL itself, which may hold a password.
		return hint(fmt.Errorf("%s is not the URL of a key", s.spelt["discovery"]),
			"curl http://HOST:4001/discovery/new?size=3 makes one, at any store that runs")
	}
	return nil
}

// peerAddr returns what other nodes are told to reach this one by.
func (s *settings) peerAddr() string { return cmp.Or(s.net.peerHost, s.net.peer.addr) }

// isOwnPeer tells whether host is an address of this node's peer port.
func (s *settings) isOwnPeer(host string) bool {
	if host == s.net.peer.addr || host == s.net.peerHost {
		return true
	}
	return slices.ContainsFunc(s.PeerAddr, func(addr string) bool {
		u, err := splitURL(addr, false)
		return err == nil && u.host == host
	})
}
