// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
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

	Name     string
	DataDir  string
	Addr     string
	PeerAddr string
	MaxValue int // bytes

	LogLevel  string
	LogFormat string

	given map[string]origin // :: name of an option → who gave its value; without an entry it has its default
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
	at   func(*settings) any // the field it sets: *bool, *int, *string or *[]string

	def    string // the default, written as on the command line; "" = the field's zero
	defDoc string // what the help says of a default that the machine decides

	keys     []string // its key in confd.toml, the documented spelling first; nil = the name
	env      []string // further names in the environment that confd 0.16 read
	flagOnly bool     // a flag, and nothing else
	noFile   bool     // not in confd.toml
	commas   bool     // a list whose items may be separated by commas everywhere

	backends []string // the backends that it means something to; nil = all
	help     string
}

// A section is a group of options under one heading of the help.
type section struct {
	title   string
	options []option
}

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
			help: "keep a copy of each staged file beside its destination, and log its path"},
		{name: "version", at: func(s *settings) any { return &s.Version }, flagOnly: true,
			help: "print the version and exit"},
		{name: "help", at: func(s *settings) any { return &s.Help }, flagOnly: true,
			help: "print this text and exit"},
	}},
	{title: "Templates", options: []option{
		{name: "confdir", arg: "DIR", at: func(s *settings) any { return &s.ConfDir }, def: "/etc/confd",
			help: "holds conf.d, the template resources, and templates"},
		{name: "config-file", arg: "FILE", at: func(s *settings) any { return &s.ConfigFile }, def: "/etc/confd/confd.toml", noFile: true,
			help: "options in TOML; the default file may be missing"},
		{name: "prefix", arg: "KEY", at: func(s *settings) any { return &s.Prefix },
			help: "put before the keys of every resource, in place of the resource's own prefix"},
	}},
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
		{name: "name", arg: "NAME", at: func(s *settings) any { return &s.Name }, defDoc: "the host's name", backends: forStore,
			help: "name of this node in its cluster"},
		{name: "data-dir", arg: "DIR", at: func(s *settings) any { return &s.DataDir },
			defDoc: "/var/lib/confd for root, else $XDG_STATE_HOME/confd, else ~/.local/state/confd",
			help:   "holds the store, and with any backend the list of reloads still to be done"},
		{name: "addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.Addr }, def: "127.0.0.1:4001", backends: forStore,
			help: "serve the client API here"},
		{name: "peer-addr", arg: "HOST:PORT", at: func(s *settings) any { return &s.PeerAddr }, def: "127.0.0.1:7001", backends: forStore,
			help: "serve the other nodes here"},
		{name: "max-value", arg: "BYTES", at: func(s *settings) any { return &s.MaxValue }, def: "16777216", backends: forStore,
			help: "largest value that the store accepts"},
	}},
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

// options returns all rows of the table.
func options() []option {
	var all []option
	for _, sec := range sections {
		all = append(all, sec.options...)
	}
	return all
}

// envNames returns the names the option has in the environment, the documented one
// first.
func (o option) envNames() []string {
	if o.flagOnly {
		return nil
	}
	return append([]string{"CONFD_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))}, o.env...)
}

// fileKeys returns the keys the option has in confd.toml, the documented one first.
// confd 0.16 wrote some with dashes and some with underscores; any option may be
// written either way.
func (o option) fileKeys() []string {
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
func (o option) isSwitch() bool { return o.arg == "" }
