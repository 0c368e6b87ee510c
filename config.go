// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"confd/resource"
)

// A machine is what the settings take from the machine that confd runs on.
type machine struct {
	getenv   func(string) string
	hostname func() (string, error)
	root     bool // running as root
}

// loadSettings lays command line, environment, confd.toml and defaults over each other.
// All its errors are bad usage.
func loadSettings(args []string, m machine) (*settings, error) {
	flags, err := parseFlags(args)
	if err != nil {
		return nil, err
	}
	s := newSettings()
	if err := firstPass(s, flags); err != nil {
		return nil, err
	}
	if s.Help || s.Version {
		return s, nil
	}
	from := sources{flags: flags}
	environment, names := readEnvironment(m.getenv)
	from.environment, from.names = withoutEtcd(environment, names), names
	if from.file, err = readConfigFile(configFile(flags, from.environment)); err != nil {
		return nil, err
	}
	s = newSettings()
	if err := lay(s, from); err != nil {
		return nil, err
	}
	if s.chooseBackend(); s.Backend == "raftkv" {
		// What is meant for etcd is for the embedded store only.
		from.environment = environment
		if from.etcdFile, err = readEtcdFile(s.Etcd.Config); err != nil {
			return nil, err
		}
		s = newSettings()
		if err := lay(s, from); err != nil {
			return nil, err
		}
	}
	if err := deduce(s, m); err != nil {
		return nil, err
	}
	return s, validate(s)
}

func newSettings() *settings {
	return &settings{given: map[string]origin{}, spelt: map[string]string{}}
}

// The sources of settings besides the defaults, in the order of their precedence.
type sources struct {
	flags       given
	environment given
	names       map[string]string // :: name of an option → the variable that gave it
	file        given             // confd.toml
	etcdFile    given             // of etcd 0.4
}

// firstPass sets what the flags alone decide: whether to print something and exit.
func firstPass(s *settings, flags given) error {
	for o := range options() {
		if values := flags[o.name]; o.flagOnly && values != nil {
			if err := o.set(s, fromFlag, "-"+o.name, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// configFile returns the path of confd.toml, and whether the user named it.
func configFile(flags, environment given) (path string, named bool) {
	const name = "config-file"
	for _, source := range []given{flags, environment} {
		if values := source[name]; values != nil {
			return values[len(values)-1], true
		}
	}
	return optionNamed(name).def, false
}

// lay sets every option from the first source that has it.
func lay(s *settings, from sources) error {
	var errs []error
	for o := range options() {
		isEtcd := o.etcd != noEtcd
		switch {
		case from.flags[o.name] != nil:
			errs = append(errs, o.set(s, fromFlag, "-"+o.name, from.flags[o.name]))
		case from.environment[o.name] != nil:
			name := from.names[o.name]
			isEtcd = strings.HasPrefix(name, "ETCD_")
			errs = append(errs, o.set(s, fromEnvironment, name, from.environment[o.name]))
		case from.file[o.name] != nil:
			isEtcd = false
			errs = append(errs, o.set(s, fromFile, "confd.toml: "+o.name, from.file[o.name]))
		case from.etcdFile[o.name] != nil:
			errs = append(errs, o.set(s, fromFile, "-config: "+o.etcdFileKey(), from.etcdFile[o.name]))
		default:
			isEtcd = false
			s.toDefault(o)
		}
		s.asEtcd = s.asEtcd || isEtcd
	}
	s.asEtcd = s.asEtcd || s.Etcd.Config != ""
	return errors.Join(errs...)
}

// toDefault gives the option's field its default.
func (s *settings) toDefault(o *option) {
	if o.def == "" {
		return
	}
	if err := o.set(s, fromDefault, o.name, []string{o.def}); err != nil {
		panic(err) // the table is wrong; TestDefaults sets them all
	}
}

// readConfigFile reads confd.toml. A missing file is an error only if the user named
// it.
func readConfigFile(path string, named bool) (given, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil // as most often; the document takes a millisecond to make
	}
	doc := configDocument()
	err := resource.DecodeStrict(path, doc.Interface())
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	got, errs := given{}, []error(nil)
	for i := range doc.Elem().NumField() {
		key := doc.Elem().Type().Field(i).Tag.Get("toml")
		name := doc.Elem().Type().Field(i).Tag.Get("option")
		values := written(doc.Elem().Field(i))
		switch {
		case values == nil:
		case foreign[name] != "":
			errs = append(errs, foreignOption(fmt.Sprintf("%s: %s", path, key), name))
		case got[name] != nil:
			errs = append(errs, fmt.Errorf("%s: %s is given twice, in two spellings", path, key))
		default:
			got[name] = values
		}
	}
	return got, errors.Join(errs...)
}

// configDocument returns a pointer to a new struct that confd.toml is decoded into: a
// field for each spelling of each option, a pointer so that what is not there is seen.
func configDocument() reflect.Value {
	var fields []reflect.StructField
	add := func(key, name string, t reflect.Type) {
		fields = append(fields, documentField(len(fields), key, name, t))
	}
	for o := range options() {
		for _, key := range o.fileKeys() {
			add(key, o.name, o.fieldType())
		}
	}
	for _, name := range sortedKeys(foreign) {
		add(strings.ReplaceAll(name, "-", "_"), name, reflect.TypeFor[string]())
	}
	return reflect.New(reflect.StructOf(fields))
}

// written returns a field of the configuration document as it would stand on the
// command line; nil if it was not given, or is empty.
func written(field reflect.Value) []string {
	if field.IsNil() {
		return nil
	}
	if list, ok := field.Interface().(*[]string); ok {
		if len(*list) == 0 {
			return nil
		}
		return *list
	}
	if text := fmt.Sprint(field.Elem()); text != "" {
		return []string{text}
	}
	return nil
}

// deduce fills in what depends on other settings or on the machine.
func deduce(s *settings, m machine) error {
	s.chooseBackend()
	if s.given["log-level"] == fromDefault && (s.Etcd.Verbose || s.Etcd.VeryVerbose || s.Etcd.VeryVeryVerbose || s.Etcd.Debug) {
		s.LogLevel = "debug"
	}
	if s.LogLevel = strings.ToLower(s.LogLevel); s.LogLevel == "warning" { // as confd 0.16 takes them
		s.LogLevel = "warn"
	}
	if s.given["watch"] == fromDefault {
		s.Watch = s.Backend == "raftkv"
	}
	if s.Backend == "etcd" && len(s.Nodes) == 0 {
		s.Nodes = splitList([]string{m.getenv("ETCDCTL_PEERS")}, true)
	}
	if s.Backend == "etcd" && len(s.Nodes) == 0 {
		s.Nodes = []string{defaultEtcdNode}
	}
	if s.given["scheme"] == fromDefault && (s.ClientCAKeys != "" || s.ClientCert != "" || s.ClientInsecure) {
		s.Scheme = "https"
	}
	for i, n := range s.Nodes {
		if !strings.Contains(n, "://") {
			s.Nodes[i] = s.Scheme + "://" + n
		}
	}
	if s.Backend == "etcd" && s.SRVRecord == "" && s.SRVDomain != "" {
		s.SRVRecord = "_etcd._tcp." + strings.TrimSuffix(s.SRVDomain, ".") + "."
	}
	if s.Name == "" && s.Backend == "raftkv" {
		host, err := m.hostname()
		if err != nil {
			return hint(fmt.Errorf("asking for the host's name: %w", err), "give the node a name with -name")
		}
		s.Name = host
	}
	if s.DataDir == "" {
		s.DataDir = defaultDataDir(m)
	}
	if s.Etcd.ClientCertAuth && s.CAFile == "" {
		s.CAFile = s.Etcd.TrustedCAFile
	}
	return nil
}

// chooseBackend deduces the backend from what is given for one.
func (s *settings) chooseBackend() {
	switch {
	case s.Backend != "":
	case len(s.Nodes) > 0, s.SRVDomain != "", s.SRVRecord != "":
		s.Backend = "etcd"
	case len(s.Files) > 0:
		s.Backend = "file"
	default:
		s.Backend = "raftkv"
	}
}

// defaultDataDir returns where state is kept on this machine, "" if there is no place
// for it.
func defaultDataDir(m machine) string {
	switch {
	case m.root:
		return "/var/lib/confd"
	case m.getenv("XDG_STATE_HOME") != "":
		return filepath.Join(m.getenv("XDG_STATE_HOME"), "confd")
	case m.getenv("HOME") != "":
		return filepath.Join(m.getenv("HOME"), ".local", "state", "confd")
	}
	return ""
}

// validate checks the settings as a whole and returns every fault, joined.
func validate(s *settings) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	errs = append(errs, checkBackend(s.Backend))
	if !slices.Contains(logLevelNames, s.LogLevel) {
		fault("unknown log level %q: want one of %s", s.LogLevel, strings.Join(logLevelNames, ", "))
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		fault("unknown log format %q: want text or json", s.LogFormat)
	}
	var paceFaults []error
	s.pace, paceFaults = parsePace(s)
	errs = append(errs, paceFaults...)
	if s.Interval <= 0 {
		fault("an interval of %d seconds: want at least 1", s.Interval)
	}
	if s.Scheme != "http" && s.Scheme != "https" {
		fault("unknown scheme %q: want http or https", s.Scheme)
	}
	errs = append(errs, checkReport(s.Report))
	if s.Report != "" && !s.Onetime {
		fault("-report is for -onetime, and for the commands check and test")
	}
	if s.Diff && !s.Noop {
		fault("-diff is for -noop; confd diff means both")
	}
	if s.DiffContext < 0 {
		fault("-diff-context of %d lines: want 0 or more", s.DiffContext)
	}
	if (s.ClientCert == "") != (s.ClientKey == "") {
		fault("-client-cert and -client-key belong together: only one is given")
	}
	if s.BasicAuth && s.Username == "" {
		fault("-basic-auth needs -username and -password")
	}
	if s.Backend == "file" && len(s.Files) == 0 {
		fault("backend file needs at least one -file")
	}
	if s.Backend == "raftkv" {
		errs = append(errs, validateStore(s))
	} else if s.StoreOnly {
		fault("-store-only is for the embedded store, not for backend %s", s.Backend)
	}
	return errors.Join(errs...)
}

// idle returns the options that were given and of which nothing comes, as they were
// written.
func idle(s *settings) []string {
	var names []string
	for o := range options() {
		if o.idle && s.given[o.name] != fromDefault {
			names = append(names, s.spelt[o.name])
		}
	}
	return names
}

// useless returns the flags of the command line that mean nothing to the chosen
// backend. The environment and confd.toml may serve several runs and are left alone.
func useless(s *settings) []string {
	var names []string
	for o := range options() {
		if s.given[o.name] == fromFlag && o.backends != nil && !slices.Contains(o.backends, s.Backend) {
			names = append(names, "-"+o.name)
		}
	}
	return names
}
