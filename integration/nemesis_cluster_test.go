// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// A nemCluster is a set of processes and the network between them.
type nemCluster struct {
	program nemProgram
	network nemNetwork
	nodes   []*nemNode
	report  *nemReport
	http    *http.Client
}

func newNemCluster(t *testing.T, program nemProgram, nodes int, report *nemReport) *nemCluster {
	t.Helper()
	c := &nemCluster{program: program, network: newNemNetwork(t, nodes), report: report}
	c.http = c.client()
	for i := range nodes {
		n := &nemNode{i: i, name: string(rune('a' + i)), dir: t.TempDir(), logs: t.ArtifactDir(), fresh: true}
		n.api, n.peer, n.bind = c.network.addrs(i)
		c.nodes = append(c.nodes, n)
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if p := c.signal(n, syscall.SIGKILL); p != nil {
				<-p.done
			}
		}
	})
	return c
}

// client returns an HTTP client with connections of its own.
func (c *nemCluster) client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: nemDial(c.network), MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// startAll starts the nodes one after another, or at once.
func (c *nemCluster) startAll(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		if err := c.start(n); err != nil {
			t.Fatal(err)
		}
		if !c.program.together() {
			eventually(t, "node "+n.name+" answers", func() bool { return c.healthy(n) == nil })
		}
	}
	if err := c.awaitHealth("after the start"); err != nil {
		t.FailNow()
	}
}

// healthy asks a node for a linearizable read.
func (c *nemCluster) healthy(n *nemNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := c.get(ctx, n, "/v2/keys/?quorum=true")
	return err
}

func (c *nemCluster) get(ctx context.Context, n *nemNode, target string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.api+target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("node %s: %s: %s", n.name, resp.Status, body)
	}
	return body, err
}

// do makes a request without a body and reads the answer.
func (c *nemCluster) do(ctx context.Context, method string, n *nemNode, target string) (nemAnswer, uint64, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.api+target, nil)
	if err != nil {
		return nemAnswer{}, 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nemAnswer{}, 0, err
	}
	defer resp.Body.Close()
	a, at, err := parseAnswer(resp)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("node %s: %s: %s [%s]", n.name, resp.Status, a.Message, a.Cause)
	}
	return a, at, err
}

// leader returns the node that most of the given nodes take for the leader.
func (c *nemCluster) leader(ctx context.Context, of []*nemNode) (*nemNode, error) {
	votes := make(map[string]int)
	var errs []error
	for _, n := range of {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		body, err := c.get(ctx, n, "/v2/members/leader")
		cancel()
		var m struct{ Name string }
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		votes[m.Name]++
	}
	for _, n := range c.nodes {
		if 2*votes[n.name] > len(of) {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no leader by most nodes: %v: %w", votes, errors.Join(errs...))
}

func (c *nemCluster) allHealthy() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	leader, err := c.leader(ctx, c.nodes)
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		if err := c.healthy(n); err != nil {
			return err
		}
	}
	return c.program.voting(ctx, c, leader)
}

// awaitHealth waits until all nodes agree on a leader, vote, and serve linearizable reads.
func (c *nemCluster) awaitHealth(when string) error {
	start, limit := time.Now(), 2*patience
	for {
		err := c.allHealthy()
		if err == nil {
			c.report.recovered(time.Since(start))
			return nil
		}
		if time.Since(start) > limit {
			c.report.violation("the cluster is not healthy %v %s: %v", limit, when, err)
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
