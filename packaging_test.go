// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestPackaging reads every file of packaging as the program would that it is for, and
// has confd take each command line and variable for itself.
func TestPackaging(t *testing.T) {
	err := filepath.WalkDir("packaging", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		switch {
		case path.Ext(name) == ".service":
			checkUnit(t, name, string(data), nil)
		case path.Ext(name) == ".env":
			checkEnvFile(t, name, string(data))
		case name == "packaging/coreos/user-data.yaml":
			checkCloudConfig(t, name, data)
		case name != "packaging/README.md":
			t.Errorf("%s: nobody reads it", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// unitKeys are the keys that our units may have.
var unitKeys = map[string]string{
	"Unit": "Description Documentation Wants After",
	"Service": `Type WatchdogSec TimeoutStartSec EnvironmentFile ExecStartPre ExecStart ExecReload Restart RestartSec StateDirectory StateDirectoryMode
		RuntimeDirectory LimitNOFILE KillMode TimeoutStopSec ProtectSystem ProtectHome ProtectProc ProtectClock ProtectHostname
		ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectControlGroups PrivateDevices PrivateTmp PrivateUsers
		RestrictRealtime RestrictNamespaces RestrictSUIDSGID RestrictAddressFamilies LockPersonality MemoryDenyWriteExecute
		NoNewPrivileges SystemCallArchitectures SystemCallFilter CapabilityBoundingSet DynamicUser UMask`,
	"Install": "WantedBy",
}

// checkUnit checks a unit, and that confd takes its command line in the environment.
// It returns the settings.
func checkUnit(t *testing.T, name, text string, env []string) *settings {
	t.Helper()
	section, restart, begun := "", "", []string(nil)
	for i, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if title, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(title, "]")
			if unitKeys[section] == "" {
				t.Errorf("%s:%d: unknown section %s", name, i+1, line)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !slices.Contains(strings.Fields(unitKeys[section]), key) {
			t.Errorf("%s:%d: not a key of [%s]: %s", name, i+1, section, line)
		}
		switch key {
		case "ExecStart":
			begun = strings.Fields(value)
		case "Restart":
			restart = value
		}
	}
	if len(begun) == 0 || path.Base(begun[0]) != "confd" || !path.IsAbs(begun[0]) {
		t.Fatalf("%s: ExecStart is %q", name, begun)
	}
	if restart != "always" {
		t.Errorf("%s: a failed disk ends confd, and Restart is %q", name, restart)
	}
	return checkSettings(t, name, env, begun[1:])
}

// checkSettings checks that confd takes the variables and the command line as they are.
func checkSettings(t *testing.T, name string, env, args []string) *settings {
	t.Helper()
	var known []string
	for o := range options() {
		known = append(known, o.envNames()...)
	}
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains(known, name) {
			t.Errorf("%s: no option is called %s", name, e)
		}
	}
	s, err := loadSettings(append(slices.Clone(args), noConfig(t)), testMachine(env...))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if names := append(idle(s), useless(s)...); names != nil {
		t.Errorf("%s: nothing comes of %v", name, names)
	}
	return s
}

// checkEnvFile checks a file of variables, as it is and with the lines that are commented
// out.
func checkEnvFile(t *testing.T, name, text string) {
	variable := regexp.MustCompile(`(?m)^(#?)([A-Z_]+=.*)$`)
	var env, all []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if m[1] == "" {
			env = append(env, m[2])
		}
		all = append(all, m[2])
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && line != "\n" && !variable.MatchString(line) {
			t.Errorf("%s: neither a comment nor a variable: %s", name, line)
		}
	}
	unit, err := os.ReadFile("packaging/systemd/confd.service")
	if err != nil {
		t.Fatal(err)
	}
	plain := checkUnit(t, name, string(unit), env)
	secure := checkUnit(t, name+" with TLS", string(unit), all)
	switch plain.Backend {
	case "raftkv":
		if plain.net.client[0].secure || !secure.net.client[0].secure || secure.CAFile == "" || !secure.net.peer.secure {
			t.Errorf("%s: served at %v, with TLS at %v", name, plain.net, secure.net)
		}
		if want := []string{"10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7001"}; !slices.Equal(plain.net.founders, want) || len(plain.net.peers) != 2 {
			t.Errorf("%s: founders %v, peers %v", name, plain.net.founders, plain.net.peers)
		}
	default:
		if !strings.HasPrefix(plain.Nodes[0], "http://") || !strings.HasPrefix(secure.Nodes[0], "https://") || !plain.Watch {
			t.Errorf("%s: follows %v, with TLS %v", name, plain.Nodes, secure.Nodes)
		}
	}
}

// checkCloudConfig does with the cloud-config what coreos-cloudinit did: the addresses
// of the machine are put in, and coreos.etcd becomes variables of etcd.service.
func checkCloudConfig(t *testing.T, name string, data []byte) {
	var config struct {
		CoreOS struct {
			Etcd  map[string]any
			Units []struct{ Name, Command, Content string }
		} `yaml:"coreos"`
	}
	data = bytes.ReplaceAll(data, []byte("$private_ipv4"), []byte("10.0.0.1"))
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&config); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !bytes.HasPrefix(data, []byte("#cloud-config\n")) {
		t.Errorf("%s: the first line is not #cloud-config", name)
	}
	var env []string
	for _, key := range slices.Sorted(maps.Keys(config.CoreOS.Etcd)) {
		env = append(env, fmt.Sprintf("%s=%v", envName("ETCD_", key), config.CoreOS.Etcd[key]))
	}
	unit := config.CoreOS.Units[0]
	if unit.Name != "etcd.service" || unit.Command != "start" {
		t.Fatalf("%s: the first unit is %s", name, unit.Name)
	}
	s := checkUnit(t, name, unit.Content, env)
	if s.Name != "here" || !strings.HasSuffix(s.Etcd.Discovery, "/v2/keys/_etcd/registry/c0ffee") || s.net.clientURL.String() != "http://10.0.0.1:4001" || s.net.peer.addr != "10.0.0.1:7001" || len(s.net.client) != 2 {
		t.Errorf("%s: %s at %v", name, s.Name, s.net)
	}
	// And without the flag that says so it is the store alone as well.
	bare := strings.ReplaceAll(unit.Content, " -store-only", "")
	p := &program{settings: checkUnit(t, name, bare, env)}
	if !p.likeEtcd() {
		t.Errorf("%s: confd would look for templates", name)
	}
}
