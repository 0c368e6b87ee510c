// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"confd/raftkv/client"
)

// healthInterval is the pause of cluster-health --forever.
const healthInterval = 10 * time.Second

func memberCommands() []command {
	return []command{
		{
			name: "member list", refused: ctlFailure,
			help:     "print the members of the cluster",
			examples: []example{{"Who is there", "confd member list"}},
			run:      runMemberList,
		},
		{
			name: "member add", writes: true, args: "NAME PEERURL", min: 2, max: 2, few: "Provide a name and a single member peerURL",
			refused: ctlFailure, notRun: true,
			help:     "make room for a new member, and print what it is to be started with",
			examples: []example{{"A third member", "confd member add web3 http://10.0.0.3:7001"}},
			run:      runMemberAdd,
		},
		{
			name: "member remove", writes: true, args: "ID", min: 1, max: 1, few: "Provide a single member ID", refused: ctlFailure, notRun: true,
			help:     "take a member out of the cluster for ever",
			examples: []example{{"Remove a member", "confd member remove 6e3bd23ae5f1eae0"}},
			run:      runMemberRemove,
		},
		{
			name: "member update", writes: true, args: "ID PEERURLS", min: 2, max: 2,
			few:     "Provide an ID and a list of comma separated peerURL (0xabcd http://example.com,http://example1.com)",
			refused: ctlFailure, notRun: true,
			help:     "change the addresses that a member is reached at by the others",
			examples: []example{{"A member has moved", "confd member update 6e3bd23ae5f1eae0 http://10.0.0.9:7001"}},
			run:      runMemberUpdate,
		},
		{
			name: "cluster-health", refused: ctlRefused, endless: true,
			help:     "ask every member whether it serves",
			flags:    []ctlFlag{{name: "forever", also: []string{"f"}, help: "ask again every 10 seconds, until interrupted"}},
			detail:   "The exit code is 0 if all members are healthy, else 5; 4 if no server answers.",
			examples: []example{{"As a check of a monitoring system", "confd cluster-health"}},
			run:      runHealth,
		},
	}
}

func runMemberList(ctx context.Context, c *call) error {
	members, err := c.conn.Members(ctx)
	if err != nil {
		return err
	}
	leader, err := c.conn.Leader(ctx)
	if err != nil {
		return fmt.Errorf("asking for the leader: %w", err)
	}
	for _, m := range members {
		if m.Name == "" {
			c.say("%s[unstarted]: peerURLs=%s", m.ID, strings.Join(m.PeerURLs, ","))
			continue
		}
		c.say("%s: name=%s peerURLs=%s clientURLs=%s isLeader=%v", m.ID, m.Name,
			strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","), m.ID == leader.ID)
	}
	return nil
}

func runMemberAdd(ctx context.Context, c *call) error {
	name := c.args[0]
	added, err := c.conn.AddMember(ctx, c.args[1:])
	if err != nil {
		return err
	}
	c.say("Added member named %s with ID %s to cluster\n", name, added.ID)
	members, err := c.conn.Members(ctx)
	if err != nil {
		return err
	}
	var cluster []string
	for _, m := range members {
		if m.ID == added.ID {
			m.Name = name
		}
		for _, u := range m.PeerURLs {
			cluster = append(cluster, m.Name+"="+u)
		}
	}
	c.say("ETCD_NAME=%q", name)
	c.say("ETCD_INITIAL_CLUSTER=%q", strings.Join(cluster, ","))
	c.say("ETCD_INITIAL_CLUSTER_STATE=%q", "existing")
	return nil
}

func runMemberRemove(ctx context.Context, c *call) error {
	id := c.args[0]
	members, err := c.conn.Members(ctx)
	if err != nil {
		return fmt.Errorf("asking for the members: %w", err)
	}
	if !slices.ContainsFunc(members, func(m client.Member) bool { return m.ID == id }) {
		err := failure("Couldn't find a member in the cluster with an ID of %s.", id)
		for _, m := range members {
			if m.Name == id {
				return hint(err, "the member named %s has it: confd member remove %s", m.Name, m.ID)
			}
		}
		return hint(err, "confd member list prints the IDs")
	}
	if err := c.conn.RemoveMember(ctx, id); err != nil {
		return err
	}
	c.say("Removed member %s from cluster", id)
	return nil
}

func runMemberUpdate(ctx context.Context, c *call) error {
	if err := c.conn.UpdateMember(ctx, c.args[0], splitList(c.args[1:], true)); err != nil {
		return err
	}
	c.say("Updated member with ID %s in cluster", c.args[0])
	return nil
}

func runHealth(ctx context.Context, c *call) error {
	members, err := c.conn.Members(ctx)
	if err != nil {
		c.say("cluster may be unhealthy: failed to list members")
		if flushErr := c.out.Flush(); flushErr != nil {
			return failure("writing the output: %w", flushErr)
		}
		return &ctlError{ctlRefused, err}
	}
	for {
		healthy := 0
		for _, m := range members {
			if c.checkMember(ctx, m) {
				healthy++
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case healthy == len(members):
			c.say("cluster is healthy")
		case healthy == 0:
			c.say("cluster is unavailable")
		default:
			c.say("cluster is degraded")
		}
		if !c.on("forever") {
			if healthy < len(members) {
				return &ctlError{code: ctlUnhealthy}
			}
			return nil
		}
		c.say("\nnext check after 10 second...\n")
		if err := c.out.Flush(); err != nil {
			return failure("writing the output: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(healthInterval):
		}
	}
}

// checkMember prints how a member is, and tells whether it serves. The first of its
// addresses that answers decides.
func (c *call) checkMember(ctx context.Context, m client.Member) bool {
	if len(m.ClientURLs) == 0 {
		c.say("member %s is unreachable: no available published client urls", m.ID)
		return false
	}
	for _, u := range m.ClientURLs {
		err := c.checkURL(ctx, u)
		switch {
		case err == nil:
			c.say("member %s is healthy: got healthy result from %s", m.ID, u)
			return true
		case errors.Is(err, client.ErrUnhealthy):
			c.say("member %s is unhealthy: got unhealthy result from %s", m.ID, u)
			return false
		}
		c.say("failed to check the health of member %s on %s: %v", m.ID, u, err)
	}
	c.say("member %s is unreachable: %v are all unreachable", m.ID, m.ClientURLs)
	return false
}

func (c *call) checkURL(ctx context.Context, u string) error {
	cfg := c.cfg
	cfg.Endpoints = []string{u}
	cfg.Username, cfg.Password = "", "" // the address is the member's word, not the user's
	conn, err := client.New(cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Health(ctx)[0].Err
}
