// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"io"
	"time"
)

// backupFormat is the format that Backup writes.
//
// A backup, format 1; numbers are little endian:
//
//	magic     8 bytes, "confdbak"
//	format    uint16
//	header    uint32 length, and a BackupInfo as JSON
//	checksum  uint32: CRC32C of all before it
//	state     a snapshot of package fsm in pieces: uint32 length and the bytes; length 0 is
//	          the end
//	length    uint64: of the state
//	checksum  uint32: CRC32C of all before it
//	end       8 bytes, "confdend"
const (
	backupFormat = 1
	backupMagic  = "confdbak"
	backupEnd    = "confdend"

	backupPiece     = 64 << 10
	maxBackupPiece  = 16 << 20
	maxBackupHeader = 1 << 20
)

// ErrNoBackup means that what was to be a backup is none, is cut off, or is damaged.
var ErrNoBackup = errors.New("not a whole backup")

// A BackupInfo is what a backup says about itself.
type BackupInfo struct {
	Format    int       `json:"format"`
	Program   string    `json:"program"` // that wrote it
	ClusterID string    `json:"clusterID"`
	NodeID    string    `json:"nodeID"` // of the node it is of
	NodeName  string    `json:"nodeName"`
	Created   time.Time `json:"created"`
	RaftIndex uint64    `json:"raftIndex"` // of the last log entry in it
	RaftTerm  uint64    `json:"raftTerm"`  // of the node at that time
	Index     uint64    `json:"index"`     // of the tree: X-Etcd-Index
	Keys      int       `json:"keys"`      // directories included
}

// BackupOptions say how to make a backup. The zero value is valid.
type BackupOptions struct {
	// Stale takes the state of this node as it is, without asking the others whether it
	// has everything that was acknowledged. It works without a leader.
	Stale bool

	Program string // what the program calls itself, for those who read the backup
}

// Backup writes the whole state to w: keys with their indexes and times to live, the
// history of events, users and roles, the cluster's configuration and the registry of
// members. It is one point in time, and holds everything that was acknowledged before the
// call. The store goes on meanwhile; nothing but that state is held in memory.
//
// The state has the hashes of passwords: who may read a backup may try to guess them.
func (n *Node) Backup(ctx context.Context, w io.Writer, opts BackupOptions) (BackupInfo, error) {
	if !opts.Stale {
		if _, err := n.Linearizable(ctx); err != nil {
			return BackupInfo{}, fmt.Errorf("making sure that a backup holds everything: %w", err)
		}
	}
	state, err := n.fsm.Copy()
	if err != nil {
		return BackupInfo{}, fmt.Errorf("making a backup: %w", err)
	}
	info := BackupInfo{
		Format: backupFormat, Program: opts.Program,
		ClusterID: n.ClusterID(), NodeID: n.dir.id, NodeName: n.cfg.Name, Created: n.cfg.Now().UTC(),
		RaftIndex: state.Applied(), RaftTerm: n.RaftTerm(), Index: state.Index(), Keys: state.Keys(),
	}
	if err := writeBackup(w, info, func(w io.Writer) error { return state.Write(contextWriter{ctx, w}) }); err != nil {
		return info, fmt.Errorf("writing a backup: %w", err)
	}
	return info, nil
}

// A contextWriter fails when its context ends.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

func writeBackup(w io.Writer, info BackupInfo, state func(io.Writer) error) error {
	header, err := json.Marshal(info)
	if err != nil {
		return err
	}
	b := &backupWriter{w: w}
	b.raw([]byte(backupMagic))
	b.raw(binary.LittleEndian.AppendUint16(nil, uint16(info.Format)))
	b.number(uint32(len(header)))
	b.raw(header)
	b.number(b.sum.sum)
	pieces := bufio.NewWriterSize(b, backupPiece)
	if err := errors.Join(state(pieces), pieces.Flush()); err != nil {
		return err
	}
	b.number(0)
	b.raw(binary.LittleEndian.AppendUint64(nil, b.length))
	b.number(b.sum.sum)
	b.raw([]byte(backupEnd))
	return b.err
}

// A backupWriter writes pieces of the state, each as one Write.
type backupWriter struct {
	w      io.Writer
	sum    runningSum
	length uint64
	err    error
}

func (b *backupWriter) raw(p []byte) {
	if b.err == nil {
		_, b.err = b.w.Write(p)
		b.sum.Write(p)
	}
}

func (b *backupWriter) number(v uint32) { b.raw(binary.LittleEndian.AppendUint32(nil, v)) }

func (b *backupWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), maxBackupPiece)]
		b.number(uint32(len(piece)))
		b.raw(piece)
		b.length += uint64(len(piece))
		rest = rest[len(piece):]
	}
	if b.err != nil {
		return 0, b.err
	}
	return len(p), nil
}
