// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

// An etcdVersion says which etcd an option is from.
type etcdVersion int

const (
	noEtcd etcdVersion = iota
	etcd04             // 0.4: flag, ETCD_ variable and key of its configuration file; mostly in 2.x too
	etcd2              // 2.x and later: flag and ETCD_ variable
)

// etcdSettings are the options that are there for the sake of etcd's command lines.
type etcdSettings struct {
	Config              string
	Peers               []string
	PeersFile           string
	Discovery           string
	DiscoverySRV        string
	InitialCluster      []string
	InitialClusterState string
	Proxy               string
	TrustedCAFile       string
	ClientCertAuth      bool
	Verbose             bool
	VeryVerbose         bool
	VeryVeryVerbose     bool
	Debug               bool

	// Nothing comes of these.
	Force               bool
	Snapshot            bool
	MaxRetryAttempts    int
	RetryInterval       float64
	HTTPReadTimeout     float64
	HTTPWriteTimeout    float64
	MaxResultBuffer     int
	InternalBinaryDir   string
	Trace               string
	GraphiteHost        string
	InitialClusterToken string
	PeerClientCertAuth  bool
	StrictReconfigCheck bool
	MaxSnapshots        int
	MaxWALs             int
	EnableV2            bool
}

// etcdOptions is the section of options that have an effect only so far as etcd's
// command lines need one.
var etcdOptions = []option{
	{name: "config", arg: "FILE", at: func(s *settings) any { return &s.Etcd.Config }, noFile: true, backends: forStore,
		help: "configuration file of etcd 0.4, in TOML; confd.toml beats it"},
	{name: "v", at: func(s *settings) any { return &s.Etcd.Verbose }, etcd: etcd04, etcdKey: "verbose",
		help: "-log-level debug, unless -log-level is given"},
	{name: "vv", at: func(s *settings) any { return &s.Etcd.VeryVerbose }, etcd: etcd04, etcdKey: "very_verbose",
		help: "the same"},
	{name: "vvv", at: func(s *settings) any { return &s.Etcd.VeryVeryVerbose }, etcd: etcd04, etcdKey: "very_very_verbose",
		help: "the same"},
	{name: "debug", at: func(s *settings) any { return &s.Etcd.Debug }, etcd: etcd2,
		help: "the same"},
	{name: "trusted-ca-file", arg: "FILE", at: func(s *settings) any { return &s.Etcd.TrustedCAFile }, etcd: etcd2, backends: forStore,
		help: "with -client-cert-auth: the same as -ca-file; alone it has no effect, as in etcd 2.x"},
	{name: "client-cert-auth", at: func(s *settings) any { return &s.Etcd.ClientCertAuth }, etcd: etcd2, backends: forStore,
		help: "let in only clients with a certificate of -trusted-ca-file"},
	{name: "peers", arg: "HOST:PORT", at: func(s *settings) any { return &s.Etcd.Peers }, etcd: etcd04, commas: true, backends: forStore,
		help: "nodes to join, at the first start; a node that has data needs none. -peer-addr itself in the list does not count"},
	{name: "peers-file", arg: "FILE", at: func(s *settings) any { return &s.Etcd.PeersFile }, etcd: etcd04, backends: forStore,
		help: "file with the list of -peers"},
	{name: "discovery", arg: "URL", at: func(s *settings) any { return &s.Etcd.Discovery }, etcd: etcd04, backends: forStore,
		help: "key of a store by which nodes that start together find each other; /discovery/new of any store makes one"},
	{name: "discovery-srv", arg: "DOMAIN", at: func(s *settings) any { return &s.Etcd.DiscoverySRV }, etcd: etcd2, backends: forStore,
		help: "find them by the SRV records _etcd-server._tcp.DOMAIN and _etcd-server-ssl._tcp.DOMAIN, as with -initial-cluster"},
	{name: "initial-cluster", arg: "NAME=URL", at: func(s *settings) any { return &s.Etcd.InitialCluster }, etcd: etcd2, commas: true, backends: forStore,
		help: "nodes that make a new cluster together, with this one; the same list for all of them"},
	{name: "initial-cluster-state", arg: "STATE", at: func(s *settings) any { return &s.Etcd.InitialClusterState }, etcd: etcd2, def: "new", backends: forStore,
		help: "new; or existing: the nodes of -initial-cluster have a cluster, to join"},
	{name: "proxy", arg: "MODE", at: func(s *settings) any { return &s.Etcd.Proxy }, etcd: etcd2, def: "off", backends: forStore,
		help: "off; confd is no proxy"},

	{name: "force", at: func(s *settings) any { return &s.Etcd.Force }, etcd: etcd04, aliases: []string{"f"}, backends: forStore, idle: true,
		help: "confd never deletes a data directory"},
	{name: "snapshot", at: func(s *settings) any { return &s.Etcd.Snapshot }, etcd: etcd04, def: "true", backends: forStore, idle: true,
		help: "snapshots are always taken"},
	{name: "max-retry-attempts", arg: "N", at: func(s *settings) any { return &s.Etcd.MaxRetryAttempts }, etcd: etcd04, backends: forStore, idle: true,
		help: "a node waits until it is let in"},
	{name: "retry-interval", arg: "SECONDS", at: func(s *settings) any { return &s.Etcd.RetryInterval }, etcd: etcd04, backends: forStore, idle: true,
		help: "a node waits until it is let in"},
	{name: "http-read-timeout", arg: "SECONDS", at: func(s *settings) any { return &s.Etcd.HTTPReadTimeout }, etcd: etcd04, backends: forStore, idle: true,
		help: "the limits are fixed"},
	{name: "http-write-timeout", arg: "SECONDS", at: func(s *settings) any { return &s.Etcd.HTTPWriteTimeout }, etcd: etcd04, backends: forStore, idle: true,
		help: "the limits are fixed"},
	{name: "max-result-buffer", arg: "N", at: func(s *settings) any { return &s.Etcd.MaxResultBuffer }, etcd: etcd04, backends: forStore, idle: true,
		help: "what a watch may lag behind is fixed"},
	{name: "internal-binary-dir", arg: "DIR", at: func(s *settings) any { return &s.Etcd.InternalBinaryDir }, etcd: etcd04, backends: forStore, idle: true,
		help: "there are no internal binaries"},
	{name: "trace", arg: "WHAT", at: func(s *settings) any { return &s.Etcd.Trace }, etcd: etcd04, backends: forStore, idle: true,
		help: "use -log-level debug"},
	{name: "graphite-host", arg: "HOST:PORT", at: func(s *settings) any { return &s.Etcd.GraphiteHost }, etcd: etcd04, backends: forStore, idle: true,
		help: "nothing is sent to graphite"},
	{name: "initial-cluster-token", arg: "TOKEN", at: func(s *settings) any { return &s.Etcd.InitialClusterToken }, etcd: etcd2, backends: forStore, idle: true,
		help: "the id of a cluster is random"},
	{name: "peer-client-cert-auth", at: func(s *settings) any { return &s.Etcd.PeerClientCertAuth }, etcd: etcd2, backends: forStore, idle: true,
		help: "with TLS on the peer port it is always so"},
	{name: "strict-reconfig-check", at: func(s *settings) any { return &s.Etcd.StrictReconfigCheck }, etcd: etcd2, backends: forStore, idle: true,
		help: "it is always so"},
	{name: "max-snapshots", arg: "N", at: func(s *settings) any { return &s.Etcd.MaxSnapshots }, etcd: etcd2, backends: forStore, idle: true,
		help: "the number kept is fixed"},
	{name: "max-wals", arg: "N", at: func(s *settings) any { return &s.Etcd.MaxWALs }, etcd: etcd2, backends: forStore, idle: true,
		help: "the log is cut by -snapshot-count and by size"},
	{name: "enable-v2", at: func(s *settings) any { return &s.Etcd.EnableV2 }, etcd: etcd2, backends: forStore, idle: true,
		help: "v2 is what the store speaks"},
}
