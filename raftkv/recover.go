// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"
)

// A RecoverConfig says what OpenRecovery recovers. DataDir and PeerAddr are needed.
type RecoverConfig struct {
	DataDir  string
	PeerAddr string // what others will be told to reach the peer port by; it may change later

	// Peers are the members that make up the cluster from now on, with this node among
	// them. Empty means this node alone. The same list must be given on all of them.
	Peers []Peer

	// IndexSkip is as in RestoreConfig: the members that are gone may have acknowledged
	// changes that this node never saw.
	IndexSkip uint64

	Log   *slog.Logger // default: nothing is logged
	Hooks Hooks        // for tests
}

// A Peer is a member as it is named in the file peers.json of Consul and Vault.
type Peer struct {
	ID       string
	Addr     string // of the peer port
	NonVoter bool
}

// ReadPeers reads a file in the form of Consul's peers.json: a list of objects with id,
// address and, for one that does not vote, "non_voter": true.
func ReadPeers(path string) ([]Peer, error) {
	conf, err := raft.ReadConfigJSON(path)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w; want [{\"id\": \"ID\", \"address\": \"HOST:PORT\"}, …]", path, err)
	}
	var peers []Peer
	for _, s := range conf.Servers {
		peers = append(peers, Peer{string(s.ID), string(s.Address), s.Suffrage != raft.Voter})
	}
	return peers, nil
}

// A Recovery is a stopped node whose cluster has lost its quorum for good. It holds the
// lock of the data directory. What it found is in the fields; nothing has changed until
// Run.
type Recovery struct {
	NodeID    string
	ClusterID string
	Members   []Member // of the registry, this node included
	Index     uint64   // of the tree, all entries of the log applied
	Keys      int
	LastIndex uint64 // of the log
	LastTerm  uint64

	cfg   RecoverConfig
	node  *Node
	peers raft.Configuration
}

// OpenRecovery reads the data directory of a stopped node. The owner must call Close.
func OpenRecovery(cfg RecoverConfig) (_ *Recovery, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "id")); err != nil {
		return nil, fmt.Errorf("there is no store to recover: %w", err)
	}
	n := &Node{
		cfg:    Config{SnapshotBytes: defaultSnapshotBytes, StallTimeout: defaultStall, Log: cfg.Log, Hooks: cfg.Hooks},
		log:    cfg.Log,
		queue:  newQueue(0, defaultStall),
		failed: make(chan struct{}),
	}
	r := &Recovery{cfg: cfg, node: n}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if n.dir, err = openDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	if err := n.openStores(); err != nil {
		return nil, err
	}
	r.NodeID = n.dir.id
	if r.peers, err = r.configuration(); err != nil {
		return nil, err
	}
	return r, r.read()
}

// configuration returns the members to be.
func (r *Recovery) configuration() (raft.Configuration, error) {
	peers := r.cfg.Peers
	if len(peers) == 0 {
		peers = []Peer{{ID: r.NodeID, Addr: r.cfg.PeerAddr}}
	}
	var conf raft.Configuration
	votes := false
	for _, p := range peers {
		s := raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Addr)}
		if p.NonVoter {
			s.Suffrage = raft.Nonvoter
		}
		votes = votes || p.ID == r.NodeID && !p.NonVoter
		conf.Servers = append(conf.Servers, s)
	}
	if !votes {
		return conf, fmt.Errorf("the list of members has no voter with the id of this node, %s", r.NodeID)
	}
	return conf, nil
}

// read applies snapshot and log, to know what there is.
func (r *Recovery) read() error {
	n, state := r.node, newLoadedState()
	snapshot, err := n.lastSnapshot()
	if err != nil {
		return err
	}
	r.LastIndex, r.LastTerm = snapshot.Index, snapshot.Term
	if snapshot.Index > 0 {
		_, source, err := n.snapshots.Open(snapshot.ID)
		if err == nil {
			err = state.Restore(source)
		}
		if err != nil {
			return fmt.Errorf("reading snapshot %s: %w", snapshot.ID, err)
		}
	}
	last, err := n.wal.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 && snapshot.Index == 0 {
		return fmt.Errorf("the store in %q is empty: there is nothing to recover", r.cfg.DataDir)
	}
	for index := snapshot.Index + 1; index <= last; index++ {
		var e raft.Log
		if err := n.wal.GetLog(index, &e); err != nil {
			return fmt.Errorf("reading entry %d of the log: %w", index, err)
		}
		state.Apply(&e)
		r.LastIndex, r.LastTerm = e.Index, e.Term
	}
	if state.err != nil {
		return state.err
	}
	r.ClusterID = string((*state.AllMeta())[metaClusterID])
	r.Members = membersIn(*state.AllMeta())
	r.Index, r.Keys = state.tree.View().Index(), state.tree.View().Len()
	return nil
}

// membersIn returns the members of the registry that are not removed, sorted by id.
func membersIn(meta map[string][]byte) []Member {
	var members []Member
	for key, value := range meta {
		id, ok := strings.CutPrefix(key, memberPrefix)
		if !ok || meta[removedPrefix+id] != nil {
			continue
		}
		var rec memberRecord
		if json.Unmarshal(value, &rec) != nil {
			rec = memberRecord{}
		}
		members = append(members, Member{ID: id, Name: rec.Name, PeerURLs: rec.PeerURLs, ClientURLs: rec.ClientURLs})
	}
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return members
}

// Run makes a cluster of the members to be, with everything that is in this node's log:
// what was not committed counts as committed. It returns the id of the cluster, which is a
// new one, so that the members of before, which may come back, are refused by those that
// go on: with the old id they could be sent entries that contradict what they have. The
// registry tells them that they have been removed.
//
// After a crash it can be run again.
func (r *Recovery) Run() (clusterID string, err error) {
	n, id := r.node, r.newClusterID()
	keep := make(map[string]bool)
	for _, s := range r.peers.Servers {
		keep[string(s.ID)] = true
	}
	state := recoveryFSM{newLoadedState(), func(meta map[string][]byte) {
		for _, m := range membersIn(meta) {
			if !keep[m.ID] {
				meta[removedPrefix+m.ID] = meta[memberPrefix+m.ID]
			}
		}
		meta[metaClusterID] = []byte(id)
	}, r.cfg.IndexSkip}
	// Without this file the node takes the id from the state, so a crash in between does no
	// harm. Nor does it know whom to ask, then, which would be the members of before.
	for _, path := range []string{filepath.Join(n.dir.path, "cluster"), n.dir.peers()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	if err := syncDir(n.dir.path); err != nil {
		return "", err
	}
	conf := raft.DefaultConfig()
	conf.LocalID, conf.Logger, conf.NoLegacyTelemetry = raft.ServerID(r.NodeID), newHCLog(r.cfg.Log), true
	_, trans := raft.NewInmemTransport(raft.ServerAddress(r.cfg.PeerAddr))
	if err := raft.RecoverCluster(conf, state, n.logs, n.stable, n.snapshots, trans, r.peers); err != nil {
		return "", fmt.Errorf("recovering the cluster: %w", errors.Join(err, state.err))
	}
	return id, n.dir.setCluster(id)
}

// newClusterID returns a new id. Members that are recovered by the same list must come to
// the same one.
func (r *Recovery) newClusterID() string {
	if len(r.peers.Servers) == 1 {
		return randomID()
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", r.ClusterID)
	for _, s := range slices.SortedFunc(slices.Values(r.peers.Servers), func(a, b raft.Server) int { return cmp.Compare(a.ID, b.ID) }) {
		fmt.Fprintf(sum, "%s %s %v\n", s.ID, s.Address, s.Suffrage)
	}
	return strconv.FormatUint(max(1, binary.LittleEndian.Uint64(sum.Sum(nil))), 16)
}

// Close gives the data directory back.
func (r *Recovery) Close() error {
	n := r.node
	var errs []error
	if n.snapshots != nil {
		n.snapshots.close()
	}
	if n.wal != nil {
		errs = append(errs, n.markDurable(context.Background()), n.wal.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.close())
	}
	return errors.Join(errs...)
}

// A recoveryFSM edits the state before it is written.
type recoveryFSM struct {
	*loadedState
	change func(meta map[string][]byte)
	skip   uint64
}

// Snapshot returns the state to go on with.
func (f recoveryFSM) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.Edit(f.change, f.skip); err != nil {
		return nil, err
	}
	return f.loadedState.Snapshot()
}
