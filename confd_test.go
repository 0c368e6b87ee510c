// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// runIt runs confd with the arguments and environment, and returns what came out.
func runIt(ctx context.Context, env []string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, system{
		machine: testMachine(env...),
		environ: func() []string { return env },
		lookupSRV: func(_ context.Context, name string) ([]*net.SRV, error) {
			return nil, errors.New("no such host")
		},
		stdout: &out,
		stderr: &errs,
	})
	return code, out.String(), errs.String()
}

// TestBadUsage pins what people are told about each wrong option.
func TestBadUsage(t *testing.T) {
	for _, test := range []struct {
		name string
		args string
		env  string
		toml string
		want string // all of standard error, FILE for the configuration file
	}{
		{"unknown flag", "-onetim", "", "", "error: unknown flag -onetim\nhint: did you mean -onetime?"},
		{"unknown flag with a value", "--confd-dir=x", "", "", "error: unknown flag -confd-dir\nhint: did you mean -confdir?"},
		{"far from all", "-zzzzzzzzz", "", "", "error: unknown flag -zzzzzzzzz\nhint: confd -help lists all flags"},
		{"no value", "-node", "", "", "error: flag -node needs a value: -node URL"},
		{"misspelt task", "rendr x", "", "", "error: unexpected argument \"rendr\"\nhint: did you mean confd render?"},
		{"stray", "templates", "", "", "error: unexpected argument \"templates\"\nhint: confd -help lists the flags, confd help the commands"},
		{"value of a switch", "-watch false", "", "", "error: unexpected argument \"false\"\nhint: a switch takes its value behind \"=\", as in -watch=false"},
		{"forgotten dash", "onetime", "", "", "error: unexpected argument \"onetime\"\nhint: did you mean -onetime?"},
		{"backend as a command", "etcd -node x", "", "", "error: unexpected argument \"etcd\"\nhint: did you mean -backend etcd?"},
		{"three dashes", "---watch", "", "", "error: unexpected argument \"---watch\"\nhint: confd -help lists the flags, confd help the commands"},
		{"nothing but dashes", "-- x", "", "", "error: unexpected argument \"--\"\nhint: confd -help lists the flags, confd help the commands"},
		{"bad switch", "-watch=maybe", "", "", "error: -watch: want true or false, not \"maybe\""},
		{"bad number", "-interval 10s", "", "", "error: -interval: want a whole number, not \"10s\""},
		{"bad environment", "", "CONFD_INTERVAL=soon", "", "error: CONFD_INTERVAL: want a whole number, not \"soon\""},
		{"interval 0", "-interval 0", "", "", "error: an interval of 0 seconds: want at least 1"},
		{"negative interval", "", "", "interval = -5", "error: an interval of -5 seconds: want at least 1"},
		{"max-value 0", "-max-value 0", "", "", "error: a largest value of 0 bytes: want at least 1"},
		{"log level", "-log-level loud", "", "", "error: unknown log level \"loud\": want one of panic, fatal, error, warn, info, debug"},
		{"log format", "-log-format xml", "", "", "error: unknown log format \"xml\": want text or json"},
		{"report", "-onetime -report xml", "", "", "error: unknown format of -report \"xml\": want json or junit, and a file behind a colon if it is not for standard output"},
		{"report of a daemon", "-report json", "", "", "error: -report is for -onetime, and for the commands check and test"},
		{"diff that is applied", "", "CONFD_DIFF=true", "", "error: -diff is for -noop; confd diff means both"},
		{"context", "-diff-context -1", "", "", "error: -diff-context of -1 lines: want 0 or more"},
		{"scheme", "-scheme ftp", "", "", "error: unknown scheme \"ftp\": want http or https"},
		{"certificate alone", "-client-cert x", "", "", "error: -client-cert and -client-key belong together: only one is given"},
		{"basic auth", "-basic-auth", "", "", "error: -basic-auth needs -username and -password"},
		{"file without files", "-backend file", "", "", "error: backend file needs at least one -file"},
		{"address", "-addr 4001", "", "", "error: -addr \"4001\" is not HOST:PORT\nhint: as in -addr 127.0.0.1:4001"},
		{"peer address", "-peer-addr here:", "", "", "error: -peer-addr \"here:\" is not HOST:PORT\nhint: as in -peer-addr 127.0.0.1:7001"},
		{"absent backend", "-backend consul", "", "", "error: backend \"consul\" is not in this version, which has raftkv, etcd, file, env"},
		{"etcdv3", "-backend etcdv3", "", "", "error: backend \"etcdv3\" is not in this version, which has raftkv, etcd, file, env\nhint: etcd up to 3.5 also speaks the v2 API, if started with --enable-v2: use -backend etcd"},
		{"misspelt backend", "-backend ectd", "", "", "error: unknown backend \"ectd\"\nhint: did you mean etcd?"},
		{"unknown backend", "-backend mainframe", "", "", "error: unknown backend \"mainframe\"\nhint: this version has raftkv, etcd, file, env"},
		{"flag of another backend", "-auth-token x", "", "", "error: -auth-token is for vault and consul, which this version does not have\nhint: the backends are raftkv, etcd, file, env"},
		{"key of another backend", "", "", "table = \"t\"", "error: FILE: table is for dynamodb, which this version does not have\nhint: the backends are raftkv, etcd, file, env"},
		{"unknown key", "", "", "backend = \"env\"\nintervall = 5", "error: FILE:2:1: unknown key \"intervall\"; did you mean \"interval\"?"},
		{"two unknown keys", "", "", "loglevel = \"info\"\nnode_s = []", "error: FILE:1:1: unknown key \"loglevel\"; did you mean \"log-level\"?\nerror: FILE:2:1: unknown key \"node_s\"; did you mean \"nodes\"?"},
		{"two spellings", "", "", "sync-only = true\nsync_only = false", "error: FILE: sync_only is given twice, in two spellings"},
		{"two faults", "-interval 0 -log-format xml", "", "", "error: unknown log format \"xml\": want text or json\nerror: an interval of 0 seconds: want at least 1"},
	} {
		args := strings.Fields(test.args)
		path := writeFile(t, "confd.toml", test.toml)
		env := []string{test.env, "CONFD_CONFIG_FILE=" + path}
		code, stdout, stderr := runIt(t.Context(), env, args...)
		want := strings.ReplaceAll("confd: "+strings.ReplaceAll(test.want, "\n", "\nconfd: ")+"\n", "FILE", path)
		if code != exitUsage || stderr != want || stdout != "" {
			t.Errorf("%s: exit code %d, standard error\n%s\nwant %d and\n%s", test.name, code, stderr, exitUsage, want)
		}
	}
}

func TestConfigFileMissing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no.toml")
	code, _, stderr := runIt(t.Context(), nil, "-config-file", missing)
	if code != exitUsage || !strings.Contains(stderr, missing) {
		t.Errorf("named: exit code %d, %q", code, stderr)
	}
	if got, err := readConfigFile(missing, false); err != nil || got != nil {
		t.Errorf("default: %v, %v", got, err)
	}
}

func TestNoHome(t *testing.T) {
	m := testMachine()
	m.root = false
	_, err := loadSettings([]string{noConfig(t)}, m)
	if err == nil || !strings.Contains(err.Error(), "no place for the embedded store") {
		t.Errorf("got %v", err)
	}
	m.hostname = func() (string, error) { return "", errors.New("nameless") }
	_, err = loadSettings([]string{noConfig(t)}, m)
	if err == nil || !strings.Contains(err.Error(), "nameless") {
		t.Errorf("got %v", err)
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"-version", "--version"} {
		code, stdout, stderr := runIt(t.Context(), []string{"CONFD_VERSION=0.16.0"}, arg)
		if code != exitOK || !regexp.MustCompile(`^confd \d+\.\d+\.\d+\S* \(commit .*go1\..*\)\n$`).MatchString(stdout) || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q", arg, code, stdout, stderr)
		}
	}
}

var update = flag.Bool("update", false, "write the texts that are made from the table of options")

// TestDocs compares the texts made from the table with the files that hold them.
func TestDocs(t *testing.T) {
	code, help, _ := runIt(t.Context(), nil, "-help")
	if code != exitOK {
		t.Errorf("-help: exit code %d", code)
	}
	for path, text := range map[string]string{
		"docs/command-line.md": docText(),
		"docs/help.txt":        help,
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("%s is not what the table says; run: go test -run TestDocs . -update", path)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > helpWidth+1 && !strings.Contains(line, "curl") {
			t.Errorf("help: too long: %q", line)
		}
	}
}
