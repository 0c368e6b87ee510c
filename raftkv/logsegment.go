// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// segmentFiles are the files of the log, for raft-wal, which keeps the writer of each file
// for as long as there is the file, to read from it, and with it its buffer. So when a file is
// full a reader takes the place of its writer.
type segmentFiles struct {
	*segment.Filer
	dir  string
	vfs  types.VFS
	pipe *logPipe // may be nil
}

// newSegmentFiles returns the files in a directory, with a pipe or nil.
func newSegmentFiles(dir string, vfs types.VFS, pipe *logPipe) segmentFiles {
	return segmentFiles{segment.NewFiler(dir, vfs), dir, vfs, pipe}
}

// Create makes a new file.
func (f segmentFiles) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	file, err := f.vfs.Create(f.dir, segment.FileName(info), uint64(info.SizeLimit))
	if err != nil {
		return nil, err
	}
	return f.segment(info, newSegmentWriter(info, file, f.pipe)), nil
}

// RecoverTail opens the last file after a crash.
func (f segmentFiles) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	file, err := f.vfs.OpenWriter(f.dir, segment.FileName(info))
	if err != nil {
		return nil, err
	}
	w, err := recoverSegmentWriter(info, file, f.pipe)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f.segment(info, w), nil
}

func (f segmentFiles) segment(info types.SegmentInfo, w *segmentWriter) *logSegment {
	return &logSegment{files: f.Filer, info: info, w: w, r: w}
}

// A logSegment is a file of the log that was written to by this process.
type logSegment struct {
	files *segment.Filer

	mu   sync.RWMutex
	info types.SegmentInfo   // MaxIndex and IndexStart are set when it is full
	w    *segmentWriter      // nil when it is full
	r    types.SegmentReader // the writer, or what has taken its place
}

// Append writes entries; they are on the disk when it returns without an error, unless the
// pipe holds them.
func (s *logSegment) Append(entries []types.LogEntry) error {
	w := s.writer()
	if w == nil {
		return types.ErrSealed
	}
	if err := w.Append(entries); err != nil {
		return err
	}
	if sealed, start, err := w.Sealed(); sealed && err == nil {
		s.full(start)
	}
	return nil
}

// full puts a reader in the place of the writer. If there is none the writer stays.
func (s *logSegment) full(indexStart uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := s.info
	info.MaxIndex, info.IndexStart, info.SealTime = s.w.LastIndex(), indexStart, time.Now()
	r, err := s.files.Open(info)
	if err != nil {
		return
	}
	_ = s.w.Close() // everything is on the disk
	s.info, s.w, s.r = info, nil, r
}

func (s *logSegment) writer() *segmentWriter {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.w
}

// Sealed reports whether the file is full, and where its index is.
func (s *logSegment) Sealed() (bool, uint64, error) {
	if w := s.writer(); w != nil {
		return w.Sealed()
	}
	return true, s.info.IndexStart, nil
}

// ForceSeal ends the file, and returns where its index is.
func (s *logSegment) ForceSeal() (uint64, error) {
	if w := s.writer(); w != nil {
		return w.ForceSeal()
	}
	return s.info.IndexStart, nil
}

// LastIndex returns the index of the last entry that is on the disk, 0 if there is none.
func (s *logSegment) LastIndex() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.w != nil {
		return s.w.LastIndex()
	}
	return s.info.MaxIndex
}

// GetLog reads an entry.
func (s *logSegment) GetLog(index uint64) (*types.PooledBuffer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.r.GetLog(index)
}

// Close closes the file.
func (s *logSegment) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Close()
}
