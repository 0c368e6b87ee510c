// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// snapshotSlice is how many bytes of a snapshot may wait to be written to the disk. A write
// to the log may have to wait for all of them: the disk and its file system finish what
// they have begun.
const snapshotSlice = 256 << 10

// A snapshotSink is raft's, but has the disk take the snapshot bit by bit, where raft's
// leaves all of it for the end. It also makes the names in the snapshot's directory durable
// before the snapshot is, which raft's does not.
type snapshotSink struct {
	raft.SnapshotSink
	dir     string
	failed  <-chan struct{} // see openSnapshots
	late    *atomic.Bool    // the store's
	remover *snapshotRemover
	state   *os.File // the file that raft's writes to; nil when it has ended
	size    int64    // bytes written
	sent    int64    // of those, bytes that have been sent to the disk
}

func newSnapshotSink(sink raft.SnapshotSink, dir string, store *snapshotStore) (*snapshotSink, error) {
	state, err := os.Open(filepath.Join(dir, "state.bin"))
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return &snapshotSink{SnapshotSink: sink, dir: dir, failed: store.failed, late: &store.late, remover: store.remover, state: state}, nil
}

// errLate is why a snapshot is given up that holds up the end of its node.
var errLate = errors.New("it takes too long")

// Write writes a part of the state. It may wait for the disk. The error is ErrFailed if the node
// has failed.
func (s *snapshotSink) Write(p []byte) (int, error) {
	written := 0
	for {
		select {
		case <-s.failed:
			return written, ErrFailed
		default:
		}
		if s.late.Load() {
			return written, errLate
		}
		part := p[written:min(len(p), written+snapshotSlice)]
		n, err := s.SnapshotSink.Write(part)
		written += n
		s.size += int64(n)
		if err != nil {
			return written, err
		}
		if s.state != nil && s.size-s.sent >= snapshotSlice {
			if err := writeBack(s.state, s.sent, s.size-s.sent); err != nil {
				return written, err
			}
			s.sent = s.size
		}
		if written == len(p) {
			return written, nil
		}
	}
}

// Close ends the snapshot; it is there when it returns without an error. Else nothing is left
// of it, in the end. Older ones than are kept are removed soon.
func (s *snapshotSink) Close() error {
	err := s.end()
	if serr := syncDir(s.dir); !errors.Is(serr, os.ErrNotExist) { // it may be closed already
		err = errors.Join(err, serr)
	}
	if err == nil {
		err = s.SnapshotSink.Close()
	}
	if err != nil {
		return errors.Join(err, s.giveUp())
	}
	s.remover.wake()
	return nil
}

// Cancel removes the snapshot, soon.
func (s *snapshotSink) Cancel() error { return errors.Join(s.end(), s.giveUp()) }

// giveUp has the remover remove what there is, which raft's would do at once, or not at all if
// what is left to be written does not fit on the disk.
func (s *snapshotSink) giveUp() error {
	defer s.remover.wake()
	err := s.remover.setAside(s.ID()+".tmp", s.ID())
	if errors.Is(err, os.ErrNotExist) {
		err = nil // it has ended already
	}
	return errors.Join(err, s.SnapshotSink.Cancel())
}

// end closes the second look at the file.
func (s *snapshotSink) end() error {
	if s.state == nil {
		return nil
	}
	state := s.state
	s.state = nil
	return state.Close()
}
