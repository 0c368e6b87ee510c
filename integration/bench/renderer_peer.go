// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The peer of the renderer, and the store it reads. They are built from source when that is
// asked for, and are no part of this module.
const (
	consulTemplate = "github.com/hashicorp/consul-template@v0.41.1"
	consulServer   = "github.com/hashicorp/consul@v1.14.4"
)

// A peer is consul-template with consul. The zero value is neither.
type peer struct{ template, consul string }

// name returns what the peer is called in a table, "" if it is not there.
func (p peer) name() string {
	if p == (peer{}) {
		return ""
	}
	return "consul-template " + consulTemplate[strings.Index(consulTemplate, "@v")+2:]
}

// findPeer returns the peer of the renderer, built into the user's cache first if install
// is set.
func findPeer(ctx context.Context, install bool) (peer, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return peer{}, err
	}
	dir := filepath.Join(cache, "confd-bench")
	p := peer{filepath.Join(dir, "consul-template"), filepath.Join(dir, "consul")}
	if install {
		return p, p.install(ctx, dir)
	}
	for _, path := range []string{p.template, p.consul} {
		if _, err := os.Stat(path); err != nil {
			return peer{}, nil
		}
	}
	return p, nil
}

// install builds both programs. The server is built in a module of its own, since its
// own module excludes versions, which "go install" refuses.
func (p peer) install(ctx context.Context, dir string) error {
	module := filepath.Join(dir, "module")
	if err := os.MkdirAll(module, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module bench\n\ngo 1.26\n"), 0o644); err != nil {
		return err
	}
	server, _, _ := strings.Cut(consulServer, "@")
	for _, args := range [][]string{
		{"install", consulTemplate},
		{"get", consulServer},
		{"build", "-o", p.consul, server},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Env = module, append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// copied returns the peer as copies of its programs in dir.
func (p peer) copied(dir string) (peer, error) {
	if p == (peer{}) {
		return p, nil
	}
	c := peer{filepath.Join(dir, "consul-template"), filepath.Join(dir, "consul")}
	return c, errors.Join(copyProgram(p.template, c.template), copyProgram(p.consul, c.consul))
}

// server is the command line of the store.
func (p peer) server(client string) []string {
	_, port, _ := net.SplitHostPort(client)
	return []string{p.consul, "agent", "-server", "-bootstrap", "-bind", "127.0.0.1", "-data-dir", "store",
		"-http-port", port, "-dns-port", "-1", "-serf-wan-port", "-1", "-log-level", "error",
		"-hcl", "ports { grpc = -1 grpc_tls = -1 } limits { http_max_conns_per_client = 10000 }"}
}

// renderer is the command line of consul-template.
func (p peer) renderer(client string, once bool) []string {
	args := []string{p.template, "-consul-addr", client, "-config", "peer.hcl", "-log-level", "err"}
	if once {
		args = append(args, "-once")
	}
	return args
}

// peers returns the peer as a renderer, if it is there.
func (b *bench) others() []renderer {
	if b.peer == (peer{}) {
		return nil
	}
	return []renderer{{b.peer.name(), consul, b.peer.template}}
}

// peerNote says what the reader must know of the peers.
const peerNote = "consul-template reads from a consul on the same disk, both built from source by -peers. The other " +
	"programs of this family (confd 0.16, abtreece/confd, remco) are not to be had from the Go module proxy, and not measured."
