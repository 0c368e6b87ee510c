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
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// ErrDamaged means that a file of the data directory does not hold what was written to it.
var ErrDamaged = errors.New("damaged or missing")

// damaged returns the error for a file that is not what it was.
func damaged(path string, cause error) error {
	return fmt.Errorf("%q is %w: %w; nothing was changed. Put the file back if there is a copy of it, or start with an empty data directory: "+
		"a member of a cluster gets everything from the others, a single node from a backup by confd restore", path, ErrDamaged, cause)
}

// A logCheck looks at the files of the log before raft-wal does, which
//
//   - takes every batch that is not whole for the last write before a crash, and forgets it
//     and all that follow, whatever was acknowledged (here: refused, unless it is the last,
//     and not below the mark);
//   - makes a file that is missing at the log's end anew (here: only if nothing can have
//     been in it), and deletes all files if it does not find its list of them;
//   - checks no other file of the log (here: all of them, by the checksums it writes);
//   - cannot write any more after a crash between sealing a file and beginning the next, or
//     while sealing one: "segment is sealed" (here: the seal is noted, or taken back);
//   - takes what it reads to be on the disk, though a process that was killed may have left
//     it in memory (here: the last file is synced first);
//   - leaves parts of a write that was cut short where later ones do not cover them (here:
//     overwritten with zeros).
type logCheck struct {
	dir   string
	files types.VFS
	meta  *logMeta
	log   *slog.Logger
}

// openLogMeta reads the list of the log's files. A data directory of format 1 has it in
// raft-wal's own form; it is brought to the present one.
func (d *dataDir) openLogMeta(files types.VFS, fail func(error)) (*logMeta, error) {
	m, found, err := openLogMeta(d.logMeta(), fail)
	if err != nil {
		return nil, err
	}
	old := filepath.Join(d.wal(), metadb.FileName)
	if d.format == formatBbolt {
		// Until the format is written anew, the old one counts.
		if found, err = importBbolt(d.wal(), m); err != nil {
			return nil, err
		}
	}
	if !found {
		names, err := files.ListDir(d.wal())
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".wal") {
				return nil, damaged(d.logMeta(), errors.New("there are files of a log, and no list of them"))
			}
		}
	}
	if d.format != formatBbolt {
		return m, nil
	}
	if err := d.markSnapshots(); err != nil {
		return nil, err
	}
	if err := d.writeFormat(); err != nil {
		return nil, err
	}
	if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return m, nil
}

// importBbolt takes over what raft-wal has kept in a bbolt file, and reports whether there
// is one.
func importBbolt(dir string, m *logMeta) (found bool, err error) {
	path := filepath.Join(dir, metadb.FileName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	// Damage shows as a fault in the memory map, or as a panic.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, fmt.Errorf("%v", p))
		}
	}()
	db := &metadb.BoltMetaDB{}
	state, err := db.Load(dir)
	if err = errors.Join(err, db.Close()); err != nil {
		return false, damaged(path, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return true, m.saveLocked(logMetaRecord{state, 0})
}

// run checks all files, repairs what a crash may leave behind, and moves the mark to the
// end. It returns the index of the last entry, 0 if there is none.
func (c *logCheck) run() (last uint64, err error) {
	state, err := c.meta.Load(c.dir)
	if err != nil || len(state.Segments) == 0 {
		return 0, err
	}
	for i, info := range state.Segments {
		path := filepath.Join(c.dir, segment.FileName(info))
		if info.SealTime.IsZero() && i == len(state.Segments)-1 {
			last, err = c.checkTail(path, info)
		} else {
			last, err = info.MaxIndex, c.checkSealed(path, info)
		}
		if err != nil {
			return 0, err
		}
	}
	if i := len(state.Segments) - 1; i == 0 && last < state.Segments[i].MinIndex {
		return 0, nil
	}
	return last, nil
}

// checkSealed checks a file that is complete.
func (c *logCheck) checkSealed(path string, info types.SegmentInfo) error {
	f, err := c.files.OpenReader(c.dir, filepath.Base(path))
	if errors.Is(err, os.ErrNotExist) {
		return damaged(path, fmt.Errorf("it held entries %d to %d of the log", info.MinIndex, info.MaxIndex))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := scanSegment(f)
	if err != nil {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	if s.index == 0 || uint64(s.index) != info.IndexStart || info.BaseIndex+s.entries <= info.MaxIndex {
		return damaged(path, fmt.Errorf("of entries %d to %d, those from %d on cannot be trusted (byte %d)",
			info.MinIndex, info.MaxIndex, max(info.MinIndex, info.BaseIndex+s.entries), s.end))
	}
	return nil
}

// checkTail checks the file at the end of the log, and returns the index of its last entry.
func (c *logCheck) checkTail(path string, info types.SegmentInfo) (last uint64, err error) {
	durable := c.meta.durable()
	f, err := c.files.OpenWriter(c.dir, filepath.Base(path))
	if errors.Is(err, os.ErrNotExist) {
		if durable >= info.BaseIndex {
			return 0, damaged(path, fmt.Errorf("it held entries %d to %d of the log, or more", info.BaseIndex, durable))
		}
		return info.BaseIndex - 1, nil // a crash came between the list and the file
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s, err := scanSegment(f)
	if err != nil {
		return 0, fmt.Errorf("reading %q: %w", path, err)
	}
	last = info.BaseIndex + s.entries - 1
	if s.garbage > s.end || last < durable {
		if err := c.takeBack(path, f, s, last, durable); err != nil {
			return 0, err
		}
	}
	// What was read may be in memory only, of the file's name too.
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("syncing the log: %w", err)
	}
	if err := syncLogDir(c.files, c.dir); err != nil {
		return 0, fmt.Errorf("syncing the directory of the log: %w", err)
	}
	if s.index != 0 {
		return last, c.seal(info, s, last)
	}
	return last, c.meta.raise(last)
}

// takeBack overwrites what a crash has left of the last write, if that is what it is.
func (c *logCheck) takeBack(path string, f types.WritableFile, s segmentScan, last, durable uint64) error {
	rest := make([]byte, s.garbage-s.end)
	if n, err := f.ReadAt(rest, s.end); n < len(rest) {
		return fmt.Errorf("reading %q: %w", path, err)
	}
	if last < durable || laterBatch(rest, last) {
		return damaged(path, fmt.Errorf("entries of the log from %d on were on the disk, and cannot be trusted (byte %d)", last+1, s.end))
	}
	c.log.Warn("the last write before a crash was cut short, and is taken back; it was not acknowledged",
		"file", path, "at", s.end, "bytes", len(rest))
	if _, err := f.WriteAt(make([]byte, len(rest)), s.end); err != nil && err != io.EOF {
		return fmt.Errorf("taking back a write that was cut short: %w", err)
	}
	return nil
}

// seal notes that the last file is complete, and the next to come.
func (c *logCheck) seal(info types.SegmentInfo, s segmentScan, last uint64) error {
	state, err := c.meta.Load(c.dir)
	if err != nil {
		return err
	}
	segments := append([]types.SegmentInfo(nil), state.Segments...)
	now := time.Now()
	info.SealTime, info.MaxIndex, info.IndexStart = now, last, uint64(s.index)
	segments[len(segments)-1] = info
	return c.meta.CommitState(types.PersistentState{
		NextSegmentID: state.NextSegmentID + 1,
		Segments: append(segments, types.SegmentInfo{
			ID: state.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1,
			Codec: info.Codec, SizeLimit: info.SizeLimit, CreateTime: now,
		}),
	})
}

// syncLogDir makes the names of the log's files durable.
func syncLogDir(files types.VFS, dir string) error {
	if s, ok := files.(interface{ SyncDir(dir string) error }); ok {
		return s.SyncDir(dir)
	}
	return syncDir(dir)
}
