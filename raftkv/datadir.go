// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The layouts of the data directory, as written in its file "format".
const (
	formatVersion = "2"
	formatBbolt   = "1" // with the list of the log's files in a bbolt file, and no checks beside the snapshots
)

// A dataDir is a locked data directory:
//
//	lock        held with flock by the one process that uses the directory; its pid
//	format      version of this layout
//	id          the node's id, a 64-bit number in hex, random, made with the directory
//	cluster     the id of the cluster that the node belongs to, in hex
//	peers       where the other nodes were last, as JSON
//	vote        raft's term and vote
//	wal/        raft's log, and in "meta" the list of its files
//	snapshots/  the last two snapshots, each with a check of what raft leaves without one; what is
//	            written or removed has a name with .tmp
//	damaged/    snapshots that could not be read, and were not needed
type dataDir struct {
	path   string
	id     string
	format string // what it was when it was opened
	lock   *os.File
}

func (d *dataDir) wal() string       { return filepath.Join(d.path, "wal") }
func (d *dataDir) snapshots() string { return d.path } // raft adds "snapshots"
func (d *dataDir) vote() string      { return filepath.Join(d.path, "vote") }
func (d *dataDir) peers() string     { return filepath.Join(d.path, "peers") }
func (d *dataDir) logMeta() string   { return filepath.Join(d.wal(), "meta") }

// openDataDir makes the directory if it is missing, locks it, and reads or makes the
// node's id.
func openDataDir(path string) (_ *dataDir, err error) {
	d := &dataDir{path: path}
	if err := makeDir(path); err != nil {
		return nil, err
	}
	lock := func() (err error) {
		d.lock, err = lockFile(filepath.Join(path, "lock"))
		return err
	}
	if err := whileInUse(context.Background(), lock); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := d.checkFormat(); err != nil {
		return nil, err
	}
	if d.id, err = d.readID(); err != nil {
		return nil, err
	}
	if err := d.makeDirs(); err != nil {
		return nil, err
	}
	return d, nil
}

// makeDirs makes the directories for log and snapshots, readable by nobody else even if
// somebody else made the data directory: the files in them are readable by all. It
// removes the snapshots whose writing or removal was cut short, which nothing else does.
func (d *dataDir) makeDirs() error {
	snapshots := filepath.Join(d.snapshots(), "snapshots")
	for _, dir := range []string{d.wal(), snapshots} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(snapshots)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		if err := os.RemoveAll(filepath.Join(snapshots, e.Name())); err != nil {
			return err
		}
	}
	return syncDir(d.path)
}

// makeDir makes a directory and those above it that are missing, and makes their names
// durable.
func makeDir(path string) error {
	var made []string // the deepest first
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		made = append(made, dir)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, dir := range made {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// lockFile takes the lock, or says who has it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder := "another process"
		if b, err := os.ReadFile(path); err == nil && len(b) > 0 {
			holder = "process " + strings.TrimSpace(string(b))
		}
		err = fmt.Errorf("%w: %q is held by %s; stop it, or choose another directory with -data-dir",
			ErrLocked, filepath.Dir(path), holder)
	} else if err != nil {
		err = fmt.Errorf("locking %q: %w", path, err)
	}
	if err == nil {
		err = writePid(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writePid makes a file hold the pid of this process. It is for people only, so it need not be
// durable. The file is never empty in between: ext4 writes one that was to the disk when it is
// closed, which takes longer than all else that a reader does with the lock.
func writePid(f *os.File) error {
	pid := strconv.Itoa(os.Getpid()) + "\n"
	_, err := f.WriteAt([]byte(pid), 0)
	if info, statErr := f.Stat(); err == nil && statErr == nil && info.Size() > int64(len(pid)) {
		err = f.Truncate(int64(len(pid)))
	}
	return err
}

// checkFormat reads the format, or writes it in a new directory: it is the first file.
func (d *dataDir) checkFormat() error {
	path := filepath.Join(d.path, "format")
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(d.path, "id")); err == nil {
			return damaged(path, errors.New("the directory is that of a node"))
		}
		d.format = formatVersion
		return d.writeFormat()
	}
	if err != nil {
		return err
	}
	d.format = strings.TrimSpace(string(b))
	if d.format != formatVersion && d.format != formatBbolt {
		return fmt.Errorf("data directory %q has format %q, this program knows %q and older; it may belong to a newer version",
			d.path, d.format, formatVersion)
	}
	return nil
}

func (d *dataDir) writeFormat() error {
	return writeFile(filepath.Join(d.path, "format"), []byte(formatVersion+"\n"))
}

// readID reads the node's id, or makes one in a new directory.
func (d *dataDir) readID() (string, error) {
	id, err := d.readHex("id")
	if err == nil && id == "" {
		if _, err := os.Stat(d.wal()); err == nil {
			return "", damaged(filepath.Join(d.path, "id"), errors.New("the directory is that of a node"))
		}
		id = randomID()
		err = d.setID(id)
	}
	return id, err
}

// setID replaces the node's id on the disk.
func (d *dataDir) setID(id string) error {
	return writeFile(filepath.Join(d.path, "id"), []byte(id+"\n"))
}

// readCluster reads the id of the cluster, empty if the node is not known to have one.
func (d *dataDir) readCluster() (string, error) { return d.readHex("cluster") }

// setCluster writes the id of the cluster.
func (d *dataDir) setCluster(id string) error {
	return writeFile(filepath.Join(d.path, "cluster"), []byte(id+"\n"))
}

// readHex reads a file with an id, empty if there is none.
func (d *dataDir) readHex(name string) (string, error) {
	path := filepath.Join(d.path, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(b))
	if n, err := strconv.ParseUint(id, 16, 64); err != nil || n == 0 {
		return "", fmt.Errorf("file %q does not hold an id of up to 16 hex digits", path)
	}
	return id, nil
}

// randomID returns a random number other than 0 in hex, without leading zeros, as etcd
// writes its ids.
func randomID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return strconv.FormatUint(max(1, binary.LittleEndian.Uint64(b[:])), 16)
}

// close gives the lock back.
func (d *dataDir) close() error { return d.lock.Close() }
