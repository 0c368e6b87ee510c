// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"confd/integration/bench/proc"
	"confd/integration/freeport"
)

// startTimeout is how long a server may take until it serves writes.
const startTimeout = 2 * time.Minute

// A program is a server of the v2 API that is measured.
type program struct {
	name, path string
	args       func(n *node) []string
}

// A server is one node of a program, or several that are a cluster.
type server struct {
	name    string
	nodes   []*node
	release func() // gives the ports back; nil if there are none
	leader  *node  // as findLeader has found it
}

// A node is one process of a server. It keeps its folder and addresses when it is started
// again.
type node struct {
	program      *program
	name         string
	dir          string   // for its data
	client, peer string   // HOST:PORT of its two ports
	cluster      []string // NAME=URL of all nodes, of more than one
	wrap         []string // command that runs the program, if any
	extra        []string // more flags
	*proc.Process
}

// confd is ours.
func confdProgram(path string) *program {
	return &program{name: "confd", path: path, args: func(n *node) []string {
		args := []string{"-store-only", "-name", n.name, "-data-dir", n.dir, "-addr", n.client, "-peer-addr", n.peer, "-log-level", "warn"}
		if len(n.cluster) > 0 {
			args = append(args, "-initial-cluster", strings.Join(n.cluster, ","))
		}
		return args
	}}
}

// etcdProgram is the peer, with the v2 API.
func etcdProgram(path, version string) *program {
	return &program{name: "etcd " + version, path: path, args: func(n *node) []string {
		cluster := n.cluster
		if len(cluster) == 0 {
			cluster = []string{n.name + "=http://" + n.peer}
		}
		return []string{"--enable-v2", "--name", n.name, "--data-dir", n.dir, "--log-level", "error",
			"--listen-client-urls", "http://" + n.client, "--advertise-client-urls", "http://" + n.client,
			"--listen-peer-urls", "http://" + n.peer, "--initial-advertise-peer-urls", "http://" + n.peer,
			"--initial-cluster", strings.Join(cluster, ",")}
	}}
}

// how says how a server is started; the zero value is one node as it comes.
type how struct {
	nodes int
	wrap  []string // command to run each node with
	extra []string // flags for each node
}

// start starts a server with new folders below dir, and returns when every node takes
// writes. The caller stops it, also after an error.
func (p *program) start(ctx context.Context, dir string, h how) (*server, error) {
	s := &server{name: p.name}
	count := max(h.nodes, 1)
	addrs, release, err := freeport.Addrs(2 * count)
	if err != nil {
		return s, err
	}
	s.release = release
	var cluster []string
	for i := range count {
		n := &node{program: p, name: string(rune('a' + i)), client: addrs[2*i], peer: addrs[2*i+1], wrap: h.wrap, extra: h.extra}
		n.dir = filepath.Join(dir, strings.Fields(p.name)[0]+"-"+n.name)
		s.nodes = append(s.nodes, n)
		cluster = append(cluster, n.name+"=http://"+n.peer)
	}
	for _, n := range s.nodes {
		if count > 1 {
			n.cluster = cluster
		}
		if err := n.launch(); err != nil {
			return s, err
		}
	}
	for _, n := range s.nodes {
		if err := n.await(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// launch starts the process of a node.
func (n *node) launch() error {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	args := append(append(append([]string(nil), n.wrap...), n.program.path), append(n.program.args(n), n.extra...)...)
	process, err := proc.Start(n.dir, n.dir+".log", nil, args[0], args[1:]...)
	if err != nil {
		return err
	}
	n.Process = process
	return nil
}

// await waits until the node takes a write.
func (n *node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s does not take a write within %v", n.program.name, startTimeout))
	defer cancel()
	for {
		err := n.put(ctx, "/bench-started", n.name)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-n.Done():
			return n.Failed()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// put writes a key with the standard library's client, which is slow but sure.
func (n *node) put(ctx context.Context, key, value string) error {
	_, err := n.ask(ctx, "PUT", "/v2/keys"+key, url.Values{"value": {value}}.Encode())
	return err
}

// ask sends a request with a form and returns the body of the answer, which is an error
// unless its status is 200 or 201.
func (n *node) ask(ctx context.Context, method, path, form string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.client+path, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != 200 && resp.StatusCode != 201 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return body, nil
}

// stop stops all nodes that run, and removes their folders.
func (s *server) stop() error {
	var errs []error
	for _, n := range s.nodes {
		if n.Process != nil {
			errs = append(errs, n.Stop())
		}
		errs = append(errs, os.RemoveAll(n.dir))
	}
	if s.release != nil {
		s.release()
	}
	return errors.Join(errs...)
}

// failed returns an error if a node has ended.
func (s *server) failed() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.Failed())
	}
	return errors.Join(errs...)
}

// cpu returns the processor time that all nodes have used.
func (s *server) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, n := range s.nodes {
		used, err := n.CPU()
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// memory returns what all nodes have resident, and the sum of what each had at most, in
// megabytes.
func (s *server) memory() (rss, peak float64, err error) {
	for _, n := range s.nodes {
		r, p, err := n.Memory()
		if err != nil {
			return 0, 0, err
		}
		rss += float64(r) / 1e6
		peak += float64(p) / 1e6
	}
	return rss, peak, nil
}
