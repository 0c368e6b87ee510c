// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// logMetaMagic begins the file of a logMeta, with the version of its format. After it
// come a logMetaRecord as JSON and the CRC32C of all that, little endian.
const logMetaMagic = "confdlm1"

// A logMeta is where raft-wal keeps which files the log has: one small file that is
// replaced as a whole. It takes the place of raft-wal's own, a bbolt file, in which most
// pages have no checksum: damage there ends in a fault of the memory map, which takes the
// process down without a word, or in a list that lacks files, and raft-wal deletes the
// files that are not listed.
//
// It also holds a mark: an index up to which entries are on the disk for certain. By the
// files alone, a write that a crash has cut short and one that was damaged afterwards look
// the same. raft-wal takes back either.
type logMeta struct {
	path string
	fail func(error) // told when a write fails

	mu  sync.Mutex
	rec logMetaRecord
}

type logMetaRecord struct {
	types.PersistentState
	Durable uint64 // the mark
}

// tail returns the name of the file that is written to, empty if there is none. After one that
// could not be made raft-wal gives its id once more, to a file that begins with another entry.
func (r *logMetaRecord) tail() string {
	if len(r.Segments) == 0 {
		return ""
	}
	return segment.FileName(r.Segments[len(r.Segments)-1])
}

// openLogMeta reads the file. found is false if there is none.
func openLogMeta(path string, fail func(error)) (m *logMeta, found bool, err error) {
	m = &logMeta{path: path, fail: fail}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	n := len(b) - 4
	if n < len(logMetaMagic) || string(b[:len(logMetaMagic)]) != logMetaMagic ||
		crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, false, damaged(path, errors.New("its checksum is wrong, or it is of a newer version"))
	}
	if err := json.Unmarshal(b[len(logMetaMagic):n], &m.rec); err != nil {
		return nil, false, damaged(path, err)
	}
	return m, true, nil
}

// Load returns the files of the log.
func (m *logMeta) Load(string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec.PersistentState, nil
}

// CommitState replaces the files of the log. With a new file at the end all entries before
// it are on the disk, and there are none behind.
func (m *logMeta) CommitState(s types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := logMetaRecord{s, m.rec.Durable}
	if name := rec.tail(); name != "" && name != m.rec.tail() {
		rec.Durable = rec.Segments[len(rec.Segments)-1].BaseIndex - 1
	}
	return m.saveLocked(rec)
}

// raise moves the mark up to an entry that is on the disk.
func (m *logMeta) raise(index uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index <= m.rec.Durable {
		return nil
	}
	return m.saveLocked(logMetaRecord{m.rec.PersistentState, index})
}

// durable returns the mark.
func (m *logMeta) durable() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec.Durable
}

// marked reports whether the mark lies in the last file.
func (m *logMeta) marked() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.rec.Segments)
	return n > 0 && m.rec.Durable >= m.rec.Segments[n-1].BaseIndex
}

// known reports whether the mark lies in the last file, or at the end of the one before, so
// that nothing that was synced is in the last.
func (m *logMeta) known() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.rec.Segments)
	return n > 0 && m.rec.Durable+1 >= m.rec.Segments[n-1].BaseIndex && m.rec.Durable > 0
}

func (m *logMeta) saveLocked(rec logMetaRecord) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	b := append([]byte(logMetaMagic), text...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if err := writeFile(m.path, b); err != nil {
		// raft-wal only logs it when this is about a new file.
		err = fmt.Errorf("saving the list of the log's files: %w", err)
		m.fail(err)
		return err
	}
	m.rec = rec
	return nil
}

// GetStable returns nothing: term and vote are in a stableStore.
func (m *logMeta) GetStable([]byte) ([]byte, error) { return nil, nil }

// SetStable refuses: term and vote are in a stableStore.
func (m *logMeta) SetStable([]byte, []byte) error {
	return errors.New("the log holds neither term nor vote")
}

// Close does nothing: no file is open.
func (m *logMeta) Close() error { return nil }
