// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"confd/integration/freeport"
)

// A diffStep is one request of a sequence. In target and body {root} stands for the key
// under which the sequence works, {i:+3} and {i:-3} for an index relative to the one at
// which it began, {last} and {last+3} for the index of the last answer and those behind
// it, and {name} for the name of an in-order key made by the last answer.
type diffStep struct {
	method, target    string
	contentType, body string
	header            string // further header lines, each with \r\n
	how               string // "", "chunked", "1.0", "no host": how it is written
	watch             string // the key if it may be a watch that stays open; {root} and below, or /
	patient           bool   // of a watch: give what has come after a second
	headOnly          bool   // of a watch: look at the headers only
	block             bool   // of a watch: the sequence goes on when it has ended
}

// A diffAnswer is what a side said to a step, with everything taken out that may differ.
type diffAnswer struct {
	text    string // status, headers and framing
	body    string
	raw     int // length of the body as it came
	framing string
	status  int
}

func (a diffAnswer) same(b diffAnswer) bool {
	return a.text == b.text && a.body == b.body && a.framing == b.framing
}

func (a diffAnswer) String() string {
	return fmt.Sprintf("%s\nbody: %s\n%s", a.text, a.framing, a.body)
}

// A diffSide is one of the two servers.
type diffSide struct {
	name, addr string
	conn       *diffConn
	base, last uint64
	root       string
	sent       []diffStep // the steps with their places filled in
}

type diffConn struct {
	net.Conn
	r *bufio.Reader
}

const diffTimeout = 15 * time.Second

func diffDial(addr string) (*diffConn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &diffConn{c, bufio.NewReader(c)}, nil
}

// write sends a step whose places are filled in.
func (c *diffConn) write(s diffStep) error {
	if err := c.SetDeadline(time.Now().Add(diffTimeout)); err != nil {
		return err
	}
	var b bytes.Buffer
	version, host := "1.1", "Host: x\r\n"
	switch s.how {
	case "1.0":
		version, host = "1.0", ""
	case "no host":
		host = ""
	}
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\n%s%s", s.method, s.target, version, host, s.header)
	if s.contentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", s.contentType)
	}
	switch {
	case s.how == "chunked":
		half := len(s.body) / 2
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for _, part := range []string{s.body[:half], s.body[half:]} {
			if part != "" {
				fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
			}
		}
		b.WriteString("0\r\n\r\n")
	case s.body != "" || s.method == "PUT" || s.method == "POST":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(s.body), s.body)
	default:
		b.WriteString("\r\n")
	}
	_, err := c.Write(b.Bytes())
	return err
}

// response reads the head of the answer to a request.
func (c *diffConn) response(method string) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
	}
}

// begin starts a sequence under root and takes the index that its others relate to.
func (s *diffSide) begin(root string) error {
	s.root, s.sent = root, s.sent[:0]
	if err := s.quiet("PUT", "/v2/keys/_base"); err != nil {
		return err
	}
	s.base = s.last
	return nil
}

// quiet sends a request whose answer is not compared.
func (s *diffSide) quiet(method, target string) error {
	_, err := s.exchange(diffStep{method: method, target: target})
	return err
}

// finish removes what the sequence has left, timers above all.
func (s *diffSide) finish() error {
	_, resp, err := s.roundTrip(diffStep{method: "GET", target: "/v2/keys/"})
	if err != nil {
		return err
	}
	var keys []string
	for _, m := range topKey.FindAllSubmatch(resp, -1) {
		keys = append(keys, string(m[1]))
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := s.quiet("DELETE", "/v2/keys"+key+"?recursive=true"); err != nil {
			return err
		}
	}
	return nil
}

var topKey = regexp.MustCompile(`"key":"(/[^"/]+)"`)

// roundTrip sends a step over the connection that is kept and reads the whole answer.
func (s *diffSide) roundTrip(step diffStep) (*http.Response, []byte, error) {
	for attempt := 0; ; attempt++ {
		fresh := s.conn == nil
		if fresh {
			var err error
			if s.conn, err = diffDial(s.addr); err != nil {
				return nil, nil, err
			}
		}
		if err := s.conn.write(step); err != nil && fresh && len(step.target) < 1<<20 {
			return nil, nil, err
		}
		resp, err := s.conn.response(step.method)
		if err != nil {
			s.conn.Close()
			s.conn = nil
			if !fresh && attempt == 0 && step.method == "GET" { // the server may have closed it between sequences
				continue
			}
			return nil, nil, err
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Close || err != nil {
			s.conn.Close()
			s.conn = nil
		}
		if n, err := strconv.ParseUint(resp.Header.Get("X-Etcd-Index"), 10, 64); err == nil && n > 0 {
			s.last = n
		}
		return resp, body, err
	}
}

// noAnswer is said of a server that closes the connection without an answer.
const noAnswer = "closed without an answer"

// exchange sends a step and returns its answer.
func (s *diffSide) exchange(step diffStep) (diffAnswer, error) {
	resp, body, err := s.roundTrip(step)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return diffAnswer{text: noAnswer}, nil
	}
	if err != nil {
		return diffAnswer{}, fmt.Errorf("%s: %s %.100s: %w", s.name, step.method, step.target, err)
	}
	return s.normal(resp, body), nil
}

// run sends a sequence and returns an answer for each of its steps. At the end every
// watch that is still open is made to end by writes to exactly its key.
func (s *diffSide) run(root string, steps []diffStep) ([]diffAnswer, error) {
	if err := s.begin(root); err != nil {
		return nil, err
	}
	answers := make([]diffAnswer, len(steps))
	open := make(map[int]*diffWatch)
	defer func() {
		for _, w := range open {
			w.conn.Close()
		}
	}()
	for i, step := range steps {
		step = s.fill(step)
		s.sent = append(s.sent, step)
		var err error
		if step.watch != "" && !step.block {
			open[i], err = s.watch(step)
		} else {
			answers[i], err = s.exchange(step)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	for i := range steps {
		if w := open[i]; w != nil && !w.headOnly {
			if err := s.lastWords(i, w); err != nil {
				return nil, err
			}
		}
	}
	for i, w := range open {
		answers[i] = s.normal(w.resp, w.read(lastWord(i)))
	}
	return answers, nil
}

var diffPlace = regexp.MustCompile(`\{(root|name|last(\+\d+)?|i:([+-]\d+))\}`)

// fill puts the side's indexes and keys in their places.
func (s *diffSide) fill(step diffStep) diffStep {
	put := func(text string) string {
		if !strings.Contains(text, "{") {
			return text
		}
		return diffPlace.ReplaceAllStringFunc(text, func(m string) string {
			m = m[1 : len(m)-1]
			switch {
			case m == "root":
				return s.root
			case m == "name":
				return fmt.Sprintf("%020d", s.last)
			case m == "last":
				return strconv.FormatUint(s.last, 10)
			}
			// The expression says that these are numbers.
			if n, ok := strings.CutPrefix(m, "last+"); ok {
				d, _ := strconv.ParseUint(n, 10, 64)
				return strconv.FormatUint(s.last+d, 10)
			}
			d, _ := strconv.ParseInt(m[len("i:"):], 10, 64)
			return strconv.FormatUint(s.base+uint64(d), 10)
		})
	}
	step.target, step.body, step.watch = put(step.target), put(step.body), put(step.watch)
	return step
}

// startReference runs Debian's etcd with its v2 store until the test ends.
func startReference(t *testing.T) *diffSide {
	t.Helper()
	needs(t, "etcd")
	client, peer := "http://"+freeport.Addr(t), "http://"+freeport.Addr(t)
	cmd := exec.Command("etcd", "--enable-v2", "--name", "one", "--data-dir", t.TempDir(),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one="+peer)
	var log bytes.Buffer // read only after the process has ended
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // killed
		if t.Failed() {
			t.Logf("log of etcd:\n%s", log.Bytes()[max(0, log.Len()-2048):])
		}
	})
	eventually(t, "etcd has decided on the cluster's version", func() bool {
		resp, err := http.Get(client + "/version")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && bytes.Contains(body, []byte(`"etcdcluster":"3.`))
	})
	return &diffSide{name: "etcd", addr: strings.TrimPrefix(client, "http://")}
}
