// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Nodes that are all started at once with the same list have to agree on the one that
// makes the cluster, and may not agree twice: a machine whose disk was lost is started
// again with the list that it had. So it is the first of the list and no other, and only
// while it sees that a majority of the list is there, and none of those belongs to a
// cluster. The others wait for it and join. With one of a majority that cluster would not
// be seen only if a majority had lost its data.

// Founders are the nodes that a new one was told of.
type Founders struct {
	// Addrs are host and port of their peer ports. This node may be among them.
	Addrs []string

	// Together means that they make a new cluster together, and all of them have the list
	// in the same order. Otherwise the cluster is there, or another of them makes it.
	Together bool
}

// A founder is what one of the list has answered.
type founder struct {
	addr    string
	self    bool
	answers bool
	cluster string // that it belongs to; empty: none yet
	err     error  // why it does not answer
}

// settle joins the cluster that the founders belong to, waits for them to make one, or
// makes it.
func (n *Node) settle(ctx context.Context, f Founders) error {
	if !f.Together || len(f.Addrs) == 0 {
		if others := n.others(f.Addrs); len(others) > 0 {
			return n.joinAt(ctx, others)
		}
		return n.bootstrap()
	}
	var said string
	var told time.Time
	for {
		list := n.askFounders(ctx, f.Addrs)
		if ctx.Err() != nil {
			return fmt.Errorf("making a cluster with %v: %w", f.Addrs, ctx.Err())
		}
		if slices.ContainsFunc(list, func(f founder) bool { return f.cluster != "" }) {
			return n.joinAt(ctx, n.others(f.Addrs))
		}
		wait := mayFound(list)
		if wait == "" {
			n.log.Info("making a new cluster, which the others join", "nodes", f.Addrs)
			return n.bootstrap()
		}
		if wait != said || time.Since(told) >= joinTell {
			said, told = wait, time.Now()
			n.log.Info("waiting to make a new cluster with others", "for", wait, "silent", silent(list))
		}
		select {
		case <-time.After(joinPause):
		case <-ctx.Done():
		}
	}
}

// mayFound returns what this node waits for before it makes the cluster, empty if it is to
// make it now. None of the list belongs to a cluster.
func mayFound(list []founder) string {
	answer := 0
	for _, f := range list {
		if f.answers {
			answer++
		}
	}
	switch {
	case !list[0].self:
		return list[0].addr + ", the first of the list, to make it"
	case answer <= len(list)/2:
		return fmt.Sprintf("a majority of the list: %d of %d answer", answer, len(list))
	}
	return ""
}

// silent tells who does not answer, and why.
func silent(list []founder) string {
	var reasons []string
	for _, f := range list {
		if f.err != nil {
			reasons = append(reasons, f.addr+": "+f.err.Error())
		}
	}
	return strings.Join(reasons, "; ")
}

// others returns the addresses that are not this node's.
func (n *Node) others(addrs []string) []string {
	return slices.DeleteFunc(slices.Clone(addrs), n.isOwnAddr)
}

func (n *Node) isOwnAddr(addr string) bool {
	return addr == string(n.transport.LocalAddr()) || addr == n.mux.ln.Addr().String()
}

// askFounders asks all of the list at once whether they belong to a cluster. One of them
// may be this node under another address, which is known by its id.
func (n *Node) askFounders(ctx context.Context, addrs []string) []founder {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout/2)
	defer cancel()
	list := make([]founder, len(addrs))
	answers := make(chan struct{}, len(addrs))
	for i, addr := range addrs {
		list[i].addr = addr
		if n.isOwnAddr(addr) {
			list[i].self, list[i].answers = true, true
			answers <- struct{}{}
			continue
		}
		n.wg.Go(func() {
			defer func() { answers <- struct{}{} }()
			c, r, err := n.dialNode(ctx, addr, "", protoPeer)
			switch {
			case err == nil:
				err = c.Close()
			case errors.Is(err, errNoMember):
				err = nil // it waits, too
			}
			f := &list[i]
			f.answers, f.self, f.cluster, f.err = err == nil, r.ID == n.dir.id, r.Cluster, err
		})
	}
	for range addrs {
		<-answers // each ends with ctx
	}
	return list
}
