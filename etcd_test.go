// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestInPlaceOfEtcd starts from what was given to etcd.
func TestInPlaceOfEtcd(t *testing.T) {
	type want struct {
		listen []string // as URLs
		url    string   // advertised
		peer   string   // listened on
		told   string   // advertised peer address, "" = the one listened on
	}
	list := writeFile(t, "peers", "127.0.0.1:7001\n")
	config := writeFile(t, "etcd.conf", `
addr = "10.0.0.1:4001"
bind_addr = "0.0.0.0:4001"
cors = ["http://a", "http://b"]
data_dir = "/x"
name = "n1"
peers = []
snapshot = true
snapshot_count = 5000
very_verbose = true
[peer]
addr = "10.0.0.1:7001"
heartbeat_interval = 100
election_timeout = 400
[cluster]
active_size = 5
remove_delay = 1800.5
`)
	for _, test := range []struct {
		name string
		args string
		env  []string
		want want
	}{
		{"nothing", "", nil, want{[]string{"http://127.0.0.1:4001"}, "http://127.0.0.1:4001", "127.0.0.1:7001", ""}},
		{"addresses to advertise", "-addr 10.0.0.1:4001 -peer-addr 10.0.0.1:7001", nil,
			want{[]string{"http://:4001"}, "http://10.0.0.1:4001", ":7001", "10.0.0.1:7001"}},
		{"host names", "-addr box:4001 -peer-addr localhost:7001", nil,
			want{[]string{"http://:4001"}, "http://box:4001", "localhost:7001", ""}},
		{"advertised and bound", "-addr 10.0.0.1:4001 -bind-addr 127.0.0.1:4001 -peer-addr 10.0.0.1:7001 -peer-bind-addr 10.0.0.1", nil,
			want{[]string{"http://127.0.0.1:4001"}, "http://10.0.0.1:4001", "10.0.0.1:7001", ""}},
		{"bound without a port", "-addr 10.0.0.1:5001 -bind-addr 0.0.0.0", nil,
			want{[]string{"http://0.0.0.0:5001"}, "http://10.0.0.1:5001", "127.0.0.1:7001", ""}},
		{"bound only", "-bind-addr 10.0.0.1:5001 -peer-bind-addr [::]:7002", nil,
			want{[]string{"http://10.0.0.1:5001"}, "http://10.0.0.1:5001", "[::]:7002", "127.0.0.1:7002"}},
		{"old environment", "", []string{"ETCD_ADDR=10.0.0.1:4001", "ETCD_BIND_ADDR=10.0.0.1:4001", "ETCD_PEER_ADDR=10.0.0.1:7001", "ETCD_PEERS="},
			want{[]string{"http://10.0.0.1:4001"}, "http://10.0.0.1:4001", ":7001", "10.0.0.1:7001"}},
		{"etcd 2.x", "-listen-client-urls http://0.0.0.0:2379,http://0.0.0.0:4001 -advertise-client-urls http://10.0.0.1:2379,http://10.0.0.1:4001 -listen-peer-urls http://10.0.0.1:2380/ -initial-advertise-peer-urls http://10.0.0.1:2380 -initial-cluster here=http://10.0.0.1:2380 -initial-cluster-state new -proxy off", nil,
			want{[]string{"http://0.0.0.0:2379", "http://0.0.0.0:4001"}, "http://10.0.0.1:2379", "10.0.0.1:2380", ""}},
		{"environment of etcd 2.x", "", []string{"ETCD_LISTEN_CLIENT_URLS=http://localhost:2379", "ETCD_INITIAL_CLUSTER=default=http://127.0.0.1:7001"},
			want{[]string{"http://localhost:2379"}, "http://localhost:2379", "127.0.0.1:7001", ""}},
		{"TLS", "-cert-file c -key-file k -peer-cert-file c -peer-key-file k -peer-ca-file a -addr 10.0.0.1:4001", nil,
			want{[]string{"https://:4001"}, "https://10.0.0.1:4001", "127.0.0.1:7001", ""}},
		{"TLS outside only", "-cert-file c -key-file k -listen-client-urls https://10.0.0.1:2379,http://127.0.0.1:2379", nil,
			want{[]string{"https://10.0.0.1:2379", "http://127.0.0.1:2379"}, "https://10.0.0.1:2379", "127.0.0.1:7001", ""}},
		{"file of etcd 0.4", "-config " + config, nil,
			want{[]string{"http://0.0.0.0:4001"}, "http://10.0.0.1:4001", ":7001", "10.0.0.1:7001"}},
		{"own peer only", "-peers 127.0.0.1:7001", nil, want{[]string{"http://127.0.0.1:4001"}, "http://127.0.0.1:4001", "127.0.0.1:7001", ""}},
		{"file of own peer", "-peers-file " + list, nil, want{[]string{"http://127.0.0.1:4001"}, "http://127.0.0.1:4001", "127.0.0.1:7001", ""}},
	} {
		s, err := loadSettings(append(strings.Fields(test.args), noConfig(t)), testMachine(test.env...))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var listens []string
		for _, l := range s.net.client {
			listens = append(listens, endpoint{l.scheme(), l.addr}.String())
		}
		got := want{listens, s.net.clientURL.String(), s.net.peer.addr, s.net.peerHost}
		if !slices.Equal(got.listen, test.want.listen) || got.url != test.want.url || got.peer != test.want.peer || got.told != test.want.told {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if s.asEtcd != (test.name != "nothing") {
			t.Errorf("%s: started as etcd: %v", test.name, s.asEtcd)
		}
		if test.name == "file of etcd 0.4" {
			if s.Name != "n1" || s.DataDir != "/x" || s.SnapshotCount != 5000 || s.LogLevel != "debug" || s.electionTimeout() != 500*time.Millisecond ||
				s.ClusterActiveSize != 5 || s.ClusterRemoveDelay != 1800.5 || !slices.Equal(s.CORS, []string{"http://a", "http://b"}) {
				t.Errorf("%s: got %+v", test.name, s)
			}
		}
	}
}

// TestEtcdFaults pins what people are told who start confd in place of etcd.
func TestEtcdFaults(t *testing.T) {
	const (
		token  = "\nhint: curl http://HOST:4001/discovery/new?size=3 makes one, at any store that runs"
		oneWay = "each of them says how to find the other nodes\nhint: give one; -peers may stand beside -discovery"
		listed = "\nhint: the list has all nodes, by -name and -peer-addr"
	)
	list := writeFile(t, "peers", "10.0.0.1:7001,\n10.0.0.2")
	config := writeFile(t, "etcd.conf", "addr = \"x\"\n[peer]\nadress = 1\n")
	for _, test := range []struct {
		args, env string
		want      string
	}{
		{"-discovery d.example/x", "", "error: -discovery is not the URL of a key" + token},
		{"-discovery http://u:secret@d", "", "error: -discovery is not the URL of a key" + token},
		{"", "ETCD_DISCOVERY=x", "error: ETCD_DISCOVERY is not the URL of a key" + token},
		{"-peers 10.0.0.2", "", "error: -peers \"10.0.0.2\" is not HOST:PORT\nhint: as in 10.0.0.1:7001"},
		{"-peers http://h:1/x", "", "error: -peers \"http://h:1/x\" is not HOST:PORT\nhint: as in 10.0.0.1:7001"},
		{"-peers https://h:1", "", "error: -peers \"https://h:1\": the peer port has no certificate\nhint: give it one with -peer-cert-file, -peer-key-file and -peer-ca-file"},
		{"-peers-file " + list, "", "error: -peers-file \"10.0.0.2\" is not HOST:PORT\nhint: as in 10.0.0.1:7001"},
		{"-discovery-srv d.example -peers h:1", "", "error: -peers, -discovery-srv: " + oneWay},
		{"-initial-cluster here=http://127.0.0.1:7001,b=http://h:2380 -discovery http://d/x", "", "error: -discovery, -initial-cluster: " + oneWay},
		{"-initial-cluster a=http://h:1,b=http://h:2", "", "error: -initial-cluster: this node, here at 127.0.0.1:7001, is not among them" + listed},
		{"-initial-cluster here=http://h:1,b=http://h:2", "", "error: -initial-cluster: here is at h:1 there, and this node of that name at 127.0.0.1:7001\nhint: set -peer-addr h:1, or correct the list"},
		{"-initial-cluster a=http://127.0.0.1:7001,here=http://h:2", "", "error: -initial-cluster: here is at h:2 there, and this node of that name at 127.0.0.1:7001\nhint: set -peer-addr h:2, or correct the list"},
		{"-peers-file /no", "", "error: -peers-file: open /no: no such file or directory"},
		{"-initial-cluster a=http://127.0.0.1:7001,b=http://h:2", "", "error: -initial-cluster: there is no here in it, which is the name of this node; 127.0.0.1:7001 is that of a there\nhint: set -name a, or correct the list"},
		{"-name here -initial-cluster default=http://127.0.0.1:7001", "", "error: -initial-cluster: there is no here in it, which is the name of this node; 127.0.0.1:7001 is that of default there\nhint: set -name default, or correct the list"},
		{"-initial-cluster http://h:1", "", "error: -initial-cluster \"http://h:1\" is not NAME=URL\nhint: as in -initial-cluster here=http://127.0.0.1:7001"},
		{"-initial-cluster-state existing", "", "error: -initial-cluster-state \"existing\": there is no node to join\nhint: name one with -initial-cluster or -peers"},
		{"-initial-cluster-state existing -initial-cluster here=http://127.0.0.1:7001", "", "error: -initial-cluster-state \"existing\": there is no node to join\nhint: name one with -initial-cluster or -peers"},
		{"-initial-cluster-state old", "", "error: -initial-cluster-state: want new or existing, not \"old\""},
		{"-proxy on", "", "error: -proxy \"on\": confd is no proxy\nhint: a machine beyond -cluster-active-size stands by: it serves the whole client API and has no vote"},
		{"-addr https://h:1", "", "error: -addr \"https://h:1\": the client port has no certificate\nhint: give it one with -cert-file and -key-file"},
		{"-peer-addr https://h:1", "", "error: -peer-addr \"https://h:1\": the peer port has no certificate\nhint: give it one with -peer-cert-file, -peer-key-file and -peer-ca-file"},
		{"-bind-addr https://h:1", "", "error: -bind-addr \"https://h:1\": the client port has no certificate\nhint: give it one with -cert-file and -key-file"},
		{"-bind-addr 4001", "", "error: -bind-addr \"4001\" is not HOST:PORT\nhint: as in -bind-addr 127.0.0.1:4001"},
		{"-listen-client-urls unix://x:1", "", "error: -bind-addr \"unix://x:1\" is not HOST:PORT\nhint: as in -bind-addr 127.0.0.1:4001"},
		{"", "ETCD_LISTEN_PEER_URLS=http://h:1/x", "error: ETCD_LISTEN_PEER_URLS \"http://h:1/x\" is not HOST:PORT\nhint: as in -peer-bind-addr 127.0.0.1:7001"},
		{"", "ETCD_LISTEN_PEER_URLS=http://h:1,http://h:2", "error: ETCD_LISTEN_PEER_URLS gives 2 addresses, and this version serves other nodes on one\nhint: 0.0.0.0:PORT means all interfaces"},
		{"-cert-file x", "", "error: -cert-file and -key-file belong together: only one is given"},
		{"-ca-file x", "", "error: -ca-file needs -cert-file and -key-file"},
		{"-client-cert-auth -cert-file x -key-file x", "", "error: -client-cert-auth needs -trusted-ca-file"},
		{"-peer-key-file x", "", "error: -peer-cert-file and -peer-key-file belong together: only one is given"},
		{"-peer-ca-file x", "", "error: -peer-ca-file needs -peer-cert-file and -peer-key-file"},
		{"-peer-cert-file x -peer-key-file x", "", "error: -peer-cert-file needs -peer-ca-file: nodes let each other in by certificate, in both directions\nhint: name the file with the authority that has issued the certificates of the nodes"},
		{"-peer-cert-file x -peer-key-file x -peer-ca-file x -peer-bind-addr http://0.0.0.0:1", "", "error: -peer-bind-addr begins with http://, and -peer-cert-file is given\nhint: the peer port speaks either TLS or not; write https://, or leave the certificate out"},
		{"-cert-file x -key-file x -bind-addr http://0.0.0.0:1", "", "error: -cert-file is given, and every address of the client API begins with http://\nhint: write https://, or leave the certificate out"},
		{"-snapshot-count 0", "", "error: -snapshot-count: want at least 1, not 0"},
		{"-election-timeout -1", "", "error: -peer-election-timeout: want at least 1, not -1"},
		{"", "ETCD_PEER_HEARTBEAT_INTERVAL=fast", "error: ETCD_PEER_HEARTBEAT_INTERVAL: want a whole number, not \"fast\""},
		{"-cluster-remove-delay x", "", "error: -cluster-remove-delay: want a number, not \"x\""},
		{"-cluster-remove-delay -1", "", "error: -cluster-remove-delay: want 0 to 1000000000 seconds, not -1"},
		{"-follower-writes refuse", "", "error: -follower-writes: want forward or redirect, not \"refuse\""},
		{"-cors example.com", "", "error: -cors: CORS origin \"example.com\" is not of the form http://HOST[:PORT] nor *"},
		{"-store-only -onetime", "", "error: -store-only and -onetime contradict each other: one renders nothing, the other renders once"},
		{"-store-only -backend env", "", "error: -store-only is for the embedded store, not for backend env"},
		{"-config /no", "", "error: reading configuration: open /no: no such file or directory"},
		{"-config " + config, "", "error: " + config + ":3:1: unknown key \"adress\" in [peer]"},
	} {
		code, stdout, stderr := runIt(t.Context(), []string{test.env}, append(strings.Fields(test.args), noConfig(t))...)
		want := "confd: " + strings.ReplaceAll(test.want, "\n", "\nconfd: ") + "\n"
		if code != exitUsage || stderr != want || stdout != "" {
			t.Errorf("%s %s: exit code %d, standard error\n%s\nwant %d and\n%s", test.args, test.env, code, stderr, exitUsage, want)
		}
	}
}

// TestOtherNodes finds the other nodes in the options.
func TestOtherNodes(t *testing.T) {
	list := writeFile(t, "peers", "10.0.0.1:7001,\n10.0.0.2:7001\n")
	const all = "c=http://10.0.0.3:2380,here=http://127.0.0.1:7001,b=http://10.0.0.2:2380"
	for _, test := range []struct {
		args            string
		peers, founders string
	}{
		{"", "", ""},
		{"-peers 127.0.0.1:7001", "", ""},
		{"-peers 127.0.0.1:7001,http://10.0.0.2:7001/", "10.0.0.2:7001", ""},
		{"-peer-addr 10.0.0.1:7001 -peers-file " + list, "10.0.0.2:7001", ""},
		{"-peer-bind-addr 0.0.0.0:7001 -peers 127.0.0.1:7001", "", ""},
		{"-initial-cluster here=http://127.0.0.1:7001", "", ""},
		{"-initial-cluster default=http://127.0.0.1:7001", "", ""},
		{"-initial-cluster " + all, "10.0.0.2:2380 10.0.0.3:2380", "10.0.0.2:2380 10.0.0.3:2380 127.0.0.1:7001"},
		{"-initial-cluster-state existing -initial-cluster " + all, "10.0.0.2:2380 10.0.0.3:2380", ""},
		{"-initial-cluster-state existing -peers h:1", "h:1", ""},
		{"-discovery http://h:1/v2/keys/x -peers h:1", "h:1", ""},
		{"-peer-addr h:1 -initial-cluster here=http://g:1,here=http://h:1,b=http://h:2", "h:2", "h:2 h:1"},
	} {
		s, err := loadSettings(append(strings.Fields(test.args), noConfig(t)), testMachine())
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if got := strings.Join(s.net.peers, " "); got != test.peers {
			t.Errorf("%s: peers %q, want %q", test.args, got, test.peers)
		}
		if got := strings.Join(s.net.founders, " "); got != test.founders {
			t.Errorf("%s: founders %q, want %q", test.args, got, test.founders)
		}
	}
}

// TestEtcdIsForTheStore checks that the environment of an etcd on the machine means
// nothing to a confd that follows it.
func TestEtcdIsForTheStore(t *testing.T) {
	env := []string{"ETCD_DATA_DIR=/var/lib/etcd", "ETCD_DISCOVERY=http://d", "ETCD_NAME=x", "ETCD_DEBUG=true", "ETCD_SNAPSHOT_COUNT=many"}
	for _, args := range [][]string{{"-node=h:1"}, {"-backend=env"}, {"-file=x"}} {
		s, err := loadSettings(append(args, noConfig(t)), testMachine(env...))
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		if s.DataDir != "/var/lib/confd" || s.Etcd.Discovery != "" || s.LogLevel != "info" || s.asEtcd {
			t.Errorf("%v: got %+v", args, s)
		}
	}
	if _, err := loadSettings([]string{noConfig(t)}, testMachine(env...)); err == nil {
		t.Error("the embedded store does not look at ETCD_ variables")
	}
}

func TestElectionTimeout(t *testing.T) {
	for _, test := range []struct{ heartbeat, election, want int }{
		{0, 0, 0}, {50, 200, 250}, {100, 0, 500}, {100, 1000, 1000}, {10, 0, 250}, {0, 3000, 3000},
	} {
		s := &settings{HeartbeatInterval: test.heartbeat, ElectionTimeout: test.election}
		if got := s.electionTimeout(); got != time.Duration(test.want)*time.Millisecond {
			t.Errorf("heartbeat %d, election %d: %v, want %d ms", test.heartbeat, test.election, got, test.want)
		}
	}
}

// TestStoreOnly serves the store of one who gave only options of etcd, or said so, where
// there are no templates.
func TestStoreOnly(t *testing.T) {
	ports := []string{"-addr=127.0.0.1:0", "-peer-addr=127.0.0.1:0"}
	for _, test := range []struct {
		name    string
		args    []string
		message string // of the log
		banner  string
	}{
		{"as etcd", ports, `INFO  started as etcd would be: the store is served and nothing is rendered no=\S+`, `renders     nothing: no resource files in`},
		{"-store-only", append(ports, "-store-only"), ``, `renders     nothing: -store-only`},
		{"-store-only with a confdir that is broken", append(ports, "-store-only", "-confdir=/dev/null"), ``, `renders     nothing: -store-only`},
		{"options without effect", append(ports, "-f", "-max-retry-attempts=3"), `WARN  options that are taken for etcd's sake, and have no effect options="\[-force -max-retry-attempts\]"`, ``},
	} {
		p := newProgram(t, append(test.args, "-data-dir", t.TempDir())...)
		if p.given["confdir"] == fromDefault {
			p.ConfDir = filepath.Join(t.TempDir(), "none") // in place of /etc/confd, which the machine may have
		}
		stdout, stderr := newOutput(), newOutput()
		p.stdout, p.log = stdout, newLogger(stderr, "text", "info")
		if names := idle(p.settings); names != nil {
			p.log.Warn("options that are taken for etcd's sake, and have no effect", "options", names)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.daemon(ctx) }()
		api := stdout.await(t, `client API  (\S+)\n`)[1]
		stdout.await(t, test.banner)
		stderr.await(t, test.message)
		if code, body := send(t, http.MethodPut, api+"/v2/keys/a", "x"); code != http.StatusCreated {
			t.Errorf("%s: status %d, %s", test.name, code, body)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if strings.Contains(stderr.String(), "ERROR") {
			t.Errorf("%s: %s", test.name, stderr)
		}
	}
	// A confd that was given nothing of etcd, or a confdir, has to have one.
	for _, args := range [][]string{{}, append(ports, "-confdir=/nowhere"), append(ports, "-onetime")} {
		p := newProgram(t, args...)
		p.ConfDir = "/nowhere"
		if err := p.checkConfDir(); err == nil {
			t.Errorf("%v: no error without a confdir", args)
		}
	}
}

// TestEtcdData warns about the data of an etcd, once: not when there is a store of ours.
func TestEtcdData(t *testing.T) {
	for _, test := range []struct {
		dirs string
		want bool
	}{{"", false}, {"log", false}, {"conf log", true}, {"member", true}, {"member store", false}} {
		p := newProgram(t, "-data-dir", t.TempDir())
		out := newOutput()
		p.log = newLogger(out, "text", "info")
		for _, dir := range strings.Fields(test.dirs) {
			if err := os.Mkdir(filepath.Join(p.DataDir, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		p.warnOfEtcdData()
		if got := strings.Contains(out.String(), "the data of an etcd"); got != test.want {
			t.Errorf("%q: warned %v, want %v", test.dirs, got, test.want)
		}
	}
}

// TestEndWhileOpening ends a daemon before it has opened its store; that is no failure.
func TestEndWhileOpening(t *testing.T) {
	dir, _ := newConfDir(t, "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, stderr := runIt(ctx, nil, append(storeArgs(dir, t.TempDir()), noConfig(t))...)
	if code != exitOK || strings.Contains(stderr, "error") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
