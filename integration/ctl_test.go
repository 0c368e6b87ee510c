// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"confd/integration/freeport"
)

// A ctlStep is one command line, for etcdctl and for confd.
type ctlStep struct {
	args  string // split at blanks; "~" stands for a blank within an argument
	stdin string
	lines int // interrupt the command when it has printed so many; 0 = it ends by itself

	// why is the reason for which confd is to differ, "" if it must not; out and code are
	// what confd then does.
	why  string
	out  string
	code int
}

// ctlKeys is run against confd's own store.
var ctlKeys = []ctlStep{
	{args: "get /nope"},
	{args: "-o json get /nope"},
	{args: "set /a 1"},
	{args: "-o extended set /a 1"},
	{args: "-o json set /a 1"},
	{args: "get a"},
	{args: "get /a/"},
	{args: "-o extended get /a"},
	{args: "-o json get --sort --quorum /a"},
	{args: "get"},
	{args: "set"},
	{args: "set /a"},
	{args: "set /a", stdin: "two\nlines\n"},
	{args: "get /a"},
	{args: "mk /stdin", stdin: "x"},
	{args: "update /stdin", stdin: "y"},
	{args: "set /a -x"},
	{args: "set -- /a -y"},
	{args: "mk /dash -x"},
	{args: "update /dash -y"},
	{args: "set --ttl 100 /t v"},
	{args: "-o extended get /t"},
	{args: "-o json get /t"},
	{args: "set /t2 w --ttl 100"},
	{args: "-o json update --ttl 9 /t z"},
	{args: "update --ttl 0 /t z"},
	{args: "set --ttl x /t z"},
	{args: "set --swap-with-value z /t 2"},
	{args: "set --swap-with-value z /t 2"},
	{args: "set --swap-with-index 2 /t 3"},
	{args: "set --swap-with-index x /t 3"},
	{args: "mk /t 1"},
	{args: "mk /new 1"},
	{args: "-o json mk /c/d/e 1"},
	{args: "-o extended mk --in-order /q 1"},
	{args: "mk --in-order /q 2"},
	{args: "mkdir /d"},
	{args: "mkdir /d"},
	{args: "mkdir"},
	{args: "-o extended mkdir /d3"},
	{args: "-o json mkdir /d4"},
	{args: "setdir /d5"},
	{args: "setdir /d5"},
	{args: "setdir --ttl 50 /d"},
	{args: "setdir /stdin"},
	{args: "update /stdin x"},
	{args: "update /missing x"},
	{args: "updatedir /d"},
	{args: "updatedir /missing"},
	{args: "updatedir /d 5"},
	{args: "-o json updatedir /d"},
	{args: "get /d"},
	{args: "-o json get /d"},
	{args: "get /"},
	{args: "ls --sort"},
	{args: "ls --sort /"},
	{args: "ls --sort -p --recursive /"},
	{args: "ls -r --sort /c"},
	{args: "-o json ls --sort /c"},
	{args: "-o extended ls --sort /c"},
	{args: "-o extended ls /"},
	{args: "ls /a"},
	{args: "ls -p /a"},
	{args: "-o extended ls /a"},
	{args: "ls /missing"},
	{args: "set /b~c <a>&\"é"},
	{args: "get /b~c"},
	{args: "-o json get /b~c"},
	{args: "rm /missing"},
	{args: "rm"},
	{args: "rm /d"},
	{args: "rm --dir /c"},
	{args: "rm --recursive /c"},
	{args: "-o json rm --recursive /d"},
	{args: "-o extended rm /new"},
	{args: "rm --with-value 9 /a"},
	{args: "rm --with-index 9 /a"},
	{args: "rm --with-value -y /a"},
	{args: "set /x 1"},
	{args: "-o json rm /x"},
	{args: "set /x 1"},
	{args: "rm /x"},
	{args: "rmdir /x"},
	{args: "rmdir /d5"},
	{args: "rmdir /q"},
	{args: "rmdir"},
	{args: "rmdir /dash"},
	{args: "set / 1"},
	{args: "rm --recursive /"},
	{args: "watch"},
	{args: "watch --after-index 1 --recursive /"},
	{args: "-o json watch --after-index 3 --recursive /"},
	{args: "-o extended watch --after-index 3 /a"},
	{args: "watch --recursive --after-index 8 --forever /dash", lines: 6},
	{args: "exec-watch"},
	{args: "exec-watch /a"},
	{args: "nosuch", why: "confd's own error for an unknown word, with its exit code for wrong usage", code: 2},
	{args: "member nosuch"},
	{args: "set --ttl -1 /t z", code: 1, why: "etcdctl takes a negative time to live for none"},
	{args: "get /t /b", code: 1, why: "etcdctl passes over what is too much"},
	{args: "-o yaml get /t", code: 1, why: "etcdctl fails with exit code 0"},
	{args: "set --swap-with-index 0 /t z", code: 1, why: "etcdctl drops the comparison and writes"},
	{args: "set --swap-with-value= /t z", code: 1, why: "etcdctl drops the comparison and writes"},
	{args: "rm --with-index 0 /t", code: 1, why: "etcdctl drops the comparison and removes"},
	{args: "rm --with-value= /t", code: 1, why: "etcdctl drops the comparison and removes"},
	{args: "import x", code: 1, why: "etcdctl 3.4 has no import any more"},
	{args: "--endpoints http://127.0.0.1:1 get /t"},
	{args: "--endpoints http://127.0.0.1:1 member list"},
}

// ctlCluster is run against confd's own store and against etcd.
var ctlCluster = []ctlStep{
	{args: "cluster-health"},
	{args: "member list"},
	{args: "member list x"},
	{args: "member add"},
	{args: "member add n2"},
	{args: "member update"},
	{args: "member update zz http://127.0.0.1:3"},
	{args: "member remove"},
	{args: "member remove zz"},
	{args: "member remove n1"},
	{args: "user list"},
	{args: "user get nobody"},
	{args: "user add"},
	{args: "user add root", stdin: "pw\n", why: "confd asks for a password only if somebody is there to read it", out: "User root created\n"},
	{args: "user add bob:pw"},
	{args: "user add empty:"},
	{args: "user list"},
	{args: "user list x"},
	{args: "user get root", why: "etcdctl prints as many blanks more as there are roles", out: "User: root\nRoles: root\n"},
	{args: "user get bob"},
	{args: "role list"},
	{args: "role add"},
	{args: "role add r1"},
	{args: "role add r1"},
	{args: "role get"},
	{args: "role get r1"},
	{args: "role get nope"},
	{args: "role grant r1"},
	{args: "role grant r1 --path /foo"},
	{args: "role grant r1 --path foo/ --read"},
	{args: "role grant --read --path /foo"},
	{args: "role grant r1 --path /foo* --read"},
	{args: "role grant r1 --path /foo* --read"},
	{args: "role grant r1 --path /bar --readwrite"},
	{args: "role grant r1 --path /rw --rw"},
	{args: "role grant r1 --path /bar2 --read --write"},
	{args: "role get r1"},
	{args: "role revoke r1 --path /bar --write"},
	{args: "role revoke r1 --path /nope --write"},
	{args: "role revoke nope --path /nope --write"},
	{args: "-o json role get r1"},
	{args: "role list"},
	{args: "role list x"},
	{args: "user grant bob"},
	{args: "user grant bob --roles r1"},
	{args: "user grant bob --roles r1"},
	{args: "user grant nope --roles r1"},
	{args: "user revoke bob --roles r1"},
	{args: "user revoke bob --roles r1"},
	{args: "user passwd bob", stdin: "pw3\n", why: "confd asks for a password only if somebody is there to read it", out: "Password updated\n"},
	{args: "user passwd"},
	{args: "auth enable x"},
	{args: "auth enable"},
	{args: "user list"},
	{args: "-u root:pw user list"},
	{args: "-u root:bad user list"},
	{args: "-u root user list", stdin: "pw\n", why: "confd asks for a password only if somebody is there to read it", out: "bob\nroot\n"},
	{args: "-u bob:pw3 set /x 1"},
	{args: "get /x"},
	{args: "-u root:pw role get guest"},
	{args: "-u root:pw role revoke guest --path /* --readwrite"},
	{args: "get /x"},
	{args: "set /x 1"},
	{args: "-u bob:pw get /x"},
	{args: "ls /"},
	{args: "cluster-health"},
	{args: "-u root:pw user remove root"},
	{args: "-u root:pw auth disable"},
	{args: "auth disable"},
	{args: "user add bob:pw2", code: 1, why: "etcdctl changes the password of the user who is there"},
	{args: "user remove bob"},
	{args: "user remove bob"},
	{args: "role remove r1"},
	{args: "role remove r1"},
	{args: "role remove root"},
	{args: "user remove"},
	{args: "role remove"},
	{args: "user nosuch"},
	{args: "member add n2 http://127.0.0.1:3"}, // the last: half the members are not there now
}

// TestCommandsLikeEtcdctl runs the same commands with etcdctl and with confd, each on a
// server of its own, and compares standard output, exit code, and the line on standard
// error that tells of a refused key.
func TestCommandsLikeEtcdctl(t *testing.T) {
	needs(t, "etcd", "etcdctl")
	t.Run("keys", func(t *testing.T) { compareTools(t, ctlKeys, startPlainDaemon) })
	t.Run("cluster", func(t *testing.T) { compareTools(t, ctlCluster, startPlainDaemon) })
	t.Run("cluster of etcd", func(t *testing.T) { compareTools(t, ctlCluster, startPlainEtcd) })
}

func compareTools(t *testing.T, steps []ctlStep, start func(*testing.T) (api, peer string)) {
	theirs := runSteps(t, "etcdctl", steps, start)
	ours := runSteps(t, filepath.Join(binDir, "confd"), steps, start)
	for i, s := range steps {
		want := theirs[i]
		if s.why != "" {
			if theirs[i].stdout == s.out && theirs[i].code == s.code {
				t.Errorf("%s: there is no difference any more: %s", s.args, s.why)
			}
			want = ctlResult{stdout: s.out, code: s.code, stderr: ours[i].stderr}
		}
		if strings.HasPrefix(want.stdout, "Incorrect Usage") {
			want.stdout = "" // and all of its help; confd's goes to standard error
		}
		if ours[i].stdout != want.stdout || ours[i].code != want.code {
			t.Errorf("%s: exit code %d, standard output\n%s\nwant %d and\n%s\nstandard error\n%s",
				s.args, ours[i].code, ours[i].stdout, want.code, want.stdout, ours[i].stderr)
		}
		if keyRefusal.MatchString(want.stderr) && ours[i].stderr != want.stderr {
			t.Errorf("%s: standard error\n%s\nwant\n%s", s.args, ours[i].stderr, want.stderr)
		}
	}
}

var (
	keyRefusal = regexp.MustCompile(`^Error:  \d+: `)
	anyID      = regexp.MustCompile(`\b[0-9a-f]{13,16}\b`)
	newCluster = regexp.MustCompile(`"[^"]*=http[^"]*"`)
	anyTime    = regexp.MustCompile(`"expiration":"[^"]*"`)
)

type ctlResult struct {
	stdout, stderr string
	code           int
}

// runSteps runs the commands in order against a new server, and returns what they did,
// with names for what is different from run to run.
func runSteps(t *testing.T, tool string, steps []ctlStep, start func(*testing.T) (api, peer string)) []ctlResult {
	t.Helper()
	api, peer := start(t)
	var results []ctlResult
	for _, s := range steps {
		r := runStep(t, tool, s, "http://"+api)
		for _, text := range []*string{&r.stdout, &r.stderr} {
			*text = strings.NewReplacer(api, "API", peer, "PEER").Replace(*text)
			*text = anyID.ReplaceAllString(*text, "ID")
			*text = anyTime.ReplaceAllString(*text, `"expiration":"TIME"`)
		}
		// The order of members is that of their ids, which are random.
		r.stdout = newCluster.ReplaceAllStringFunc(r.stdout, func(line string) string {
			members := strings.Split(strings.Trim(line, "\""), ",")
			slices.Sort(members)
			return strings.Join(members, ",")
		})
		results = append(results, r)
	}
	return results
}

func runStep(t *testing.T, tool string, s ctlStep, endpoint string) ctlResult {
	t.Helper()
	args := []string{"--timeout", "15s", "--total-timeout", "18s"} // the defaults are short for a busy machine
	for arg := range strings.FieldsSeq(s.args) {
		args = append(args, strings.ReplaceAll(arg, "~", " "))
	}
	cmd := exec.Command(tool, args...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=2", "ETCDCTL_ENDPOINTS="+endpoint)
	cmd.Stdin = strings.NewReader(s.stdin)
	stdout, stderr := &lineCounter{lines: s.lines, reached: make(chan struct{})}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	limit := time.After(patience)
	var err error
	for ended := false; !ended; {
		select {
		case err = <-done:
			ended = true
		case <-stdout.reached:
			cmd.Process.Signal(syscall.SIGINT)
			stdout.reached = nil
		case <-limit:
			cmd.Process.Kill()
			t.Errorf("%s %s: has not ended after %v", tool, s.args, patience)
			err, ended = <-done, true
		}
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ctlResult{stdout.text.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A lineCounter is a buffer that tells when it has so many lines.
type lineCounter struct {
	lines   int // 0 = never
	reached chan struct{}
	once    sync.Once
	text    bytes.Buffer
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.text.Write(p)
	if l.lines > 0 && bytes.Count(l.text.Bytes(), []byte("\n")) >= l.lines {
		l.once.Do(func() { close(l.reached) })
	}
	return len(p), nil
}

// startPlainDaemon starts confd's own store, with nothing to render.
func startPlainDaemon(t *testing.T) (api, peer string) {
	t.Helper()
	d := newDaemon(t, nil)
	if err := os.MkdirAll(filepath.Join(d.dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.start(t)
	return d.api, d.peer
}

// startPlainEtcd starts etcd with the v2 API, without authentication, until the test ends.
func startPlainEtcd(t *testing.T) (api, peer string) {
	t.Helper()
	api, peer = freeport.Addr(t), freeport.Addr(t)
	cmd := exec.Command("etcd", "--enable-v2", "--name", "n1", "--data-dir", t.TempDir(), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", "http://"+api, "--advertise-client-urls", "http://"+api,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "n1=http://"+peer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, "etcd is healthy", func() bool {
		resp, err := http.Get("http://" + api + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return api, peer
}
