// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"confd/integration/freeport"
)

// A side is one of the two servers that are compared.
type side struct {
	name string
	addr string
	base uint64 // index of the write with which the comparison began
	last uint64 // index that came last with an answer

	authorization string // header of every request, if not empty
}

// startSides starts etcd and our handler over a fake node that calls itself the same.
func startSides(t *testing.T) (theirs, ours *side, node *fakeNode) {
	t.Helper()
	client, peer := freeport.Addr(t), freeport.Addr(t)
	startEtcd(t, "one", client, peer, "one=http://"+peer)()
	h, node := newTestHandler(Options{})
	node.now = time.Now
	node.state.ClientURL = "http://" + client
	node.state.PeerAddr = peer
	url := startServer(t, h)
	theirs = &side{name: "etcd", addr: client}
	ours = &side{name: "ours", addr: strings.TrimPrefix(url, "http://")}
	for _, s := range []*side{theirs, ours} {
		a := s.send(t, call{"PUT", "/v2/keys/base", "", ""})
		n, err := strconv.ParseUint(a.header.Get("X-Etcd-Index"), 10, 64)
		if err != nil {
			t.Fatalf("%s: first write: %v", s.name, err)
		}
		s.base = n
	}
	return theirs, ours, node
}

// startEtcd runs Debian's etcd until the test ends. What it returns waits until it serves and
// knows the version of its cluster: it writes that into its v2 store, after it serves if the
// disk is slow, and the write takes an index.
func startEtcd(t *testing.T, name, client, peer, cluster string, more ...string) (wait func()) {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatalf("%v; apt-get install etcd-server", err)
	}
	cmd := exec.Command(path, append(more, "--enable-v2", "--name", name, "--data-dir", t.TempDir(),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", cluster)...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting etcd: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
	})
	return func() {
		t.Helper()
		var log bytes.Buffer
		lines := bufio.NewScanner(io.TeeReader(out, &log))
		for lines.Scan() {
			if strings.Contains(lines.Text(), "serving insecure client requests") {
				go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
				awaitVersion(t, client)
				return
			}
		}
		t.Fatalf("etcd does not serve:\n%s", &log)
	}
}

// awaitVersion waits until the cluster of the etcd at addr has a version, 10 s at most.
func awaitVersion(t *testing.T, addr string) {
	t.Helper()
	etcd, deadline := &side{name: "etcd", addr: addr}, time.After(10*time.Second)
	for ticks := time.Tick(10 * time.Millisecond); ; {
		a := etcd.send(t, call{"GET", "/version", "", ""})
		if strings.Contains(a.body, `"etcdcluster":"3.`) {
			return
		}
		select {
		case <-ticks:
		case <-deadline:
			t.Fatalf("etcd does not know its cluster's version: %s", a.body)
		}
	}
}

// A call is a request. In target and body {N} stands for the index N after the base, {key:N}
// for the name of an in-order key of that index; {last} and {key:last} mean the index that came
// with the last answer.
type call struct{ method, target, contentType, body string }

// formCall returns a call with a form as its body.
func formCall(method, target, body string) call { return call{method, target, formType, body} }

func (c call) String() string {
	return fmt.Sprintf("%s %.200q %s %.200q", c.method, c.target, c.contentType, c.body)
}

var placeholder = regexp.MustCompile(`\{(key:)?(\d+|last)\}`)

// fill puts the side's indexes in the place of the placeholders.
func (s *side) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		p := placeholder.FindStringSubmatch(m)
		index := s.last
		if p[2] != "last" {
			n, _ := strconv.ParseUint(p[2], 10, 64) // the expression says it is a number
			index = s.base + n
		}
		if p[1] != "" {
			return fmt.Sprintf("%020d", index)
		}
		return fmt.Sprint(index)
	})
}

// open sends a request and returns its answer with the body still to be read.
func (s *side) open(t *testing.T, c call) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	body := s.fill(c.body)
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n", c.method, s.fill(c.target))
	if c.contentType != "" {
		head += "Content-Type: " + c.contentType + "\r\n"
	}
	if s.authorization != "" {
		head += "Authorization: " + s.authorization + "\r\n"
	}
	if body != "" || c.method == "PUT" || c.method == "POST" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		t.Fatalf("%s: %s: %v", s.name, c, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: c.method})
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, c, err)
	}
	resp.Body = &closingBody{resp.Body, conn}
	return resp
}

// closingBody closes the connection with the body.
type closingBody struct {
	io.ReadCloser
	conn net.Conn
}

func (b *closingBody) Close() error { return b.conn.Close() }

// An answer is what a side says, with everything taken out that may differ.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request and returns its answer.
func (s *side) send(t *testing.T, c call) answer {
	t.Helper()
	resp := s.open(t, c)
	if n, err := strconv.ParseUint(resp.Header.Get("X-Etcd-Index"), 10, 64); err == nil && n > 0 {
		s.last = n
	}
	return answer{resp.StatusCode, resp.Header, bodyOf(t, resp)}
}

// normal returns the answer with relative indexes and without times and ids.
func (s *side) normal(a answer) answer {
	h := make(http.Header)
	for name, values := range a.header {
		switch name {
		case "Date", "Content-Length", "Connection", "Transfer-Encoding":
			continue
		case "X-Raft-Index", "X-Raft-Term", "X-Etcd-Cluster-Id":
			values = []string{"(some)"}
		case "X-Etcd-Index":
			values = []string{s.relative(values[0])}
		}
		if !strings.HasPrefix(name, "Access-Control-") {
			h[name] = values
		}
	}
	return answer{a.status, h, s.normalBody(a.body)}
}

var (
	indexField   = regexp.MustCompile(`"(modifiedIndex|createdIndex|index)":\d+`)
	indexCause   = regexp.MustCompile(`\[\d+( != |/)\d+\]`)
	inOrderName  = regexp.MustCompile(`/\d{20}`)
	digits       = regexp.MustCompile(`\d+`)
	expiration   = regexp.MustCompile(`"expiration":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"`)
	ttlField     = regexp.MustCompile(`"ttl":\d+`)
	negativeTTL  = regexp.MustCompile(`"ttl":-\d+,`)
	nodeID       = regexp.MustCompile(`"(id|leader)":"[0-9a-f]{1,16}"`)
	timeField    = regexp.MustCompile(`"(startTime|uptime)":"[^"]*"`)
	statsCounter = regexp.MustCompile(`"(\w+(Success|Fail|Count)|watchers|\w+AppendRequestCnt)":\d+`)
)

func (s *side) normalBody(body string) string {
	number := func(m string) string { return digits.ReplaceAllStringFunc(m, s.relative) }
	for _, re := range []*regexp.Regexp{indexField, indexCause, inOrderName} {
		body = re.ReplaceAllStringFunc(body, number)
	}
	body = expiration.ReplaceAllString(body, `"expiration":"(time)"`)
	body = ttlField.ReplaceAllStringFunc(body, func(m string) string {
		n, _ := strconv.Atoi(m[len(`"ttl":`):]) // the expression says it is a number
		return fmt.Sprintf(`"ttl":%d`, (n+4)/5*5)
	})
	body = negativeTTL.ReplaceAllString(body, "")
	body = nodeID.ReplaceAllString(body, `"$1":"(id)"`)
	body = timeField.ReplaceAllString(body, `"$1":"(time)"`)
	return statsCounter.ReplaceAllString(body, `"$1":(n)`)
}

// relative returns an index relative to the base; 0 and indexes before it stay.
func (s *side) relative(text string) string {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < s.base {
		return text
	}
	return fmt.Sprintf("+%d", n-s.base)
}

// compare sends the same request to both and reports whether the answers were the same.
func compare(t *testing.T, theirs, ours *side, c call) bool {
	t.Helper()
	want, got := theirs.normal(theirs.send(t, c)), ours.normal(ours.send(t, c))
	return same(t, c.String(), want, got)
}

// same reports the differences of two answers.
func same(t *testing.T, what string, want, got answer) bool {
	t.Helper()
	ok := true
	if got.status != want.status {
		t.Errorf("%s: got status %d, etcd %d", what, got.status, want.status)
		ok = false
	}
	if got.body != want.body {
		t.Errorf("%s:\n got %s\netcd %s", what, got.body, want.body)
		ok = false
	}
	names := slices.Sorted(maps.Keys(want.header))
	for name := range got.header {
		if want.header[name] == nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if g, w := got.header[name], want.header[name]; !slices.Equal(g, w) {
			t.Errorf("%s: %s: got %q, etcd %q", what, name, g, w)
			ok = false
		}
	}
	return ok
}
