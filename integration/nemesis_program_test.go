// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A nemProgram is what the nodes of a cluster run.
type nemProgram interface {
	name() string

	// command returns what starts node i; fresh says that its data directory is empty.
	command(c *nemCluster, i int, fresh bool) []string

	// together says that fresh nodes wait for each other, so that all must be started at once.
	together() bool

	// streams says that a stream may begin in the past.
	streams() bool

	// gapGoal is what half of the leader losses must stay below, 0 for no matter.
	gapGoal() time.Duration

	// voting tells whether all nodes vote, seen from one of them.
	voting(ctx context.Context, c *nemCluster, n *nemNode) error

	// refused tells whether an error 300 with that cause promises that nothing was and
	// will be written.
	refused(cause string) bool

	// stopped tells whether a process that was sent SIGTERM has ended as it should.
	stopped(err error) bool
}

// nemConfd is the program under test.
type nemConfd struct{}

func (nemConfd) name() string   { return "confd" }
func (nemConfd) together() bool { return false }
func (nemConfd) streams() bool  { return true }

func (nemConfd) gapGoal() time.Duration { return nemGapGoal }

func (nemConfd) command(c *nemCluster, i int, fresh bool) []string {
	n := c.nodes[i]
	args := []string{
		filepath.Join(binDir, "confd"), "-store-only", "-log-format", "json", "-name", n.name, "-data-dir", filepath.Join(n.dir, "data"),
		"-addr", n.api, "-peer-addr", n.peer,
	}
	if n.bind != n.peer {
		args = append(args, "-peer-bind-addr", n.bind)
	}
	if fresh && i > 0 {
		args = append(args, "-peers", c.nodes[0].peer)
	}
	return args
}

func (nemConfd) voting(ctx context.Context, c *nemCluster, n *nemNode) error {
	body, err := c.get(ctx, n, "/v2/stats/cluster")
	if err != nil {
		return err
	}
	var stats struct{ Members []struct{ Name, Role string } }
	if err := json.Unmarshal(body, &stats); err != nil {
		return err
	}
	votes := 0
	for _, m := range stats.Members {
		if m.Role == "leader" || m.Role == "follower" {
			votes++
		}
	}
	if votes != len(c.nodes) {
		return fmt.Errorf("%d of %d nodes vote: %s", votes, len(c.nodes), body)
	}
	return nil
}

func (nemConfd) refused(cause string) bool { // docs/api.md says so
	return cause == "etcdserver: no leader" || cause == "etcdserver: too many requests"
}

func (nemConfd) stopped(err error) bool { return err == nil }

// nemEtcd is Debian's etcd 3.4 with its v2 store, for comparison.
type nemEtcd struct{}

func (nemEtcd) name() string   { return "etcd" }
func (nemEtcd) together() bool { return true }
func (nemEtcd) streams() bool  { return false }

func (nemEtcd) gapGoal() time.Duration { return 0 }

func (nemEtcd) command(c *nemCluster, i int, _ bool) []string {
	n := c.nodes[i]
	var initial []string
	for _, n := range c.nodes {
		initial = append(initial, n.name+"=http://"+n.peer)
	}
	return []string{
		"etcd", "--enable-v2", "--name", n.name, "--data-dir", filepath.Join(n.dir, "data"),
		"--listen-client-urls", "http://" + n.api, "--advertise-client-urls", "http://" + n.api,
		"--listen-peer-urls", "http://" + n.bind, "--initial-advertise-peer-urls", "http://" + n.peer,
		"--initial-cluster", strings.Join(initial, ","),
	}
}

func (nemEtcd) voting(context.Context, *nemCluster, *nemNode) error { return nil }

func (nemEtcd) refused(string) bool { return false }

func (nemEtcd) stopped(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err == nil
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signal() == syscall.SIGTERM // it ends itself by the signal that it got
}
