// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"confd/raftkv/fsm"
)

// A snapshotStore is raft's store of snapshots in files, and checks what raft's own does
// not. That has a checksum of the state, but none of the index, the term and the members
// that it belongs to, in meta.json: a digit that was damaged there makes raft skip entries
// of the log. It leaves a snapshot out of which it cannot read meta.json, and then takes
// the one before as if there had been no other.
//
// So each snapshot gets a further file, "check".
type snapshotStore struct {
	*raft.FileSnapshotStore
	dir     string          // holds the directories of the snapshots
	failed  <-chan struct{} // closed when the node has failed; may be nil
	remover *snapshotRemover
	late    atomic.Bool // what is being written is given up
}

// A snapshotCheck is the content of the file: what raft keeps without a checksum.
type snapshotCheck struct {
	Version            raft.SnapshotVersion
	ID                 string
	Index              uint64
	Term               uint64
	Configuration      raft.Configuration
	ConfigurationIndex uint64
}

// openSnapshots opens the store in base, as raft's does. What is being written or removed when
// failed is closed is given up: the process is about to end, and a snapshot takes its time. The
// owner must close the store. Raft's own is to keep all, so that it never removes one.
func openSnapshots(base string, failed <-chan struct{}, log hclog.Logger) (*snapshotStore, error) {
	s, err := raft.NewFileSnapshotStoreWithLogger(base, math.MaxInt, log)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(base, "snapshots")
	return &snapshotStore{FileSnapshotStore: s, dir: dir, failed: failed, remover: newSnapshotRemover(dir, failed, log)}, nil
}

// close ends the remover and waits for it.
func (s *snapshotStore) close() {
	s.remover.end()
	s.remover.removing.Wait()
}

// Open returns a snapshot, to be read and closed. It stays whole until then, also if it is
// removed meanwhile.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.remover.beginRead(id)
	meta, r, err := s.FileSnapshotStore.Open(id)
	if err != nil {
		s.remover.endRead(id)
		return nil, nil, err
	}
	return meta, &snapshotReader{ReadCloser: r, end: func() { s.remover.endRead(id) }}, nil
}

// A snapshotReader is raft's, and tells when it is closed.
type snapshotReader struct {
	io.ReadCloser
	once sync.Once
	end  func()
}

// Close closes the snapshot.
func (r *snapshotReader) Close() error {
	defer r.once.Do(r.end)
	return r.ReadCloser.Close()
}

// Create begins a snapshot.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, sink.ID()+".tmp")
	err = writeCheck(dir, snapshotCheck{version, sink.ID(), index, term, conf, confIndex})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("writing the check of a snapshot: %w", err), sink.Cancel())
	}
	return newSnapshotSink(sink, dir, s)
}

func writeCheck(dir string, c snapshotCheck) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "check"), fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, castagnoli), text))
}

// readCheck reads what writeCheck has written.
func readCheck(dir string) (c snapshotCheck, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "check"))
	if err != nil {
		return c, err
	}
	sum, text, _ := strings.Cut(strings.TrimSuffix(string(b), "\n"), " ")
	if fmt.Sprintf("%08x", crc32.Checksum([]byte(text), castagnoli)) != sum {
		return c, errors.New("the file \"check\" has a wrong checksum")
	}
	return c, json.Unmarshal([]byte(text), &c)
}

// readMeta reads meta.json.
func readMeta(dir string) (m raft.SnapshotMeta, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

// markSnapshots writes the check of snapshots that have none: those of format 1.
func (d *dataDir) markSnapshots() error {
	dir := filepath.Join(d.snapshots(), "snapshots")
	for _, id := range snapshotIDs(dir) {
		m, err := readMeta(filepath.Join(dir, id.name))
		if err != nil || m.ID != id.name || m.Index != id.index || m.Term != id.term {
			continue // check finds it without
		}
		c := snapshotCheck{m.Version, m.ID, m.Index, m.Term, m.Configuration, m.ConfigurationIndex}
		if err := writeCheck(filepath.Join(dir, id.name), c); err != nil {
			return err
		}
	}
	return nil
}

// A snapshotID is the name of a snapshot's directory, and what it says.
type snapshotID struct {
	name        string
	term, index uint64
	ms          uint64
}

// snapshotIDs returns what is in the directory, the newest first.
func snapshotIDs(dir string) []snapshotID {
	entries, _ := os.ReadDir(dir) // openDataDir has made it
	var ids []snapshotID
	for _, e := range entries {
		id := snapshotID{name: e.Name()}
		n, err := fmt.Sscanf(id.name, "%d-%d-%d", &id.term, &id.index, &id.ms)
		if e.IsDir() && n == 3 && err == nil && id.name == fmt.Sprintf("%d-%d-%d", id.term, id.index, id.ms) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b snapshotID) int {
		return cmp.Or(cmp.Compare(b.term, a.term), cmp.Compare(b.index, a.index), cmp.Compare(b.ms, a.ms))
	})
	return ids
}

// check returns the index of the newest snapshot, 0 if there is none. One that is damaged
// is put aside if the log, which has the entries first to last, replaces it.
func (s *snapshotStore) check(first, last uint64, log *slog.Logger) (uint64, error) {
	var good snapshotID
	var bad []error
	var aside []snapshotID
	newest := uint64(0) // index of the newest that is damaged
	for _, id := range snapshotIDs(s.dir) {
		err := s.verify(id, good.name == "")
		if errors.Is(err, fsm.ErrVersion) {
			return 0, fmt.Errorf("snapshot %q: %w", filepath.Join(s.dir, id.name), err)
		}
		if err != nil {
			bad = append(bad, damaged(filepath.Join(s.dir, id.name), err))
			aside = append(aside, id)
			if good.name == "" {
				newest = max(newest, id.index)
			}
		} else if good.name == "" {
			good = id
		}
	}
	missing := good.index < newest && (first == 0 || first > good.index+1 || last < newest)
	if missing {
		return 0, errors.Join(bad...)
	}
	if first > good.index+1 {
		return 0, damaged(s.dir, fmt.Errorf("there is no snapshot that reaches to the first entry of the log, %d", first))
	}
	for i, id := range aside {
		log.Error("a snapshot is damaged, and put aside; the log replaces it", "err", bad[i])
		if err := s.putAside(id.name); err != nil {
			return 0, fmt.Errorf("putting a damaged snapshot aside: %w", err)
		}
	}
	return good.index, nil
}

// verify checks a snapshot; with state, what it holds as well.
func (s *snapshotStore) verify(id snapshotID, state bool) error {
	dir := filepath.Join(s.dir, id.name)
	c, err := readCheck(dir)
	if err != nil {
		return err
	}
	m, err := readMeta(dir)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(c, snapshotCheck{m.Version, m.ID, m.Index, m.Term, m.Configuration, m.ConfigurationIndex}) || m.ID != id.name {
		return errors.New("meta.json is not what was written")
	}
	info, err := os.Stat(filepath.Join(dir, "state.bin"))
	if err != nil {
		return err
	}
	if info.Size() != m.Size {
		return fmt.Errorf("state.bin has %d bytes, and meta.json says %d", info.Size(), m.Size)
	}
	if !state {
		return nil
	}
	_, r, err := s.Open(id.name) // reads all of it for the checksum
	if err != nil {
		return fmt.Errorf("state.bin: %w", err)
	}
	return errors.Join(fsm.CheckVersion(r), r.Close())
}

// putAside takes a snapshot out of raft's sight.
func (s *snapshotStore) putAside(name string) error {
	to := filepath.Join(filepath.Dir(s.dir), "damaged")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.dir, name), filepath.Join(to, name)); err != nil {
		return err
	}
	return errors.Join(syncDir(to), syncDir(s.dir))
}
