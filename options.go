// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"iter"
	"slices"
	"strings"
)

// settings is what the user asked for, after command line, environment, confd.toml
// and defaults have been laid over each other.
type settings struct {
	Help    bool
	Version bool

	Onetime       bool
	Watch         bool
	Interval      int // seconds
	Noop          bool
	SyncOnly      bool
	KeepStageFile bool

	Wait        string // MIN[:MAX]
	Splay       string // duration
	StopTimeout string // duration
	StatusAddr  string

	ConfDir    string
	ConfigFile string
	Prefix     string

	Backend string
	Nodes   []string
	Files   []string
	Filter  string

	Scheme         string
	SRVDomain      string
	SRVRecord      string
	ClientCert     string
	ClientKey      string
	ClientCAKeys   string
	ClientInsecure bool
	BasicAuth      bool
	Username       string
	Password       string

	StoreOnly     bool
	Name          string
	DataDir       string
	Addr          []string // the first is the one advertised
	BindAddr      []string
	PeerAddr      []string // the first is the one advertised
	PeerBindAddr  []string
	MaxValue      int // bytes
	SnapshotCount int
	CORS          []string
	EnablePprof   bool

	HeartbeatInterval   int     // milliseconds
	ElectionTimeout     int     // milliseconds
	ClusterActiveSize   int     // members
	ClusterRemoveDelay  float64 // seconds
	ClusterSyncInterval float64 // seconds
	FollowerWrites      string

	CertFile     string
	KeyFile      string
	CAFile       string
	PeerCertFile string
	PeerKeyFile  string
	PeerCAFile   string

	Etcd etcdSettings

	LogLevel  string
	LogFormat string

	Diff        bool
	DiffContext int // lines
	Color       bool
	Report      string // FORMAT[:FILE]

	taskSettings

	given  map[string]origin // :: name of an option → who gave its value; without an entry it has its default
	spelt  map[string]string // :: name of an option → how it was written there
	asEtcd bool              // an option that etcd has was given as etcd takes it: a flag, ETCD_…, or -config

	net  addresses // what the options about addresses come to
	pace pace      // and those about time
}

// An origin is a place a value can come from.
type origin int

// The origins, in the order of their precedence.
const (
	fromDefault origin = iota
	fromFile
	fromEnvironment
	fromFlag
)

// An option is one row of the table that the command line, the environment, confd.toml,
// the help and docs/command-line.md are made from.
type option struct {
	name string              // as a flag, without its dash
	arg  string              // what stands for the value in the help; "" = a switch
	at   func(*settings) any // the field it sets: *bool, *int, *float64, *string or *[]string

	def    string // the default, written as on the command line; "" = the field's zero
	defDoc string // what the help says of a default that the machine decides

	keys     []string // its key in confd.toml, the documented spelling first; nil = the name
	env      []string // further names in the environment that confd 0.16 read
	flagOnly bool     // a flag, and nothing else
	noFile   bool     // not in confd.toml
	commas   bool     // a list whose items may be separated by commas everywhere
	text     bool     // a list that is written as one text in files

	etcd    etcdVersion // which etcd has it; then ETCD_… in the environment gives it as well
	etcdKey string      // its key in the file of etcd 0.4, where that is not made from the name
	aliases []string    // further flags that mean the same; with etcd set, also in the environment
	idle    bool        // taken so that etcd's command lines work, and nothing comes of it
	alias   bool        // not an option, but the row of an alias in the help

	backends []string // the backends that it means something to; nil = all
	help     string
}

// A section is a group of options under one heading of the help.
type section struct {
	title   string
	options []option
}

// titleEtcd is the title of the section that shows the names of etcd.
const titleEtcd = "Names of etcd"

var (
	forStore = []string{"raftkv"}
	forEtcd  = []string{"etcd"}
	forFile  = []string{"file"}
)

// sections is the table of all options.
var sections = []section{
	{title: "What to do", options: []option{
		{name: "onetime", at: func(s *settings) any { return &s.Onetime },
			help: "render every resource once and exit; the exit code tells whether all went well"},
		{name: "watch", at: func(s *settings) any { return &s.Watch }, defDoc: "true with the embedded store, else false",
			help: "follow the backend and render as soon as a key changes"},
		{name: "interval", arg: "SECONDS", at: func(s *settings) any { return &s.Interval }, def: "600",
			help: "without -watch: render every so many seconds; given together with it: render again that often to be safe"},
		{name: "noop", at: func(s *settings) any { return &s.Noop },
			help: "say what would change, write nothing and run no commands"},
		{name: "sync-only", at: func(s *settings) any { return &s.SyncOnly },
			help: "write files, run neither check_cmd nor reload_cmd"},
		{name: "keep-stage-file", at: func(s *settings) any { return &s.KeepStageFile }, keys: []string{"keep-stage-file", "keepstagefile"},
			help: "keep a copy of the last staged file beside each destination, and log its path"},
		{name: "version", at: func(s *settings) any { return &s.Version }, flagOnly: true,
			help: "print the version and exit"},
		{name: "help", at: func(s *settings) any { return &s.Help }, flagOnly: true, aliases: []string{"h"},
			help: "print this text and exit"},
	}},
	{title: "The daemon", options: daemonOptions},
	{title: "Templates", options: []option{
		{name: "confdir", arg: "DIR", at: func(s *settings) any { return &s.ConfDir }, def: "/etc/confd",
			help: "holds conf.d, the template resources, and templates"},
		{name: "config-file", arg: "FILE", at: func(s *settings) any { return &s.ConfigFile }, def: "/etc/confd/confd.toml", noFile: true,
			help: "options in TOML; the default file may be missing"},
		{name: "prefix", arg: "KEY", at: func(s *settings) any { return &s.Prefix },
			help: "put before the keys of every resource, in place of the resource's own prefix"},
	}},
	{title: "In CI", options: ciOptions},
	{title: "Where values come from", options: []option{
		{name: "backend", arg: "NAME", at: func(s *settings) any { return &s.Backend },
			defDoc: "raftkv; etcd if -node or an SRV option is given, file if -file is",
			help:   "raftkv (the embedded store), etcd (the v2 API of any server), file or env"},
		{name: "node", arg: "URL", at: func(s *settings) any { return &s.Nodes }, keys: []string{"nodes"}, commas: true, backends: forEtcd,
			defDoc: "$ETCDCTL_PEERS, else " + defaultEtcdNode,
			help:   "address of a server; may be repeated, or list several with commas"},
		{name: "file", arg: "PATH", at: func(s *settings) any { return &s.Files }, backends: forFile,
			help: "YAML, JSON or TOML file, or a directory of them; may be repeated"},
		{name: "filter", arg: "PATTERN", at: func(s *settings) any { return &s.Filter }, def: "*", backends: forFile,
			help: "names of the files to read in a directory"},
	}},
	{title: "Connection to etcd", options: []option{
		{name: "scheme", arg: "SCHEME", at: func(s *settings) any { return &s.Scheme }, def: "http", defDoc: "http; https if a certificate option is given", backends: forEtcd,
			help: "http or https, for nodes given without one and for those found by SRV records"},
		{name: "srv-domain", arg: "DOMAIN", at: func(s *settings) any { return &s.SRVDomain }, keys: []string{"srv_domain"}, backends: forEtcd,
			help: "find the nodes at start by the SRV record _etcd._tcp.DOMAIN"},
		{name: "srv-record", arg: "NAME", at: func(s *settings) any { return &s.SRVRecord }, keys: []string{"srv_record"}, backends: forEtcd,
			help: "find the nodes at start by this SRV record"},
		{name: "client-ca-keys", arg: "FILE", at: func(s *settings) any { return &s.ClientCAKeys }, keys: []string{"client_cakeys"}, env: []string{"CONFD_CLIENT_CAKEYS"}, backends: forEtcd,
			help: "certificates of the authorities that may vouch for the server"},
		{name: "client-cert", arg: "FILE", at: func(s *settings) any { return &s.ClientCert }, keys: []string{"client_cert"}, backends: forEtcd,
			help: "certificate to show to the server"},
		{name: "client-key", arg: "FILE", at: func(s *settings) any { return &s.ClientKey }, keys: []string{"client_key"}, backends: forEtcd,
			help: "key of -client-cert"},
		{name: "client-insecure", at: func(s *settings) any { return &s.ClientInsecure }, keys: []string{"client_insecure"}, backends: forEtcd,
			help: "accept any certificate of the server; unsafe"},
		{name: "basic-auth", at: func(s *settings) any { return &s.BasicAuth }, keys: []string{"basic_auth"}, backends: forEtcd,
			help: "log in by user name and password; -username alone means the same"},
		{name: "username", arg: "NAME", at: func(s *settings) any { return &s.Username }, backends: forEtcd,
			help: "user to log in as"},
		{name: "password", arg: "PASSWORD", at: func(s *settings) any { return &s.Password }, backends: forEtcd,
			help: "that user's password; other users of the machine see flags, so prefer CONFD_PASSWORD or confd.toml"},
	}},
	{title: "The embedded store", options: []option{
		{name: "store-only", at: func(s *settings) any { return &s.StoreOnly }, backends: forStore,
			help: "serve the store and render nothing"},
		{name: "name", arg: "NAME", at: func(s *settings) any { return &s.Name }, etcd: etcd04, defDoc: "the host's name", backends: forStore,
			help: "name of this node in its cluster"},
		{name: "data-dir", arg: "DIR", at: func(s *settings) any { return &s.DataDir }, etcd: etcd04,
			defDoc: "/var/lib/confd for root, else $XDG_STATE_HOME/confd, else ~/.local/state/confd",
			help:   "holds the store, and with any backend the list of reloads still to be done"},
		{name: "addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.Addr }, etcd: etcd04, aliases: []string{"advertise-client-urls"}, commas: true, text: true, def: defaultAddr, backends: forStore,
			help: "what others are told to reach the client API by; also as a URL; of several the first"},
		{name: "bind-addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.BindAddr }, etcd: etcd04, aliases: []string{"listen-client-urls"}, commas: true, text: true, backends: forStore,
			defDoc: "as with etcd, the port of -addr on all interfaces, unless -addr is a loopback address: then that",
			help:   "serve the client API here; may be repeated, or list several with commas"},
		{name: "peer-addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.PeerAddr }, etcd: etcd04, aliases: []string{"initial-advertise-peer-urls"}, commas: true, text: true, def: defaultPeerAddr, backends: forStore,
			help: "what other nodes are told to reach this one by; also as a URL"},
		{name: "peer-bind-addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.PeerBindAddr }, etcd: etcd04, aliases: []string{"listen-peer-urls"}, commas: true, text: true, backends: forStore,
			defDoc: "made from -peer-addr as -bind-addr is from -addr",
			help:   "serve the other nodes here"},
		{name: "max-value", arg: "BYTES", at: func(s *settings) any { return &s.MaxValue }, def: "16777216", backends: forStore,
			help: "largest value that the store accepts"},
		{name: "cors", arg: "ORIGIN", at: func(s *settings) any { return &s.CORS }, etcd: etcd04, commas: true, backends: forStore,
			help: "web pages from here may use the client API; * for all; may be repeated, or list several with commas"},
		{name: "snapshot-count", arg: "N", at: func(s *settings) any { return &s.SnapshotCount }, etcd: etcd04, env: []string{"ETCD_SNAPSHOTCOUNT"}, def: "8192", backends: forStore,
			help: "take a snapshot after so many entries of the log"},
		{name: "peer-heartbeat-interval", arg: "MS", at: func(s *settings) any { return &s.HeartbeatInterval }, etcd: etcd04, aliases: []string{"heartbeat-interval"}, backends: forStore,
			help: "in milliseconds; -peer-election-timeout is raised to 5 times this if it is less"},
		{name: "peer-election-timeout", arg: "MS", at: func(s *settings) any { return &s.ElectionTimeout }, etcd: etcd04, aliases: []string{"election-timeout"}, defDoc: "1000", backends: forStore,
			help: "how long a node waits for a sign of the leader, in milliseconds; at least 250"},
		{name: "cluster-active-size", arg: "N", at: func(s *settings) any { return &s.ClusterActiveSize }, etcd: etcd04, defDoc: "9", backends: forStore,
			help: "how many members vote, the others stand by; of a new cluster, later /v2/admin/config has it"},
		{name: "cluster-remove-delay", arg: "SECONDS", at: func(s *settings) any { return &s.ClusterRemoveDelay }, etcd: etcd04, defDoc: "1800", backends: forStore,
			help: "how long a member that does not answer keeps its vote; as above"},
		{name: "cluster-sync-interval", arg: "SECONDS", at: func(s *settings) any { return &s.ClusterSyncInterval }, etcd: etcd04, defDoc: "5", backends: forStore,
			help: "how often the leader looks whether a standby is to vote; as above"},
		{name: "follower-writes", arg: "MODE", at: func(s *settings) any { return &s.FollowerWrites }, def: writesForward, backends: forStore,
			help: "what a node does with a write that the leader must make: forward, or redirect the client by 307, as etcd 0.4 did"},
		{name: "enable-pprof", at: func(s *settings) any { return &s.EnablePprof }, etcd: etcd2, backends: forStore,
			help: "serve Go's profiles at /debug/pprof/ on the client port"},
	}},
	{title: "TLS of the embedded store", options: []option{
		{name: "cert-file", arg: "FILE", at: func(s *settings) any { return &s.CertFile }, etcd: etcd04, backends: forStore,
			help: "certificate of the client port, which then speaks TLS; read again when it changes"},
		{name: "key-file", arg: "FILE", at: func(s *settings) any { return &s.KeyFile }, etcd: etcd04, backends: forStore,
			help: "key of -cert-file"},
		{name: "ca-file", arg: "FILE", at: func(s *settings) any { return &s.CAFile }, etcd: etcd04, backends: forStore,
			help: "let in only clients with a certificate of these authorities"},
		{name: "peer-cert-file", arg: "FILE", at: func(s *settings) any { return &s.PeerCertFile }, etcd: etcd04, backends: forStore,
			help: "certificate of this node for the other nodes, to serve them and to call them"},
		{name: "peer-key-file", arg: "FILE", at: func(s *settings) any { return &s.PeerKeyFile }, etcd: etcd04, backends: forStore,
			help: "key of -peer-cert-file"},
		{name: "peer-ca-file", arg: "FILE", at: func(s *settings) any { return &s.PeerCAFile }, etcd: etcd04, aliases: []string{"peer-trusted-ca-file"}, backends: forStore,
			help: "authorities whose certificates the other nodes show; needed with -peer-cert-file"},
	}},
	{title: titleEtcd, options: etcdOptions},
	{title: "Messages", options: []option{
		{name: "log-level", arg: "LEVEL", at: func(s *settings) any { return &s.LogLevel }, def: "info",
			help: "panic, fatal, error, warn, info or debug"},
		{name: "log-format", arg: "FORMAT", at: func(s *settings) any { return &s.LogFormat }, def: "text",
			help: "text or json"},
	}},
}

// foreign holds the options of confd 0.16 that belong to backends which are not in this
// version :: name → backends, as a reader is told.
var foreign = map[string]string{
	"auth-token":     "vault and consul",
	"auth-type":      "vault",
	"app-id":         "vault",
	"user-id":        "vault",
	"role-id":        "vault",
	"secret-id":      "vault",
	"path":           "vault",
	"table":          "dynamodb",
	"separator":      "redis",
	"secret-keyring": "encrypted values (crypt)",
}

// options yields all rows of the table, as they stand there: every start goes through them
// several times, and copies of them would cost it most of a millisecond.
func options() iter.Seq[*option] {
	return func(yield func(*option) bool) {
		for _, sec := range sections {
			for i := range sec.options {
				if !yield(&sec.options[i]) {
					return
				}
			}
		}
	}
}

// optionNamed returns the row of the option with that name or alias as a flag, nil if there
// is none.
func optionNamed(name string) *option {
	for o := range options() {
		if o.name == name || slices.Contains(o.aliases, name) {
			return o
		}
	}
	return nil
}

// flags returns the names the option has as a flag, the documented one first.
func (o *option) flags() []string { return append([]string{o.name}, o.aliases...) }

// envNames returns the names the option has in the environment, the documented one
// first; those that etcd knows come last.
func (o *option) envNames() []string {
	if o.flagOnly {
		return nil
	}
	return slices.Concat([]string{envName("CONFD_", o.name)}, o.env, o.etcdEnvNames())
}

// etcdEnvNames returns the names the option has in the environment of etcd.
func (o *option) etcdEnvNames() []string {
	if o.etcd == noEtcd {
		return nil
	}
	var names []string
	if o.etcdKey != "" {
		names = append(names, "ETCD_"+strings.ToUpper(o.etcdKey))
	}
	for _, f := range o.flags() {
		names = append(names, envName("ETCD_", f))
	}
	return names
}

// envName returns a flag as a name in the environment, with a prefix.
func envName(prefix, flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fileKeys returns the keys the option has in confd.toml, the documented one first.
// confd 0.16 wrote some with dashes and some with underscores; any option may be
// written either way.
func (o *option) fileKeys() []string {
	if o.flagOnly || o.noFile {
		return nil
	}
	keys := slices.Clone(o.keys)
	for _, k := range []string{o.name, strings.ReplaceAll(o.name, "-", "_")} {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// isSwitch tells whether the option needs no value on the command line.
func (o *option) isSwitch() bool { return o.arg == "" }
