// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// DefaultIndexSkip is how far ahead of the backup a restored store goes on counting.
const DefaultIndexSkip = 100_000_000

// ErrHasStore means that there is a store already where one was to be made.
var ErrHasStore = errors.New("there is a store already")

// A RestoreConfig says where Restore makes a data directory. DataDir and PeerAddr are
// needed.
type RestoreConfig struct {
	DataDir  string
	PeerAddr string // what others will be told to reach the peer port by; it may change later

	// IndexSkip is added to the index of the tree, as if so many changes had been made
	// after the backup. There may have been: clients have seen their indexes, and wait for
	// the next one. A store that went on from the backup's index would give the same
	// numbers to other changes, and those clients would miss them. They get error 401
	// instead, and read everything anew. Zero skips nothing.
	IndexSkip uint64

	Log *slog.Logger // default: nothing is logged
}

// Restored is what Restore has made.
type Restored struct {
	BackupInfo
	NewClusterID string
	NewNodeID    string
	NewIndex     uint64 // of the tree
}

// Restore makes the data directory of the only node of a new cluster from a backup. Keys,
// users, roles and the cluster's configuration are the backup's, the members are not: node
// and cluster get new ids, so that the old cluster, if some of it is still there, and this
// one never take each other for their own.
//
// The directory must not exist, or be empty. It appears as a whole: after a crash it is not
// there, and Restore can be called again.
func Restore(cfg RestoreConfig, backup io.Reader) (Restored, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	dir := filepath.Clean(cfg.DataDir)
	if err := checkNoStore(dir); err != nil {
		return Restored{}, err
	}
	state, info, err := loadBackup(backup)
	if err != nil {
		return Restored{}, err
	}
	r := Restored{BackupInfo: info, NewClusterID: randomID()}
	if err := state.Edit(func(meta map[string][]byte) { clearMembers(meta, r.NewClusterID) }, cfg.IndexSkip); err != nil {
		return r, err
	}
	r.NewIndex = state.tree.View().Index()
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return r, err
	}
	removeUnfinished(dir)
	tmp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restore-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(tmp) // nothing is left there after the rename
	if r.NewNodeID, err = fillDataDir(tmp, cfg, state, r); err != nil {
		return r, fmt.Errorf("making the data directory: %w", err)
	}
	if err := unix.Rename(tmp, dir); err != nil { // an empty directory may be there, which os.Rename refuses
		return r, fmt.Errorf("putting the data directory in its place: %w", err)
	}
	return r, syncDir(filepath.Dir(dir))
}

// checkNoStore makes sure that nothing is overwritten.
func checkNoStore(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w in %q; nothing was changed. Move it away, or choose another directory", ErrHasStore, dir)
}

// removeUnfinished removes what a crash has left of other calls of Restore.
func removeUnfinished(dir string) {
	left, err := filepath.Glob(dir + ".restore-*")
	if err != nil {
		return // a directory whose name is a bad pattern keeps them
	}
	for _, path := range left {
		if lock, err := lockFile(filepath.Join(path, "lock")); err == nil { // else it is under way
			os.RemoveAll(path)
			lock.Close()
		}
	}
}

// fillDataDir writes what a node starts from: a snapshot with the node as the only voter,
// and the term. It returns the node's id.
func fillDataDir(path string, cfg RestoreConfig, state *loadedState, r Restored) (id string, err error) {
	d, err := openDataDir(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	log := newHCLog(cfg.Log)
	vote, err := openStableStore(d.vote(), func(error) {})
	if err != nil {
		return "", err
	}
	// Terms and raft's indexes go on from the backup's: clients see them, too.
	term, index := max(r.RaftTerm, 1), max(r.RaftIndex, 1)
	if err := vote.SetUint64([]byte(keyCurrentTerm), term); err != nil {
		return "", err
	}
	snapshots, err := openSnapshots(d.snapshots(), nil, log)
	if err != nil {
		return "", err
	}
	defer snapshots.close()
	snapshot, err := state.Snapshot()
	if err != nil {
		return "", err
	}
	_, trans := raft.NewInmemTransport(raft.ServerAddress(cfg.PeerAddr))
	sink, err := snapshots.Create(raft.SnapshotVersionMax, index, term, raft.Configuration{
		Servers: []raft.Server{{ID: raft.ServerID(d.id), Address: raft.ServerAddress(cfg.PeerAddr)}},
	}, 1, trans)
	if err != nil {
		return "", err
	}
	if err := snapshot.Persist(sink); err != nil {
		return "", err
	}
	return d.id, d.setCluster(r.NewClusterID)
}

// clearMembers removes from the metadata what belongs to one cluster, and puts in another
// one's id.
func clearMembers(meta map[string][]byte, clusterID string) {
	for key := range meta {
		if strings.HasPrefix(key, memberPrefix) || strings.HasPrefix(key, removedPrefix) {
			delete(meta, key)
		}
	}
	meta[metaClusterID] = []byte(clusterID)
}
