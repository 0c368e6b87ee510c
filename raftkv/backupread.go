// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"confd/raftkv/fsm"
	"confd/raftkv/tree"
)

// A backupReader reads the state out of a backup. It returns io.EOF when all of the backup
// has been read and is what was written.
type backupReader struct {
	r      io.Reader
	sum    runningSum
	piece  uint32 // what is left of the current piece
	length uint64
	done   bool
	cause  error // of reading, other than the end
}

// openBackup reads the header.
func openBackup(r io.Reader) (*backupReader, BackupInfo, error) {
	var info BackupInfo
	b := &backupReader{r: bufio.NewReaderSize(r, 256<<10)}
	head := b.bytes(len(backupMagic) + 2 + 4)
	if head == nil && b.cause != nil {
		return nil, info, b.failed(b.cause)
	}
	if head == nil || string(head[:len(backupMagic)]) != backupMagic {
		return nil, info, fmt.Errorf("%w: it does not begin as one", ErrNoBackup)
	}
	format := binary.LittleEndian.Uint16(head[len(backupMagic):])
	if format != backupFormat {
		return nil, info, fmt.Errorf("backup of format %d; this program knows %d and older: it may have been written by a newer one", format, backupFormat)
	}
	size := binary.LittleEndian.Uint32(head[len(backupMagic)+2:])
	var header []byte
	if size <= maxBackupHeader {
		header = b.bytes(int(size))
	}
	want := b.sum.sum
	sum := b.bytes(4)
	if b.cause != nil {
		return nil, info, b.failed(b.cause)
	}
	if header == nil || sum == nil || binary.LittleEndian.Uint32(sum) != want {
		return nil, info, fmt.Errorf("%w: its header is damaged or cut off", ErrNoBackup)
	}
	if err := json.Unmarshal(header, &info); err != nil {
		return nil, info, fmt.Errorf("%w: its header: %w", ErrNoBackup, err)
	}
	return b, info, nil
}

// bytes returns the next n bytes, nil if they are not there.
func (b *backupReader) bytes(n int) []byte {
	p := make([]byte, n)
	if _, err := io.ReadFull(b.r, p); err != nil {
		b.failed(err)
		return nil
	}
	b.sum.Write(p)
	return p
}

// failed keeps the error of reading, and returns what to say of it.
func (b *backupReader) failed(err error) error {
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		b.cause = err
	}
	if b.cause != nil {
		return fmt.Errorf("reading a backup: %w", b.cause)
	}
	return fmt.Errorf("%w: it is cut off", ErrNoBackup)
}

// Read reads the state.
func (b *backupReader) Read(p []byte) (int, error) {
	for b.piece == 0 {
		if b.done {
			return 0, io.EOF
		}
		length := b.bytes(4)
		if length == nil {
			return 0, b.failed(io.EOF)
		}
		b.piece = binary.LittleEndian.Uint32(length)
		if b.piece > maxBackupPiece {
			return 0, fmt.Errorf("%w: it is damaged", ErrNoBackup)
		}
		if b.piece == 0 {
			if err := b.end(); err != nil {
				return 0, err
			}
			b.done = true
		}
	}
	n, err := b.r.Read(p[:min(len(p), int(b.piece))])
	b.sum.Write(p[:n])
	b.piece -= uint32(n)
	b.length += uint64(n)
	if err != nil {
		err = b.failed(err)
	}
	return n, err
}

// end reads what comes after the state.
func (b *backupReader) end() error {
	length := b.bytes(8)
	want := b.sum.sum
	sum, end := b.bytes(4), b.bytes(len(backupEnd))
	switch {
	case end == nil:
		return b.failed(io.EOF)
	case binary.LittleEndian.Uint64(length) != b.length || binary.LittleEndian.Uint32(sum) != want || string(end) != backupEnd:
		return fmt.Errorf("%w: it is damaged", ErrNoBackup)
	case b.bytes(1) != nil:
		return fmt.Errorf("%w: something follows behind its end", ErrNoBackup)
	case b.cause != nil:
		return b.failed(b.cause)
	}
	return nil
}

// CopyBackup copies a backup, and makes sure that it is whole. It holds no more than a piece
// of it; what the state is, VerifyBackup tells.
func CopyBackup(w io.Writer, r io.Reader) (BackupInfo, error) {
	b, info, err := openBackup(io.TeeReader(r, w))
	if err != nil {
		return info, err
	}
	_, err = io.Copy(io.Discard, b)
	return info, err
}

// Contents is what VerifyBackup has found in a backup.
type Contents struct {
	BackupInfo
	Size     int64    // of the backup, in bytes
	Expiring int      // keys with a time to live
	Metadata []string // the names of what is kept beside the keys
}

// VerifyBackup reads all of a backup, as a restore does, and returns what is in it. The
// error is an ErrNoBackup unless reading fails or a newer program wrote it.
func VerifyBackup(r io.Reader) (Contents, error) {
	count := &countingReader{r: r}
	f, info, err := loadBackup(count)
	c := Contents{BackupInfo: info, Size: count.n}
	if err != nil {
		return c, err
	}
	for _, node := range f.tree.View().Files("/") {
		if node.Expires != 0 {
			c.Expiring++
		}
	}
	for key := range *f.AllMeta() {
		c.Metadata = append(c.Metadata, key)
	}
	return c, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// A loadedState is a state machine that no raft runs over.
type loadedState struct {
	*fsm.FSM
	tree *tree.Tree
	err  error // why it has stopped
}

func newLoadedState() *loadedState {
	l := &loadedState{tree: tree.New()}
	l.FSM = fsm.New(l.tree, func(err error) { l.err = err })
	return l
}

// loadBackup reads all of a backup.
func loadBackup(r io.Reader) (*loadedState, BackupInfo, error) {
	b, info, err := openBackup(r)
	if err != nil {
		return nil, info, err
	}
	l := newLoadedState()
	err = l.Restore(io.NopCloser(b))
	if err == nil {
		_, err = io.Copy(io.Discard, b) // to the checksum at its end
	}
	switch {
	case err == nil:
	case b.cause != nil:
		return nil, info, b.failed(b.cause)
	case errors.Is(err, ErrNoBackup), errors.Is(err, fsm.ErrVersion):
		return nil, info, err
	default:
		// The state has checksums of its own, which may be the first to tell.
		if _, rest := io.Copy(io.Discard, b); b.cause != nil || errors.Is(rest, ErrNoBackup) {
			return nil, info, rest
		}
		return nil, info, fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	if keys, index := l.tree.View().Len(), l.tree.View().Index(); keys != info.Keys || index != info.Index {
		return nil, info, fmt.Errorf("%w: it says %d keys at index %d, and has %d at %d", ErrNoBackup, info.Keys, info.Index, keys, index)
	}
	return l, info, nil
}
