// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// The roles of a member.
const (
	RoleLeader   = "leader"
	RoleFollower = "follower"
	RoleStandby  = "standby" // has the data and serves, and does not vote
	RoleUnknown  = ""        // added and not started, or removed from raft's configuration
)

// A NodeStatus is what a node says about itself to the others.
type NodeStatus struct {
	Version string `json:"version"`
	Leader  string `json:"leader"` // id of the one that it follows or is; empty if there is none
	Term    uint64 `json:"term"`
	Last    uint64 `json:"last"`    // index of the last entry in its log
	Applied uint64 `json:"applied"` // index of the last entry in its tree
	Index   uint64 `json:"index"`   // of its tree
	Ready   bool   `json:"ready"`   // has everything that was acknowledged before it was started
}

// A MemberStatus is a member as this node sees it.
type MemberStatus struct {
	Member
	Role   string
	Node   *NodeStatus // nil if it did not answer
	Err    error       // why not
	Heard  time.Time   // when this node, if it leads, last heard from it; else zero
	Behind uint64      // entries that the leader has and it has not applied
}

// Self returns what this node says about itself.
func (n *Node) Self() NodeStatus {
	s := NodeStatus{
		Version: n.cfg.Version,
		Term:    n.raft.CurrentTerm(),
		Last:    n.raft.LastIndex(),
		Applied: n.raft.AppliedIndex(),
		Index:   n.tree.View().Index(),
	}
	if r := n.route.Load(); r != nil {
		s.Leader = r.leader
	}
	select {
	case <-n.ready:
		s.Ready = true
	default:
	}
	return s
}

// Cluster asks every member how it is, all at once, and waits for them until ctx ends. The
// members are sorted by id.
func (n *Node) Cluster(ctx context.Context) []MemberStatus {
	members := n.Members()
	list := make([]MemberStatus, len(members))
	answers := make(chan int, len(members))
	for i, m := range members {
		list[i].Member = m
		go func() {
			list[i].ask(ctx, n)
			answers <- i
		}()
	}
	for range members {
		<-answers // each ends with ctx
	}
	n.fillRoles(list)
	return list
}

func (m *MemberStatus) ask(ctx context.Context, n *Node) {
	if m.ID == n.dir.id {
		s := n.Self()
		m.Node = &s
		return
	}
	if !m.Started() {
		return
	}
	var s NodeStatus
	if m.Err = n.callAt(ctx, m.ID, methodStatus, struct{}{}, &s); m.Err == nil {
		m.Node = &s
	}
}

func (n *Node) fillRoles(list []MemberStatus) {
	leader, last := "", uint64(0)
	if r := n.route.Load(); r != nil {
		leader = r.leader
	}
	for _, m := range list {
		if m.ID == leader && m.Node != nil {
			last = m.Node.Applied
		}
	}
	roles := n.Roles()
	heard := make(map[string]time.Time)
	for _, f := range n.Followers() {
		heard[f.ID] = f.Contact
	}
	for i := range list {
		m := &list[i]
		m.Heard = heard[m.ID]
		m.Role = roles[m.ID]
		if m.Node != nil && last > m.Node.Applied {
			m.Behind = last - m.Node.Applied
		}
	}
}

// Roles returns what each member is, by its id, as far as this node knows: raft's
// configuration has those with a vote and those without, the others have no role.
func (n *Node) Roles() map[string]string {
	roles := make(map[string]string)
	servers, err := n.servers()
	if err != nil {
		return roles
	}
	leader := ""
	if r := n.route.Load(); r != nil {
		leader = r.leader
	}
	for _, s := range servers {
		switch {
		case string(s.ID) == leader:
			roles[leader] = RoleLeader
		case s.Suffrage == raft.Voter:
			roles[string(s.ID)] = RoleFollower
		default:
			roles[string(s.ID)] = RoleStandby
		}
	}
	return roles
}

// Followers returns what this node knows about the others if it leads, else nothing.
func (n *Node) Followers() []Follower {
	if n.lead.Load() == nil {
		return nil
	}
	servers, err := n.servers()
	if err != nil {
		return nil
	}
	var all []Follower
	for _, s := range servers {
		if string(s.ID) != n.dir.id {
			all = append(all, n.transport.progressOf(s.ID).follower())
		}
	}
	return all
}
