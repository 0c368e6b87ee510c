// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
)

// A new node asks the nodes it was told of to let it in, one after the other, until one
// does or refuses for good. The leader checks name and address, dials the address to see
// that the node is there, and writes its record; then it is a standby, and reconcile has
// it vote when it has the data and there is room. To ask twice is the same as once.
//
// A node that has been part of a cluster says to its leader who and where it is; see
// announceLoop.

// Errors of a join, to be tested with errors.Is.
var (
	// ErrNameExists means that another member has the name.
	ErrNameExists = errors.New("name belongs to another member")

	// ErrDataLost means that a node which has voted has no log any more.
	ErrDataLost = errors.New("the node's data is missing")

	// errAdopted means that this node got the id that was made for it when it was added,
	// and has to begin again.
	errAdopted = errors.New("the node has a new id")
)

const (
	maxMembers = 64 // of a cluster, those that only stand by included

	joinTimeout = 5 * time.Second // for one node to answer
	joinPause   = 500 * time.Millisecond
	joinTell    = 10 * time.Second // how often people are told that this node waits
	joinSoon    = 2 * time.Second  // when they are told for the first time
)

// An introduction is what a node says about itself.
type introduction struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	PeerURL   string `json:"peerURL"`
	ClientURL string `json:"clientURL,omitempty"`
	Version   string `json:"version,omitempty"`
	Entries   int    `json:"entries"` // highest version of a log entry that it can read
}

// A welcome is the answer to a join.
type welcome struct {
	ID      string            `json:"id"` // that the node is to have
	Cluster string            `json:"cluster"`
	Addrs   map[string]string `json:"addrs"` // :: id → host:port
}

func (n *Node) introduction() introduction {
	return introduction{
		ID: n.dir.id, Name: n.cfg.Name, PeerURL: n.peerURL(), ClientURL: n.cfg.ClientURL,
		Version: n.cfg.Version, Entries: fsm.EntryVersion,
	}
}

func (i introduction) record() memberRecord {
	r := memberRecord{Name: i.Name, PeerURLs: []string{i.PeerURL}, ClientURLs: []string{}, Version: i.Version, Entries: i.Entries}
	if i.ClientURL != "" {
		r.ClientURLs = append(r.ClientURLs, i.ClientURL)
	}
	return r
}

// joinAt has this node let into the cluster that the nodes at addrs belong to.
func (n *Node) joinAt(ctx context.Context, addrs []string) error {
	told := time.Now().Add(joinSoon - joinTell)
	n.log.Info("asking to be let into the cluster", "nodes", addrs)
	for {
		var reasons []string
		for _, addr := range addrs {
			w, err := n.askToJoin(ctx, addr)
			if err == nil {
				return n.joined(w)
			}
			err = withoutOutcome(err)
			if isFinal(err) {
				return fmt.Errorf("%s does not let this node in: %w", addr, err)
			}
			n.log.Debug("not let in yet", "by", addr, "err", err)
			reasons = append(reasons, addr+": "+err.Error())
			if ctx.Err() != nil {
				return fmt.Errorf("joining a cluster: %w (%w)", ctx.Err(), err)
			}
		}
		if time.Since(told) >= joinTell {
			told = time.Now()
			n.log.Warn("waiting to be let into the cluster", "why", strings.Join(reasons, "; "))
		}
		select {
		case <-time.After(joinPause):
		case <-ctx.Done():
		}
	}
}

// votes reports whether the node of that id has a vote.
func (n *Node) votes(id string) bool {
	servers, err := n.servers()
	return err == nil && slices.ContainsFunc(servers, func(s raft.Server) bool {
		return string(s.ID) == id && s.Suffrage == raft.Voter
	})
}

// withoutOutcome returns err without the words that nothing was written, which are of use
// only to who has asked for a write.
func withoutOutcome(err error) error {
	return &wireError{strings.ReplaceAll(err.Error(), " ("+ErrNotProposed.Error()+")", ""), []error{err}}
}

// isFinal reports whether to ask again is of no use.
func isFinal(err error) bool {
	return slices.ContainsFunc([]error{ErrNameExists, ErrPeerURLExists, ErrRemoved, ErrOtherCluster, ErrTooManyMembers, ErrDataLost}, func(e error) bool {
		return errors.Is(err, e)
	})
}

func (n *Node) askToJoin(ctx context.Context, addr string) (welcome, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	var w welcome
	err := n.callAt(ctx, addr, methodJoin, n.introduction(), &w)
	return w, err
}

// joined keeps what the cluster has answered.
func (n *Node) joined(w welcome) error {
	if err := n.setCluster(w.Cluster); err != nil {
		return err
	}
	n.peers.rumoured(w.Addrs)
	if w.ID != n.dir.id {
		if err := n.dir.setID(w.ID); err != nil {
			return err
		}
		return errAdopted
	}
	n.log.Info("joined", "cluster", w.Cluster, "id", n.dir.id)
	return nil
}

// letIn is the leader's part of join.
func (n *Node) letIn(ctx context.Context, in introduction) (welcome, error) {
	if n.lead.Load() == nil {
		return welcome{}, notProposed(ErrNoLeader)
	}
	if _, err := n.checkNewcomer(in); err != nil {
		return welcome{}, notProposed(err)
	}
	// It may take long, so nobody else is held up meanwhile.
	if err := n.dialBack(ctx, in); err != nil {
		return welcome{}, notProposed(err)
	}
	if err := n.registry.turn.take(ctx); err != nil {
		return welcome{}, notProposed(err)
	}
	defer n.registry.turn.give()
	l := n.lead.Load()
	if l == nil {
		return welcome{}, notProposed(ErrNoLeader)
	}
	id, err := n.checkNewcomer(in)
	if err != nil {
		return welcome{}, notProposed(err)
	}
	if err := n.writeRecord(ctx, id, in.record(), l.term); err != nil {
		return welcome{}, err
	}
	n.peers.announced(id, hostOf(in.PeerURL))
	n.log.Info("let a node in", "name", in.Name, "id", id, "peer", in.PeerURL)
	n.wakeReconcile()
	return welcome{ID: id, Cluster: n.ClusterID(), Addrs: n.peers.addrs()}, nil
}

// checkNewcomer is checkIntroduction for a node without data.
func (n *Node) checkNewcomer(in introduction) (string, error) {
	id, err := n.checkIntroduction(in)
	if err == nil && n.votes(id) {
		err = fmt.Errorf("%w: member %s votes, so what it has acknowledged counts; remove it (confd member remove %s) and start it with an empty data directory", ErrDataLost, in.Name, id)
	}
	return id, err
}

// checkIntroduction returns the id of a node that says who it is: its own, or one that
// was made for its address by AddMember. It is an error if it cannot be a member.
func (n *Node) checkIntroduction(in introduction) (string, error) {
	if in.ID == "" || in.Name == "" {
		return "", errors.New("a node without id or name")
	}
	if _, err := ParsePeerURLs([]string{in.PeerURL}); err != nil {
		return "", err
	}
	if in.Entries < fsm.EntryVersion {
		return "", fmt.Errorf("node %s reads log entries up to version %d, and this cluster writes %d; start it with a newer confd", in.Name, in.Entries, fsm.EntryVersion)
	}
	if n.isRemoved(in.ID) {
		return "", ErrRemoved
	}
	id, known := in.ID, false
	for _, m := range n.Members() {
		switch {
		case m.ID == in.ID:
			known = true
		case m.Started() && m.Name == in.Name:
			return "", fmt.Errorf("%w: %q is member %s at %s, %s; choose another -name, or if that machine is gone for good: confd member remove %s",
				ErrNameExists, in.Name, m.ID, strings.Join(m.PeerURLs, ","), n.lastHeard(m.ID), m.ID)
		case !slices.Contains(m.PeerURLs, in.PeerURL):
		case m.Started():
			return "", fmt.Errorf("%w: %s is that of %s (%s), %s; if that machine is gone for good: confd member remove %s",
				ErrPeerURLExists, in.PeerURL, m.Name, m.ID, n.lastHeard(m.ID), m.ID)
		default:
			id, known = m.ID, true
		}
	}
	if !known && len(n.Members()) >= maxMembers {
		return "", fmt.Errorf("%w: %d", ErrTooManyMembers, maxMembers)
	}
	return id, nil
}

// lastHeard tells when this node, which leads, last heard of a member.
func (n *Node) lastHeard(id string) string {
	if id == n.dir.id {
		return "which leads"
	}
	for _, f := range n.Followers() {
		if f.ID == id && !f.Contact.IsZero() {
			return fmt.Sprintf("heard from %v ago", time.Since(f.Contact).Round(time.Second))
		}
	}
	return "not heard from"
}

// dialBack returns an error if a node is not where it says it is: the most common mistake
// is an address that means something else on every machine, as 127.0.0.1.
func (n *Node) dialBack(ctx context.Context, in introduction) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout/2)
	defer cancel()
	c, _, err := n.dialNode(ctx, hostOf(in.PeerURL), in.ID, protoPeer)
	if err != nil {
		return fmt.Errorf("node %s says that it is at %s, where it is not reached from %s; the address that others reach it by is set with -peer-addr: %w",
			in.Name, in.PeerURL, n.cfg.Name, err)
	}
	return c.Close()
}

// announceLoop tells the leader who and where this node is whenever there is a new one,
// and while there is none everybody it knows of: after a restart with another address
// nobody could reach it otherwise.
func (n *Node) announceLoop() {
	var told string // the leader that knows
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-n.announce:
		case <-retry.C:
		case <-n.closing:
			return
		}
		to := n.route.Load()
		switch {
		case to == nil:
			told = ""
			n.announceTo(append(n.peers.ids(), n.cfg.Peers...))
		case to.self || to.leader == told:
			continue
		case n.announceTo([]string{to.leader}):
			told = to.leader
			continue
		}
		retry.Reset(2 * n.cfg.ElectionTimeout)
	}
}

// announceTo tells nodes, given by id or address, where this one is. It reports whether
// all of them have heard it.
func (n *Node) announceTo(nodes []string) bool {
	ctx, cancel := context.WithTimeout(n.ctx, joinTimeout)
	defer cancel()
	type result struct {
		node string
		err  error
	}
	results := make(chan result, len(nodes))
	for _, node := range nodes {
		n.wg.Go(func() {
			var w welcome
			err := n.callAt(ctx, node, methodAnnounce, n.introduction(), &w)
			n.peers.rumoured(w.Addrs)
			results <- result{node, err}
		})
	}
	all := true
	for range nodes {
		r := <-results
		all = r.err == nil && all
		n.tellRefusal(r.node, r.err)
	}
	return all
}

// tellRefusal tells people, now and then, that a node does not want this one.
func (n *Node) tellRefusal(node string, err error) {
	if !isFinal(err) || time.Since(n.refusals[node]) < joinTell {
		if err != nil {
			n.log.Debug("telling a node where this one is", "node", node, "err", err)
		}
		return
	}
	n.refusals[node] = time.Now()
	what := "a node refuses this one"
	if errors.Is(err, ErrOtherCluster) {
		what = "a node of this cluster is part of another one now; if that was made by confd recover, stop this node, delete its data directory, and start it with -peers"
	}
	n.log.Error(what, "node", n.label(node), "err", err)
}

// announced is the other side of announceTo. The leader writes the record anew if it has
// changed.
func (n *Node) announced(ctx context.Context, in introduction) (welcome, error) {
	n.peers.announced(in.ID, hostOf(in.PeerURL))
	w := welcome{ID: in.ID, Cluster: n.ClusterID(), Addrs: n.peers.heard()}
	l := n.lead.Load()
	if l == nil && n.raft.State() == raft.Leader {
		return w, notProposed(ErrNoLeader) // not ready to write; it is to tell again
	}
	if l == nil {
		return w, nil
	}
	if err := n.registry.turn.take(ctx); err != nil {
		return w, notProposed(err)
	}
	defer n.registry.turn.give()
	if _, err := n.checkIntroduction(in); err != nil {
		return w, notProposed(err)
	}
	m, err := n.findMember(in.ID)
	if err != nil {
		return w, notProposed(err)
	}
	if err := n.writeRecord(ctx, in.ID, in.record(), l.term); err != nil {
		return w, err
	}
	if old := strings.Join(m.PeerURLs, ","); old != in.PeerURL {
		n.log.Info("a member has moved", "name", in.Name, "id", in.ID, "from", old, "to", in.PeerURL)
	}
	return w, nil
}

// checkPeers returns an error if the nodes that this one was told of belong to another
// cluster than its data. Nodes that do not answer do not count.
func (n *Node) checkPeers(ctx context.Context, addrs []string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout/2)
	defer cancel()
	errs := make(chan error, len(addrs))
	for _, addr := range addrs {
		n.wg.Go(func() {
			c, _, err := n.dialNode(ctx, addr, "", protoPeer)
			if err == nil {
				err = c.Close()
			}
			errs <- err
		})
	}
	var err error
	for range addrs {
		if e := <-errs; errors.Is(e, ErrOtherCluster) || errors.Is(e, ErrRemoved) {
			err = e
		}
	}
	if errors.Is(err, ErrOtherCluster) {
		return fmt.Errorf("the data directory and the nodes to join do not fit: %w; to join those, start with an empty data directory", err)
	}
	return err
}

// decode reads JSON of another node.
func decode(b json.RawMessage, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return notProposed(fmt.Errorf("request of another node: %w", err))
	}
	return nil
}
