// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
)

// The keys that raft keeps in its stable store, and no others.
const (
	keyCurrentTerm  = "CurrentTerm"
	keyLastVoteTerm = "LastVoteTerm"
	keyLastVoteCand = "LastVoteCand"
)

// voteMagic begins the file of a stableStore, with the version of its format. After it
// come the current term and the term of the last vote (8 bytes each, little endian),
// the candidate, and the CRC32C of all that.
const voteMagic = "confdvt1"

// maxCandidate bounds the address in a vote.
const maxCandidate = 4096

// stableStore is raft's stable store: the current term and the last vote, in one small
// file that is replaced as a whole. Raft saves a vote in two steps, its term and then
// its candidate (hashicorp/raft#661); here the term waits for the candidate, so that
// the file never holds the term of one vote and the candidate of another.
//
// What it holds is a promise for all of the log before; see aheadLog.
type stableStore struct {
	path string
	fail func(error) // told when a write fails, and does not return while raft runs

	before func() error // called before each write, which is not done if it fails; nil for none

	found bool // there was a file when it was opened

	mu        sync.Mutex
	term      uint64
	voteTerm  uint64
	candidate []byte
}

// openStableStore reads the file, which need not exist yet.
func openStableStore(path string, fail func(error)) (*stableStore, error) {
	s := &stableStore{path: path, fail: fail}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	n := len(b) - 4
	if n < len(voteMagic)+16 || string(b[:len(voteMagic)]) != voteMagic ||
		crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, damaged(path, errors.New("its checksum is wrong, or it is of a newer version"))
	}
	s.found = true
	rest := b[len(voteMagic):n]
	s.term = binary.LittleEndian.Uint64(rest)
	s.voteTerm = binary.LittleEndian.Uint64(rest[8:])
	s.candidate = rest[16:]
	return s, nil
}

// Set saves the candidate of the last vote, and with it the vote's term.
func (s *stableStore) Set(key, val []byte) error {
	if string(key) != keyLastVoteCand || len(val) > maxCandidate {
		return fmt.Errorf("saving %q: not a vote", key)
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.candidate = append([]byte(nil), val...)
	return s.saveLocked()
}

// Get returns the candidate of the last vote, empty if there was none.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	if string(key) != keyLastVoteCand {
		return nil, fmt.Errorf("reading %q: not a vote", key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.candidate, nil
}

// SetUint64 saves the current term at once, and keeps a vote's term for Set.
func (s *stableStore) SetUint64(key []byte, val uint64) error {
	if err := s.begin(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyLastVoteTerm:
		s.voteTerm = val
		return nil
	case keyCurrentTerm:
		if s.term == val {
			return nil
		}
		s.term = val
		return s.saveLocked()
	}
	return fmt.Errorf("saving %q: not a term", key)
}

// begin returns when a write may begin.
func (s *stableStore) begin() error {
	if s.before == nil {
		return nil
	}
	err := s.before()
	if err != nil {
		err = fmt.Errorf("saving term and vote: %w", err)
		s.fail(err)
	}
	return err
}

// GetUint64 returns the current term or that of the last vote, 0 if there was none.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyLastVoteTerm:
		return s.voteTerm, nil
	case keyCurrentTerm:
		return s.term, nil
	}
	return 0, fmt.Errorf("reading %q: not a term", key)
}

// used reports whether the node has voted, or has seen a term after the first, which is
// that of a cluster being made.
func (s *stableStore) used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.voteTerm != 0 || s.term > 1
}

// voted reports whether the node has ever voted.
func (s *stableStore) voted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.voteTerm != 0
}

// forgetTerm makes a store that was not used as new.
func (s *stableStore) forgetTerm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = 0
}

func (s *stableStore) saveLocked() error {
	b := make([]byte, 0, len(voteMagic)+16+len(s.candidate)+4)
	b = append(b, voteMagic...)
	b = binary.LittleEndian.AppendUint64(b, s.term)
	b = binary.LittleEndian.AppendUint64(b, s.voteTerm)
	b = append(b, s.candidate...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if err := writeFile(s.path, b); err != nil {
		err = fmt.Errorf("saving term and vote: %w", err)
		s.fail(err)
		return err
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeFile replaces the file at path by one with the given bytes: after a crash it is
// the old one or the new one. It is on the disk when writeFile returns.
func writeFile(path string, b []byte) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
