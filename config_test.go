// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// testMachine is a machine with the given environment, written as in "A=b".
func testMachine(env ...string) machine {
	return machine{
		getenv: func(name string) string {
			for _, e := range slices.Backward(env) {
				if v, ok := strings.CutPrefix(e, name+"="); ok {
					return v
				}
			}
			return ""
		},
		hostname: func() (string, error) { return "here", nil },
		root:     true,
	}
}

// noConfig names a configuration file that is empty, so that the machine's own is not
// read.
func noConfig(t *testing.T) string {
	return "-config-file=" + writeFile(t, "empty.toml", "")
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sample returns a valid value for an option that is not its default, n different ones.
func sample(o *option, n int) string {
	switch o.name {
	case "backend":
		return []string{"etcd", "file", "env", "", ""}[n]
	case "scheme":
		return "https"
	case "log-level":
		return []string{"debug", "warn", "error", "info", "panic"}[n]
	case "log-format":
		return "json"
	case "wait", "splay", "stop-timeout":
		return fmt.Sprintf("%ds", n+1)
	case "status-addr":
		return fmt.Sprintf("127.0.0.1:%d", n+1)
	case "report":
		return fmt.Sprintf("junit:file%d", n)
	case "cors":
		return fmt.Sprintf("http://h%d", n)
	case "initial-cluster":
		return fmt.Sprintf("default=http://127.0.0.1:7001,default=http://h%d:1", n)
	case "discovery":
		return fmt.Sprintf("http://h:1/%d", n)
	case "peers":
		return fmt.Sprintf("10.0.0.2:%d", n+1)
	case "follower-writes":
		return "redirect"
	case "snapshot":
		return "false"
	case "addr", "peer-addr", "bind-addr", "peer-bind-addr":
		return fmt.Sprintf("10.0.0.1:%d", n+1)
	case "node":
		return fmt.Sprintf("http://10.0.0.%d:4001", n+1)
	}
	switch o.at(&settings{}).(type) {
	case *bool:
		return "true"
	case *int, *float64:
		return fmt.Sprint(n + 7)
	}
	return fmt.Sprintf("some-%s-%d", o.name, n)
}

// companions are the flags without which an option is refused.
func companions(o *option) []string {
	switch o.name {
	case "backend":
		return []string{"-file=x"}
	case "watch":
		return []string{"-backend=env"}
	case "report":
		return []string{"-onetime"}
	case "diff":
		return []string{"-noop"}
	case "basic-auth":
		return []string{"-username=x"}
	case "client-cert":
		return []string{"-client-key=x"}
	case "client-key":
		return []string{"-client-cert=x"}
	case "cert-file":
		return []string{"-key-file=x"}
	case "key-file":
		return []string{"-cert-file=x"}
	case "ca-file":
		return []string{"-cert-file=x", "-key-file=x"}
	case "peer-cert-file":
		return []string{"-peer-key-file=x", "-peer-ca-file=x"}
	case "peer-key-file":
		return []string{"-peer-cert-file=x", "-peer-ca-file=x"}
	case "peer-ca-file":
		return []string{"-peer-cert-file=x", "-peer-key-file=x"}
	case "client-cert-auth":
		return []string{"-trusted-ca-file=x", "-cert-file=x", "-key-file=x"}
	}
	return nil
}

// tomlValue writes a value as TOML, by the kind of the option.
func tomlValue(o *option, value string) string {
	switch o.fieldType().Kind() {
	case reflect.Bool, reflect.Int, reflect.Float64:
		return value
	case reflect.Slice:
		return fmt.Sprintf("[%q]", value)
	}
	return fmt.Sprintf("%q", value)
}

// fieldOf returns the value of the option's field, as a text.
func fieldOf(o *option, s *settings) string {
	v := reflect.ValueOf(o.at(s)).Elem()
	if v.Kind() == reflect.Slice {
		return strings.Join(v.Interface().([]string), ",")
	}
	return fmt.Sprint(v)
}

// refused are the options of which only one value is taken, or none but a file that is
// there; TestInPlaceOfEtcd and TestOtherNodes have them.
var refused = []string{"peers-file", "initial-cluster-state", "proxy", "config"}

// TestOptionsFromEachPlace gives each option by each of its names in each place.
func TestOptionsFromEachPlace(t *testing.T) {
	for o := range options() {
		if o.flagOnly || o.name == "config-file" || slices.Contains(refused, o.name) {
			continue
		}
		value := sample(o, 0)
		check := func(place, env, toml string, args ...string) {
			t.Helper()
			args = append(slices.Concat(args, companions(o)), "-config-file", writeFile(t, "confd.toml", toml))
			s, err := loadSettings(args, testMachine(env))
			if err != nil {
				t.Errorf("%s from %s: %v", o.name, place, err)
				return
			}
			if got := fieldOf(o, s); got != value {
				t.Errorf("%s from %s: got %q, want %q", o.name, place, got, value)
			}
		}
		for _, name := range o.flags() {
			check("-flag=", "", "", "-"+name+"="+value)
			check("--flag=", "", "", "--"+name+"="+value)
		}
		if !o.isSwitch() {
			check("-flag value", "", "", "-"+o.name, value)
		}
		for _, name := range o.envNames() {
			check(name, name+"="+value, "")
		}
		for _, key := range o.fileKeys() {
			check(key+" in confd.toml", "", key+" = "+tomlValue(o, value)+"\n")
		}
		if o.etcd == etcd04 {
			check(o.etcdFileKey()+" in etcd's file", "", "", "-config", writeFile(t, "etcd.conf", o.etcdFileKey()+" = "+tomlValue(o, value)+"\n"))
		}
		unset, err := loadSettings([]string{"-backend=env", noConfig(t)}, testMachine())
		if err != nil {
			t.Fatal(err)
		}
		if got := fieldOf(o, unset); got == value {
			t.Errorf("%s: %q is the default, so this test proves nothing", o.name, value)
		}
	}
}

// TestPrecedence gives each option another value in each place and takes the places
// away one by one.
func TestPrecedence(t *testing.T) {
	for o := range options() {
		if o.flagOnly || o.noFile || o.isSwitch() || slices.Contains(refused, o.name) || sample(o, 0) == sample(o, 1) {
			continue
		}
		flag := "-" + o.name + "=" + sample(o, 0)
		env := o.envNames()[0] + "=" + sample(o, 1)
		file := o.fileKeys()[0] + " = " + tomlValue(o, sample(o, 2)) + "\n"
		etcdEnv, etcdFile := "", ""
		if o.etcd == etcd04 {
			etcdEnv = o.etcdEnvNames()[0] + "=" + sample(o, 3)
			etcdFile = o.etcdFileKey() + " = " + tomlValue(o, sample(o, 4)) + "\n"
		}
		for _, test := range []struct {
			flag, env, file, want string
			from                  origin
			etcd                  bool // there is ETCD_… too
		}{
			{flag, env, file, sample(o, 0), fromFlag, true},
			{"", env, file, sample(o, 1), fromEnvironment, true},
			{"", "", file, sample(o, 3), fromEnvironment, true},
			{"", "", file, sample(o, 2), fromFile, false},
			{"", "", "", sample(o, 4), fromFile, false},
			{flag, "", file, sample(o, 0), fromFlag, false},
		} {
			if etcdEnv == "" && test.want != sample(o, 0) && test.want != sample(o, 1) && test.want != sample(o, 2) {
				continue
			}
			environment := []string{test.env}
			if test.etcd {
				environment = append(environment, etcdEnv)
			}
			args := append(companions(o), "-config-file", writeFile(t, "confd.toml", test.file))
			if etcdFile != "" {
				args = append(args, "-config", writeFile(t, "etcd.conf", etcdFile))
			}
			if test.flag != "" {
				args = append(args, test.flag)
			}
			s, err := loadSettings(args, testMachine(environment...))
			if err != nil {
				t.Errorf("%s: %v", o.name, err)
				continue
			}
			if got := fieldOf(o, s); got != test.want || s.given[o.name] != test.from {
				t.Errorf("flag %q, env %q, file %q: got %q from %d, want %q from %d",
					test.flag, test.env, test.file, got, s.given[o.name], test.want, test.from)
			}
		}
	}
}

// TestEmptyValues checks that what is there but empty leaves the default, as in the
// files of confd 0.16 that name every key.
func TestEmptyValues(t *testing.T) {
	var file strings.Builder
	var env []string
	for o := range options() {
		if o.flagOnly {
			continue
		}
		env = append(env, o.envNames()[0]+"=")
		switch o.fieldType().Kind() {
		case reflect.Slice:
			fmt.Fprintf(&file, "%s = []\n", o.fileKeys()[0])
		case reflect.String:
			if !o.noFile {
				fmt.Fprintf(&file, "%s = \"\"\n", o.fileKeys()[0])
			}
		}
	}
	for name := range foreign {
		fmt.Fprintf(&file, "%s = \"\"\n", strings.ReplaceAll(name, "-", "_"))
	}
	got, err := loadSettings([]string{"-config-file", writeFile(t, "confd.toml", file.String())}, testMachine(env...))
	if err != nil {
		t.Fatal(err)
	}
	want, err := loadSettings([]string{noConfig(t)}, testMachine())
	if err != nil {
		t.Fatal(err)
	}
	for o := range options() {
		if o.name != "config-file" && fieldOf(o, got) != fieldOf(o, want) {
			t.Errorf("%s: %q, want %q", o.name, fieldOf(o, got), fieldOf(o, want))
		}
	}
}

// TestSwitchPrecedence turns switches off where a weaker place turns them on.
func TestSwitchPrecedence(t *testing.T) {
	on := writeFile(t, "confd.toml", "watch = true\nnoop = true\n")
	s, err := loadSettings([]string{"-config-file", on, "-watch=false"}, testMachine("CONFD_NOOP=false"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Watch || s.Noop {
		t.Errorf("watch %v, noop %v: a weaker place has won", s.Watch, s.Noop)
	}
}

// TestDefaults checks that every default can be set and is what the help says.
func TestDefaults(t *testing.T) {
	s, err := loadSettings([]string{noConfig(t)}, testMachine())
	if err != nil {
		t.Fatal(err)
	}
	for o := range options() {
		if o.def != "" && o.name != "config-file" && fieldOf(o, s) != o.def {
			t.Errorf("%s: %q, but the default is %q", o.name, fieldOf(o, s), o.def)
		}
		if o.help == "" || strings.HasSuffix(o.help, ".") {
			t.Errorf("%s: the help is missing or ends in a full stop", o.name)
		}
	}
	want := map[string]string{"name": "here", "data-dir": "/var/lib/confd", "backend": "raftkv", "watch": "true"}
	for name, value := range want {
		if got := fieldOf(optionNamed(name), s); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// TestNames checks that no name means two options.
func TestNames(t *testing.T) {
	owner := map[string]string{}
	for o := range options() {
		var flags []string
		for _, name := range o.flags() {
			flags = append(flags, "-"+name)
		}
		for _, name := range slices.Concat(flags, o.envNames(), o.fileKeys()) {
			if other, ok := owner[name]; ok {
				t.Errorf("%s belongs to %s and to %s", name, other, o.name)
			}
			owner[name] = o.name
		}
		if _, ok := foreign[o.name]; ok {
			t.Errorf("%s is said to be absent", o.name)
		}
	}
}

func TestDeduce(t *testing.T) {
	type want map[string]string // :: option → value
	for _, test := range []struct {
		name string
		args []string
		env  []string
		want want
	}{
		{"embedded store", nil, nil, want{"backend": "raftkv", "watch": "true", "node": ""}},
		{"embedded store by interval", []string{"-watch=false"}, nil, want{"backend": "raftkv", "watch": "false"}},
		{"-node means etcd", []string{"-node", "http://h:1"}, nil, want{"backend": "etcd", "watch": "false", "node": "http://h:1"}},
		{"-srv-domain means etcd", []string{"-srv-domain", "example.com"}, nil, want{"backend": "etcd", "srv-record": "_etcd._tcp.example.com."}},
		{"-srv-record wins over the domain", []string{"-srv-domain", "example.com", "-srv-record", "x."}, nil, want{"srv-record": "x."}},
		{"-file means file", []string{"-file", "a.yaml", "-file", "b,c.yaml"}, nil, want{"backend": "file", "file": "a.yaml,b,c.yaml"}},
		{"-node beats -file", []string{"-file", "a", "-node", "h:1"}, nil, want{"backend": "etcd"}},
		{"nodes by comma", []string{"-node", "h:1, i:2", "-node", "https://j"}, nil, want{"node": "http://h:1,http://i:2,https://j"}},
		{"nodes from the environment", nil, []string{"CONFD_NODE=h:1,i:2"}, want{"backend": "etcd", "node": "http://h:1,http://i:2"}},
		{"default node", []string{"-backend", "etcd"}, nil, want{"node": "http://127.0.0.1:4001"}},
		{"ETCDCTL_PEERS", []string{"-backend", "etcd"}, []string{"ETCDCTL_PEERS=http://h:1,http://i:2"}, want{"node": "http://h:1,http://i:2"}},
		{"-node beats ETCDCTL_PEERS", []string{"-node", "http://j:3"}, []string{"ETCDCTL_PEERS=http://h:1"}, want{"node": "http://j:3"}},
		{"ETCDCTL_PEERS alone means nothing", nil, []string{"ETCDCTL_PEERS=http://h:1"}, want{"backend": "raftkv", "node": ""}},
		{"scheme", []string{"-node", "h:1", "-scheme", "https"}, nil, want{"node": "https://h:1"}},
		{"scheme by certificate", []string{"-node", "h:1", "-client-ca-keys", "ca"}, nil, want{"node": "https://h:1"}},
		{"empty means default", []string{"-log-level=", "-interval", "", "-backend="}, nil, want{"log-level": "info", "interval": "600", "backend": "raftkv"}},
		{"log levels of confd 0.16", []string{"-log-level=WARNING"}, nil, want{"log-level": "warn"}},
		{"state of a user", nil, []string{"uid=1", "HOME=/home/x"}, want{"data-dir": "/home/x/.local/state/confd"}},
		{"state by XDG", nil, []string{"uid=1", "HOME=/home/x", "XDG_STATE_HOME=/s"}, want{"data-dir": "/s/confd"}},
		{"one-shot without a home", []string{"-file=x", "-onetime"}, []string{"uid=1"}, want{"data-dir": ""}},
		{"last flag wins", []string{"-prefix", "/a", "-prefix", "/b"}, nil, want{"prefix": "/b"}},
	} {
		m := testMachine(test.env...)
		m.root = !slices.Contains(test.env, "uid=1")
		s, err := loadSettings(append(test.args, noConfig(t)), m)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for name, value := range test.want {
			if got := fieldOf(optionNamed(name), s); got != value {
				t.Errorf("%s: %s is %q, want %q", test.name, name, got, value)
			}
		}
	}
}

func TestUseless(t *testing.T) {
	s, err := loadSettings([]string{"-backend=env", "-node=h:1", "-addr=:1", "-prefix=/x", noConfig(t)}, testMachine("CONFD_FILTER=x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := useless(s), []string{"-node", "-addr"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
