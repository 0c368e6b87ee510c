// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeStore answers every request alike, and remembers the requests.
type fakeStore struct {
	url    string
	status int
	answer string

	mu       sync.Mutex
	requests []string // method, path, query and body
	logins   []string // user:password, for requests that have them
}

const aNode = `{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":7,"createdIndex":6}}`

func newFakeStore(t *testing.T, status int, answer string) *fakeStore {
	f := &fakeStore{status: status, answer: answer}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	if user, password, ok := r.BasicAuth(); ok {
		f.logins = append(f.logins, user+":"+password)
	}
	f.mu.Unlock()
	w.Header().Set("X-Etcd-Index", "9")
	w.WriteHeader(f.status)
	io.WriteString(w, f.answer)
}

func (f *fakeStore) seen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.requests, "\n")
}

// ctl runs a command against a store, with an environment.
func ctl(t *testing.T, stdin string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, system{
		machine: testMachine(env...),
		environ: os.Environ,
		lookupSRV: func(_ context.Context, name string) ([]*net.SRV, error) {
			if name == "_etcd-client._tcp.example.org" {
				return []*net.SRV{{Target: "127.0.0.1.", Port: 1}}, nil
			}
			return nil, errors.New("no such host")
		},
		stdin:  strings.NewReader(stdin),
		stdout: &out,
		stderr: &errs,
	})
	return code, out.String(), errs.String()
}

// TestCommandRequests pins what each way of writing a command asks of the server.
func TestCommandRequests(t *testing.T) {
	for _, test := range []struct {
		args, stdin string
		want        string // the requests
	}{
		{"get /a", "", "GET /v2/keys/a"},
		{"get a --quorum", "", "GET /v2/keys/a?quorum=true"},
		{"get -q --sort=true /a/", "", "GET /v2/keys/a?quorum=true&sorted=true"},
		{"get -quorum=false /a", "", "GET /v2/keys/a"},
		{"ls", "", "GET /v2/keys"},
		{"ls -r --sort /a", "", "GET /v2/keys/a?recursive=true&sorted=true"},
		{"set /a v", "", "PUT /v2/keys/a value=v"},
		{"set /a v --ttl 5", "", "PUT /v2/keys/a?ttl=5 value=v"},
		{"set -ttl=5 /a v", "", "PUT /v2/keys/a?ttl=5 value=v"},
		{"set /a", "a&b", "PUT /v2/keys/a value=a%26b"},
		{"set /a -v", "", "PUT /v2/keys/a value=-v"},
		{"set -- /a --ttl", "", "PUT /v2/keys/a value=--ttl"},
		{"set /a -", "", "PUT /v2/keys/a value=-"},
		{"set --swap-with-value old --swap-with-index 4 /a v", "", "PUT /v2/keys/a?prevIndex=4 prevValue=old&value=v"},
		{"mk /a v", "", "PUT /v2/keys/a?prevExist=false value=v"},
		{"mk --in-order --ttl 3 /a v", "", "POST /v2/keys/a?ttl=3 value=v"},
		{"update /a v", "", "PUT /v2/keys/a?prevExist=true value=v"},
		{"mkdir --ttl 3 /a", "", "PUT /v2/keys/a?dir=true&prevExist=false&ttl=3"},
		{"setdir /a", "", "PUT /v2/keys/a?dir=true"},
		{"updatedir /a ignored", "", "PUT /v2/keys/a?dir=true&prevExist=true"},
		{"rm /a", "", "DELETE /v2/keys/a"},
		{"rm -r --dir /a", "", "DELETE /v2/keys/a?dir=true&recursive=true"},
		{"rm --with-value v --with-index 3 /a", "", "DELETE /v2/keys/a?prevIndex=3&prevValue=v"},
		{"rmdir /a", "", "DELETE /v2/keys/a?dir=true"},
		{"watch /a", "", "GET /v2/keys/a?wait=true"},
		{"watch -r --after-index 7 /a", "", "GET /v2/keys/a?recursive=true&wait=true&waitIndex=8"},
		{"member update 1f http://a:1,http://b:2", "", `PUT /v2/members/1f {"peerURLs":["http://a:1","http://b:2"]}`},
		{"role add r", "", `PUT /v2/auth/roles/r {"role":"r"}`},
		{"role grant --path /x* --rw r", "", `PUT /v2/auth/roles/r {"role":"r","grant":{"kv":{"read":["/x*"],"write":["/x*"]}}}`},
		{"role revoke r --path /x --write", "", `PUT /v2/auth/roles/r {"role":"r","revoke":{"kv":{"read":null,"write":["/x"]}}}`},
		{"user grant --roles a,b --roles c u", "", `PUT /v2/auth/users/u {"user":"u","grant":["a","b","c"]}`},
		{"user revoke u --roles a", "", `PUT /v2/auth/users/u {"user":"u","revoke":["a"]}`},
		{"user add u", "pw\nrest", "GET /v2/auth/users\n" + `PUT /v2/auth/users/u {"user":"u","password":"pw"}`},
		{"user remove u", "", "DELETE /v2/auth/users/u"},
		{"auth enable", "", "PUT /v2/auth/enable"},
		{"auth disable", "", "DELETE /v2/auth/enable"},
	} {
		f := newFakeStore(t, http.StatusOK, aNode)
		code, _, stderr := ctl(t, test.stdin, nil, append([]string{"--endpoints", f.url}, strings.Fields(test.args)...)...)
		if code != exitOK || f.seen() != test.want {
			t.Errorf("%s: exit code %d, %q; asked\n%s\nwant\n%s", test.args, code, stderr, f.seen(), test.want)
		}
	}
}

// TestCommandOutput pins the forms of output.
func TestCommandOutput(t *testing.T) {
	const dir = `{"action":"get","node":{"dir":true,"nodes":[{"key":"/d","dir":true,"ttl":5,"expiration":"2026-01-01T00:00:05Z","nodes":[{"key":"/d/x","value":"<1>"}]},{"key":"/y","value":""}]}}`
	const gone = `{"action":"delete","node":{"key":"/a","modifiedIndex":8,"createdIndex":6},"prevNode":{"key":"/a","value":"v","modifiedIndex":7,"createdIndex":6}}`
	for _, test := range []struct {
		answer, args string
		code         int
		want         string
	}{
		{aNode, "get /a", 0, "v\n"},
		{aNode, "get /a -o extended", 0, "Key: /a\nCreated-Index: 6\nModified-Index: 7\nTTL: 0\nIndex: 9\n\nv\n"},
		{aNode, "get /a -o json", 0, `{"action":"get","node":{"key":"/a","value":"v","nodes":null,"createdIndex":6,"modifiedIndex":7},"prevNode":null}` + "\n"},
		{dir, "get /", 1, ""},
		{dir, "ls", 0, "/d\n/d/x\n/y\n"},
		{dir, "ls -p", 0, "/d/\n/d/x\n/y\n"},
		{dir, "ls -o json", 0, `{"action":"get","node":{"key":"","dir":true,"value":"","nodes":[` +
			`{"key":"/d","dir":true,"value":"","nodes":[{"key":"/d/x","value":"\u003c1\u003e","nodes":null,"createdIndex":0,"modifiedIndex":0}],"createdIndex":0,"modifiedIndex":0,"expiration":"2026-01-01T00:00:05Z","ttl":5},` +
			`{"key":"/y","value":"","nodes":null,"createdIndex":0,"modifiedIndex":0}],"createdIndex":0,"modifiedIndex":0},"prevNode":null}` + "\n"},
		{aNode, "ls /a", 0, "/a\n"},
		{gone, "rm /a", 0, "PrevNode.Value: v\n"},
		{gone, "rm /a -o extended", 0, "Key: /a\nCreated-Index: 6\nModified-Index: 8\nPrevNode.Value: v\nTTL: 0\nIndex: 9\n"},
		{`{"action":"create","node":{"key":"/d","dir":true}}`, "mkdir /d", 0, ""},
		{gone, "watch -r /a", 0, "[delete] /a\nPrevNode.Value: v\n"},
		{`{"users":[{"user":"b","roles":[{"role":"r"}]},{"user":"a"}]}`, "user list", 0, "b\na\n"},
		{`{"user":"b","roles":[{"role":"r"},{"role":"s"}]}`, "user get b", 0, "User: b\nRoles: r s\n"},
		{`{"role":"r","permissions":{"kv":{"read":["/x"],"write":null}}}`, "role get r", 0, "Role: r\nKV Read:\n\t/x\nKV Write:\n"},
		{`{"members":[]}`, "cluster-health", 0, "cluster is healthy\n"},
		{`{"members":[{"id":"1f","name":"","peerURLs":["http://p:1"],"clientURLs":[]}]}`, "cluster-health", 5,
			"member 1f is unreachable: no available published client urls\ncluster is unavailable\n"},
	} {
		f := newFakeStore(t, http.StatusOK, test.answer)
		code, stdout, stderr := ctl(t, "", []string{"ETCDCTL_ENDPOINTS=" + f.url}, strings.Fields(test.args)...)
		if code != test.code || stdout != test.want {
			t.Errorf("%s: exit code %d, %q\n%s\nwant %d and\n%s", test.args, code, stderr, stdout, test.code, test.want)
		}
	}
}

// TestCommandMistakes pins exit codes and what people are told.
func TestCommandMistakes(t *testing.T) {
	const denied = `{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials","index":0}`
	for _, test := range []struct {
		status     int
		body, args string
		code       int
		want       string // all of standard error, URL for the server
	}{
		{404, `{"errorCode":100,"message":"Key not found","cause":"/a","index":3}`, "get /a", 4, "Error:  100: Key not found (/a) [9]\n"},
		{401, denied, "set /a 1", 4, "Error:  110: The request requires user authentication (Insufficient credentials) [9]\n"},
		{401, denied, "export", 4, "Error:  110: The request requires user authentication (Insufficient credentials) [9]\n"},
		{404, `{"message":"auth: User x does not exist."}`, "user get x", 1, "confd: error: auth: User x does not exist.\n"},
		{500, `{"errorCode":300,"message":"Raft Internal Error","cause":"timeout","index":3}`, "get /a", 4, "Error:  300: Raft Internal Error (timeout) [9]\n"},
		{404, "404 page not found", "member list", 1, "confd: error: Not Found (not the etcd v2 API; etcd 3.4 needs --enable-v2)\n"},
		{200, "{}", "get /a", 2, "confd: error: asking URL: reading the answer: it is not an event of the etcd v2 API\nconfd: hint: asked URL; another server is named by --endpoints\n"},
		{200, "", "get", 1, "confd: error: key required\nconfd: hint: confd help get\n"},
		{200, "", "get /a /b", 1, "confd: error: get takes no argument \"/b\"\nconfd: hint: confd help get\n"},
		{200, "", "get --sotr /a", 1, "confd: error: get knows no flag --sotr\nconfd: hint: did you mean --sort?\n"},
		{200, "", "rm --zzzzzzzzzzzz /a", 1, "confd: error: rm knows no flag --zzzzzzzzzzzz\nconfd: hint: an argument that begins with a dash goes behind \"--\"\n"},
		{200, "", "set /a v --ttl", 1, "confd: error: flag --ttl needs a value: --ttl SECONDS\nconfd: hint: confd help set\n"},
		{200, "", "set --ttl soon /a v", 1, "confd: error: --ttl: want a whole number, 0 or more, not \"soon\"\nconfd: hint: confd help set\n"},
		{200, "", "set /a", 1, "confd: error: value required\n"},
		{200, "", "get --timeout 5 /a", 1, "confd: error: --timeout: want a duration such as 5s, not \"5\"\nconfd: hint: confd help get\n"},
		{200, "", "get -o yaml /a", 1, "confd: error: --output: want simple, extended, json, not \"yaml\"\nconfd: hint: confd help get\n"},
		{200, "", "get --quorum=perhaps /a", 1, "confd: error: --quorum: want true or false, not \"perhaps\"\nconfd: hint: confd help get\n"},
		{200, "", "member ad x y", 3, "confd: error: member has no command \"ad\"\nconfd: hint: did you mean member add?\n"},
		{200, "", "help gte", 3, "confd: error: no command \"gte\"\nconfd: hint: did you mean confd help get?\n"},
		{200, "", "gte /a", 2, "confd: error: unexpected argument \"gte\"\nconfd: hint: did you mean confd get?\n"},
		{200, "", "get --cert-file x /a", 1, "confd: error: --cert-file and --key-file belong together: only one is given\n"},
		{200, "", "get --endpoints http://h:1/v2 /a", 1, "confd: error: endpoint \"http://h:1/v2\" has more than an address; did you mean \"http://h:1\"?\n"},
		{200, "", "role grant r --path x --read", 1, "confd: error: Not canonical path; please use `--path=/x`\n"},
		{200, "", "user remove ..", 1, "confd: error: \"..\": not a name or id\n"},
		{200, `{"users":[{"user":"u"}]}`, "user add u:secret", 1, "confd: error: user \"u\" exists already\nconfd: hint: confd user passwd u changes the password\n"},
		{200, `{"users":[]}`, "user passwd u", 1, "confd: error: user \"u\" does not exist\n"},
		{200, `{"users":[]}`, "user add u", 1, "confd: error: an empty password\n"},
		{200, `{"members":[{"id":"1f","name":"n1"}]}`, "member remove n1", 1, "confd: error: Couldn't find a member in the cluster with an ID of n1.\nconfd: hint: the member named n1 has it: confd member remove 1f\n"},
	} {
		f := newFakeStore(t, test.status, test.body)
		code, stdout, stderr := ctl(t, "", []string{"ETCDCTL_PEERS=" + f.url}, strings.Fields(test.args)...)
		stderr = strings.ReplaceAll(stderr, f.url, "URL")
		if code != test.code || stderr != test.want || stdout != "" {
			t.Errorf("%s: exit code %d, %q, standard error\n%s\nwant %d and\n%s", test.args, code, stdout, stderr, test.code, test.want)
		}
	}
}

// TestEmptyComparison makes sure that a comparison with nothing changes nothing.
func TestEmptyComparison(t *testing.T) {
	const (
		empty = ": the value is empty\nconfd: hint: the API cannot compare with an empty value; leave the flag out to change the key whatever it has\n"
		zero  = ": no key has index 0\nconfd: hint: leave the flag out to change the key whenever it was last changed\n"
	)
	for _, test := range []struct{ args, flag, want string }{
		{"set --swap-with-value ~ /a v", "--swap-with-value", empty},
		{"set --swap-with-value= /a v", "--swap-with-value", empty},
		{"set --swap-with-value ~ --swap-with-index 4 /a v", "--swap-with-value", empty},
		{"set --swap-with-index 0 /a v", "--swap-with-index", zero},
		{"set --swap-with-index ~ /a v", "--swap-with-index", empty},
		{"rm --with-value ~ /a", "--with-value", empty},
		{"rm --with-index=00 /a", "--with-index", zero},
	} {
		f := newFakeStore(t, http.StatusOK, aNode)
		args := strings.Fields(test.args)
		for i := range args {
			args[i] = strings.Trim(args[i], "~")
		}
		code, stdout, stderr := ctl(t, "", []string{"ETCDCTL_PEERS=" + f.url}, args...)
		if want := "confd: error: " + test.flag + test.want; code != ctlFailure || stderr != want || stdout != "" || f.seen() != "" {
			t.Errorf("%s: exit code %d, asked %q: %s\nwant %s", test.args, code, f.seen(), stderr, want)
		}
	}
}

// TestEndpoints pins who is asked: a flag before the environment, the environment before
// the default.
func TestEndpoints(t *testing.T) {
	const none = "127.0.0.1:1"
	f := newFakeStore(t, http.StatusOK, aNode)
	bare := strings.TrimPrefix(f.url, "http://")
	for _, test := range []struct {
		args, env string
		code      int
	}{
		{"-C " + bare + " get /a", "ETCDCTL_ENDPOINTS=" + none, 0},
		{"--peers " + f.url + " get /a", "", 0},
		{"get /a --endpoint=" + bare, "", 0},
		{"get /a", "ETCDCTL_ENDPOINT=" + bare, 0},
		{"get /a", "ETCDCTL_PEERS=" + none + "," + bare, 0},
		{"get /a", "ETCDCTL_ENDPOINTS=" + none, ctlNoServer},
		{"set /a 1", "ETCDCTL_ENDPOINTS=" + none + "," + bare, 0},
		{"--no-sync --endpoints " + bare + " get /a", "", 0},
		{"-D example.org --insecure-discovery get /a", "", ctlNoServer}, // nobody listens there
		{"-D example.org get /a", "", ctlFailure},
		{"-D example.com get /a", "", ctlFailure},
	} {
		code, _, stderr := ctl(t, "", []string{test.env}, strings.Fields(test.args)...)
		if code != test.code {
			t.Errorf("%s with %s: exit code %d, want %d: %s", test.args, test.env, code, test.code, stderr)
		}
	}
}

// TestPasswordsStaySecret looks for passwords wherever they must not be.
func TestPasswordsStaySecret(t *testing.T) {
	f := newFakeStore(t, http.StatusOK, aNode)
	for _, test := range []struct{ args, stdin, env string }{
		{"-u root:s3cret --debug get /a", "", ""},
		{"-u root --debug get /a", "s3cret\n", ""},
		{"--debug get /a", "", "ETCDCTL_USERNAME=root:s3cret"},
		{"-u root --debug user add alice", "s3cret\ns3cret2\n", ""},
	} {
		f.logins = nil
		code, stdout, stderr := ctl(t, test.stdin, []string{test.env, "ETCDCTL_ENDPOINTS=" + f.url}, strings.Fields(test.args)...)
		if code != exitOK || strings.Contains(stdout+stderr, "s3cret") || !strings.Contains(stderr, "curl -X") {
			t.Errorf("%s: exit code %d\n%s%s", test.args, code, stdout, stderr)
		}
		if len(f.logins) == 0 || f.logins[0] != "root:s3cret" {
			t.Errorf("%s: logged in as %q", test.args, f.logins)
		}
	}
	if !strings.Contains(f.seen(), `{"user":"alice","password":"s3cret2"}`) {
		t.Errorf("the second line is not the new password: %s", f.seen())
	}
}

// TestTotalTimeout lets a server answer never.
func TestTotalTimeout(t *testing.T) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}))
	t.Cleanup(server.Close)
	defer close(ended)
	for _, flag := range []string{"--total-timeout", "--timeout"} {
		start := time.Now()
		code, _, stderr := ctl(t, "", nil, "--endpoints", server.URL, flag, "50ms", "get", "/a")
		if code != ctlNoServer || !strings.Contains(stderr, "confd: error:") || time.Since(start) > 4*time.Second {
			t.Errorf("%s: exit code %d after %v: %s", flag, code, time.Since(start), stderr)
		}
	}
}

// TestWritePatience checks that every command that changes something waits for longer than
// a store needs to say that it has no leader, unless it is told otherwise.
func TestWritePatience(t *testing.T) {
	const answer = 7 * time.Second
	reads := []string{"get", "ls", "watch", "exec-watch", "export", "backup", "restore", "recover", "member list", "cluster-health", "cluster",
		"user get", "user list", "role get", "role list", "status", "rollback"}
	for _, cmd := range commands() {
		c := &call{cmd: cmd}
		for _, name := range []string{"timeout", "total-timeout"} {
			if got := c.duration(name); (got > answer) == slices.Contains(reads, cmd.name) {
				t.Errorf("%s: --%s is %v", cmd.name, name, got)
			}
		}
		c.flags = given{"timeout": {"1s"}}
		if got := c.duration("timeout"); got != time.Second {
			t.Errorf("%s --timeout 1s: %v", cmd.name, got)
		}
	}
}

// TestDocsOfCommands compares docs/ctl.md with the table, and looks at the table.
func TestDocsOfCommands(t *testing.T) {
	const page = "docs/ctl.md"
	if *update {
		if err := os.WriteFile(page, []byte(ctlDocText()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if readFile(page) != ctlDocText() {
		t.Errorf("%s is not what the table says; run: go test -run TestDocs . -update", page)
	}
	for _, c := range commands() {
		if len(c.examples) == 0 || c.help == "" || c.refused == 0 || c.min > 0 && c.few == "" {
			t.Errorf("%s: the row has gaps", c.name)
		}
		for _, e := range c.examples {
			if !strings.HasPrefix(e.line, "confd "+c.name) {
				t.Errorf("%s: the example is of something else: %s", c.name, e.line)
			}
		}
		for _, args := range [][]string{append([]string{"help"}, strings.Fields(c.name)...), append(strings.Fields(c.name), "-help"), append(strings.Fields(c.name), "-h")} {
			if code, stdout, stderr := ctl(t, "", nil, args...); code != exitOK || stdout != commandHelp(&c) || stderr != "" {
				t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
			}
		}
	}
	for _, text := range []string{ctlHelp(), groupHelp("member")} {
		for line := range strings.Lines(text) {
			if len(line) > helpWidth+1 {
				t.Errorf("help: too long: %q", line)
			}
		}
	}
}

// TestExecWatch runs a program that shows its change, then fails the next time.
func TestExecWatch(t *testing.T) {
	f := newFakeStore(t, http.StatusOK, strings.Replace(aNode, `"get"`, `"set"`, 1))
	file := filepath.Join(t.TempDir(), "seen")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := newOutput()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"exec-watch", "-C", f.url, "/a", "--recursive", "sh", "-c",
			`echo "$ETCD_WATCH_ACTION $ETCD_WATCH_KEY $ETCD_WATCH_VALUE $ETCD_WATCH_MODIFIED_INDEX $0"; touch ` + file + `; exit 3`, "-r"},
			system{machine: testMachine(), environ: os.Environ, stdout: out, stderr: out})
	}()
	out.await(t, `^set /a v 7 -r\n`)
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("interrupted: exit code %d\n%s", code, out)
	}
	if code, _, stderr := ctl(t, "", nil, "-C", f.url, "exec-watch", "/a", "--", "/no/such/program"); code != ctlFailure || !strings.Contains(stderr, "looking for the program") {
		t.Errorf("no program: exit code %d: %s", code, stderr)
	}
}
