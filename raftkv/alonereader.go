// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"

	"confd/raftkv/fsm"
)

// An aloneReader reads the store of a node that was always alone, without raft and without
// changing anything, provided that everything is as such a node leaves it when it is closed.
//
// # Why it is right
//
// What it shows is what the node would show if it were started: it would elect itself, which
// makes all of its log committed, and expire the keys whose time has come.
//
//   - All entries count. In a configuration with one voter an entry is committed when that
//     voter has it on its disk. Nobody else can have committed one that is not in this log:
//     the first configuration with another voter would have needed this disk. The same holds
//     for what is left of a larger cluster, whose last configuration commits what is before
//     it. But what had another member, voter or not, in any configuration that snapshot
//     and log still have, is left to raft, which needs no argument. So is what an
//     unknown entry may mean.
//   - All entries are on the disk: the last is the one that the mark of the log is at, and
//     entries up to the mark were synced by whoever has set it; see logMeta. If a process was
//     killed before it could, there are entries behind the mark, which may be in memory
//     only, or a write that was cut short. Then the node is started, whose logCheck syncs and
//     repairs, and the mark is where it belongs when it is closed. So no file is rendered from
//     a write that a loss of power takes back.
//   - Everything is checked that a start checks, so what is damaged is not read here either,
//     and the start says what it is.
//   - Keys expire by an entry as a leader writes it, at the time of a clock as a leader's
//     begins, in memory only. The next leader writes it.
//   - Nobody else changes the directory meanwhile, as its lock is held; and whoever starts the
//     node next finds all as it was: the log, the term, and what was promised by a vote.
type aloneReader struct {
	cfg   Config
	dir   *dataDir
	files types.VFS // of the log
	state *loadedState

	next  uint64 // index of the next entry
	alone bool   // the newest configuration has this node and no other
	err   error  // why the reading of the log has stopped
}

// errNotAlone is why a store is left to raft. What is wrong with it, if anything is, the
// start of the node finds, too.
var errNotAlone = errors.New("raft is needed")

// readAlone reads the store if it can be read without raft. It returns nil if not, and if
// anything else is in the way.
func readAlone(ctx context.Context, cfg Config) *Reader {
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "id")); err != nil || len(cfg.Peers) > 0 {
		return nil // a new node, or one that has to look whether it belongs to others
	}
	began := cfg.Now()
	r := &aloneReader{cfg: cfg, files: fs.New(), state: newLoadedState()}
	if cfg.Hooks.LogFS != nil {
		r.files = cfg.Hooks.LogFS
	}
	err := r.open()
	if err == nil {
		err = r.read(ctx)
	}
	if err != nil {
		cfg.Log.Debug("the store is not read without its node", "because", err)
		if r.dir != nil {
			_ = r.dir.close() // it is tried again by whoever tells of it
		}
		return nil
	}
	reader := &Reader{dir: r.dir, tree: r.state.tree, ready: make(chan struct{})}
	close(reader.ready)
	cfg.Log.Info("read the store", "index", r.next-1, "keys", reader.tree.View().Len(), "took", cfg.Now().Sub(began))
	return reader
}

// open locks the directory of a node.
func (r *aloneReader) open() error {
	lock, err := lockFile(filepath.Join(r.cfg.DataDir, "lock"))
	if err != nil {
		return err
	}
	r.dir = &dataDir{path: r.cfg.DataDir, lock: lock}
	if err := r.dir.checkFormat(); err != nil {
		return err
	}
	if r.dir.id, err = r.dir.readHex("id"); err != nil {
		return err
	}
	if r.dir.id == "" || r.dir.format != formatVersion {
		return errNotAlone
	}
	return nil
}

// caught turns a panic into an error: raft and raft-wal panic at what they cannot decode.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// read applies snapshot and log, and expires keys.
func (r *aloneReader) read(ctx context.Context) (err error) {
	defer caught(&err)
	vote, err := openStableStore(r.dir.vote(), nil)
	if err != nil || !vote.found {
		return errors.Join(errNotAlone, err)
	}
	meta, found, err := openLogMeta(r.dir.logMeta(), nil)
	if err != nil || !found || !meta.known() {
		return errors.Join(errNotAlone, err)
	}
	log := meta.rec
	restore, err := r.snapshot(log.Durable)
	if err != nil {
		return err
	}
	var unread error
	err = r.state.Replay(restore, func(show func(*raft.Log) bool) { unread = r.entries(ctx, log, show) })
	if err := errors.Join(unread, err, r.state.err); err != nil {
		return err
	}
	cluster, err := r.dir.readCluster()
	if err != nil || !r.alone || cluster == "" || cluster != string((*r.state.AllMeta())[metaClusterID]) {
		return errors.Join(errNotAlone, err)
	}
	return r.expire()
}

// A snapshotMeta is meta.json.
type snapshotMeta struct {
	raft.SnapshotMeta
	CRC []byte // of the state
}

// snapshot looks at the newest snapshot, if there is one, sets which entry is to follow, and
// returns what applies it. The log ends with entry last.
func (r *aloneReader) snapshot(last uint64) (restore func() error, err error) {
	store := &snapshotStore{dir: filepath.Join(r.dir.snapshots(), "snapshots")}
	ids := snapshotIDs(store.dir)
	for _, id := range ids {
		if err := store.verify(id, false); err != nil {
			return nil, err
		}
	}
	r.next, restore = 1, func() error { return nil }
	if len(ids) > 0 {
		dir := filepath.Join(store.dir, ids[0].name)
		text, err := os.ReadFile(filepath.Join(dir, "meta.json"))
		if err != nil {
			return nil, err
		}
		var meta snapshotMeta
		if err := json.Unmarshal(text, &meta); err != nil {
			return nil, err
		}
		if !r.only(meta.Configuration) {
			return nil, errNotAlone
		}
		r.next, restore = meta.Index+1, func() error { return r.restore(dir, meta.CRC) }
	}
	if last < r.next-1 {
		return nil, errNotAlone
	}
	return restore, nil
}

// restore applies the snapshot in a directory, whose state has that checksum.
func (r *aloneReader) restore(dir string, want []byte) error {
	f, err := os.Open(filepath.Join(dir, "state.bin"))
	if err != nil {
		return err
	}
	defer f.Close()
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	if err := r.state.Restore(io.NopCloser(io.TeeReader(f, sum))); err != nil {
		return err
	}
	if _, err := io.Copy(sum, f); err != nil || !bytes.Equal(sum.Sum(nil), want) {
		return errors.Join(ErrDamaged, err)
	}
	return nil
}

// only reports whether this node is the only one of a configuration, and notes that there is
// one.
func (r *aloneReader) only(c raft.Configuration) bool {
	r.alone = len(c.Servers) == 1 && onlyVoter(c.Servers, raft.ServerID(r.dir.id))
	return r.alone
}

// entries shows the entries of the log that the snapshot does not have.
func (r *aloneReader) entries(ctx context.Context, log logMetaRecord, show func(*raft.Log) bool) (err error) {
	defer caught(&err)
	for i, info := range log.Segments {
		if err := r.segment(ctx, info, i == len(log.Segments)-1, log.Durable, show); err != nil {
			return fmt.Errorf("reading %q: %w", segment.FileName(info), err)
		}
	}
	return nil
}

// segment reads a file of the log, and shows the entries that have not been shown yet. The log
// ends at its mark, in its last file.
func (r *aloneReader) segment(ctx context.Context, info types.SegmentInfo, tail bool, mark uint64, show func(*raft.Log) bool) error {
	last := info.MaxIndex
	if tail {
		last = mark
	}
	codec := new(wal.BinaryCodec)
	if info.Codec != codec.ID() || info.SealTime.IsZero() != tail || r.next < info.MinIndex {
		return errNotAlone
	}
	f, err := r.files.OpenReader(r.dir.wal(), segment.FileName(info))
	if err != nil {
		return err
	}
	defer f.Close()
	index := info.BaseIndex - 1
	s, err := scanEntries(f, func(entry []byte) bool {
		if index++; index == r.next && index <= last {
			e := new(raft.Log)
			if r.err = errors.Join(codec.Decode(entry, e), ctx.Err()); r.err == nil {
				r.err = r.take(e)
			}
			return r.err == nil && show(e)
		}
		return r.err == nil
	})
	if err != nil || r.err != nil {
		return errors.Join(err, r.err)
	}
	end := info.BaseIndex + s.entries - 1
	switch {
	case tail && (end != last || s.garbage > s.end),
		!tail && (end < last || uint64(s.index) != info.IndexStart),
		r.next <= last:
		return errNotAlone
	}
	return nil
}

// take looks at the next entry. It returns an error if raft is needed for it.
func (r *aloneReader) take(e *raft.Log) error {
	switch {
	case e.Index != r.next:
		return errNotAlone
	case e.Type == raft.LogConfiguration:
		if !r.only(raft.DecodeConfiguration(e.Data)) {
			return errNotAlone
		}
	case e.Type != raft.LogCommand && e.Type != raft.LogNoop && e.Type != raft.LogBarrier:
		return errNotAlone
	}
	r.next++
	return nil
}

// expire removes the keys whose time has come.
func (r *aloneReader) expire() error {
	clock := newClock(r.cfg.Now, r.cfg.Log)
	clock.seed(r.state.Clock())
	now := clock.read()
	if at := r.state.NextExpiry(); at == 0 || at > now {
		return nil
	}
	r.state.Apply(&raft.Log{Index: r.next, Type: raft.LogCommand, Data: fsm.AppendBatch(nil, now, nil)})
	return r.state.err
}
