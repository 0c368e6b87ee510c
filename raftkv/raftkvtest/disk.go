// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/raft-wal/types"
)

// sector is what a disk writes as a whole.
const sector = 512

// ErrPowerOff is the error of a Disk after PowerOff.
var ErrPowerOff = errors.New("the power is off")

// A DiskOp is something that a Disk is asked to do.
type DiskOp string

// The operations that a fault can hit.
const (
	DiskCreate DiskOp = "create"
	DiskWrite  DiskOp = "write"
	DiskSync   DiskOp = "sync"
	DiskDelete DiskOp = "delete"
)

// A Disk is a file system in memory for raftkv.Hooks.LogFS, which forgets what was not
// synced when the power goes. Its methods may be called concurrently, from inside a
// synctest bubble too.
type Disk struct {
	mu    sync.Mutex
	off   bool
	files map[string]*diskFile // :: path → file
	fault func(op DiskOp, name string) error
	space int64 // left for new files and growing ones; negative is no limit
}

// A diskFile is a file as it is seen, and what of it is not on the disk.
type diskFile struct {
	data  []byte
	size  int64            // as the disk has it
	named bool             // its name is on the disk
	dirty map[int64][]byte // :: number of a sector that was written → what the disk has there
	lost  map[int64][]byte // the same for those that a failed sync has dropped: the disk will not get them
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{files: make(map[string]*diskFile), space: -1} }

// Fault has f called before each operation, with the name of the file. An error is that of
// the operation: a write then has written nothing, and a sync has dropped what was to be
// synced, as Linux does, so that the next sync succeeds and means nothing. f may wait
// (a slow disk, one that hangs), or call PowerOff. Nil ends the faults.
func (d *Disk) Fault(f func(op DiskOp, name string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Space limits what can be added to the disk to that many bytes; less than 0 is no limit.
func (d *Disk) Space(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = bytes
}

// PowerOff makes every operation fail from now on, and returns the disk as it is when the
// power is back: of what was not synced, each sector, or each block of eight, is there or
// not, and so are the names of new files, and what files have grown by.
func (d *Disk) PowerOff(r *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	after := NewDisk()
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		if !f.named && r.IntN(2) == 0 {
			continue
		}
		after.files[name] = f.afterPowerOff(r)
	}
	return after
}

func (f *diskFile) afterPowerOff(r *rand.Rand) *diskFile {
	data := bytes.Clone(f.data)
	restore := func(n int64, old []byte) { copy(data[n*sector:], old) }
	for n, old := range f.lost {
		restore(n, old)
	}
	block := int64(1 + 7*r.IntN(2))
	kept := make(map[int64]bool)
	share := r.Float64()
	for _, n := range slices.Sorted(maps.Keys(f.dirty)) {
		keep, known := kept[n/block]
		if !known {
			keep = r.Float64() < share
			kept[n/block] = keep
		}
		if !keep {
			restore(n, f.dirty[n])
		}
	}
	if f.size < int64(len(data)) && r.IntN(2) == 0 {
		data = data[:f.size]
	}
	return newDiskFile(data, true)
}

func newDiskFile(data []byte, named bool) *diskFile {
	return &diskFile{data: data, size: int64(len(data)), named: named, dirty: make(map[int64][]byte), lost: make(map[int64][]byte)}
}

// begin asks for a fault, and then holds the lock unless it returns an error.
func (d *Disk) begin(op DiskOp, name string) error {
	d.mu.Lock()
	fault := d.fault
	d.mu.Unlock()
	var err error
	if fault != nil {
		err = fault(op, name)
	}
	d.mu.Lock()
	if d.off {
		err = ErrPowerOff
	}
	if err != nil {
		d.mu.Unlock()
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

// ListDir returns the names of the files in dir.
func (d *Disk) ListDir(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, ErrPowerOff
	}
	var names []string
	for name := range d.files {
		if path.Dir(name) == path.Clean(dir) {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create makes a file of that size. Its first Sync makes its name durable.
func (d *Disk) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if err := d.begin(DiskCreate, name); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	full := path.Join(dir, name)
	if d.files[full] != nil {
		return nil, &fs.PathError{Op: "create", Path: full, Err: fs.ErrExist}
	}
	f := newDiskFile(nil, false)
	d.files[full] = f
	if err := d.growLocked(f, int64(size)); err != nil {
		return nil, &fs.PathError{Op: "create", Path: full, Err: err}
	}
	return &diskHandle{disk: d, file: f, name: full, isNew: true}, nil
}

func (d *Disk) growLocked(f *diskFile, size int64) error {
	more := size - int64(len(f.data))
	if more <= 0 {
		return nil
	}
	if d.space >= 0 {
		if more > d.space {
			return syscall.ENOSPC
		}
		d.space -= more
	}
	f.data = append(f.data, make([]byte, more)...)
	return nil
}

// Delete removes a file for good.
func (d *Disk) Delete(dir, name string) error {
	if err := d.begin(DiskDelete, name); err != nil {
		return err
	}
	defer d.mu.Unlock()
	full := path.Join(dir, name)
	f := d.files[full]
	if f == nil {
		return &fs.PathError{Op: "delete", Path: full, Err: fs.ErrNotExist}
	}
	delete(d.files, full)
	if d.space >= 0 {
		d.space += int64(len(f.data))
	}
	return nil
}

// OpenReader opens a file for reading.
func (d *Disk) OpenReader(dir, name string) (types.ReadableFile, error) { return d.open(dir, name) }

// OpenWriter opens a file for reading and writing.
func (d *Disk) OpenWriter(dir, name string) (types.WritableFile, error) { return d.open(dir, name) }

func (d *Disk) open(dir, name string) (*diskHandle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	full := path.Join(dir, name)
	f := d.files[full]
	switch {
	case d.off:
		return nil, ErrPowerOff
	case f == nil:
		return nil, &fs.PathError{Op: "open", Path: full, Err: fs.ErrNotExist}
	}
	return &diskHandle{disk: d, file: f, name: full}, nil
}

// SyncDir makes the names of the files in dir durable.
func (d *Disk) SyncDir(dir string) error {
	if err := d.begin(DiskSync, dir); err != nil {
		return err
	}
	defer d.mu.Unlock()
	for name, f := range d.files {
		f.named = f.named || strings.HasPrefix(name, path.Clean(dir)+"/")
	}
	return nil
}

// A diskHandle is an open file.
type diskHandle struct {
	disk  *Disk
	file  *diskFile
	name  string
	isNew bool // a Sync makes its name durable
}

// ReadAt reads what was written, whether it was synced or not.
func (h *diskHandle) ReadAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.disk.off {
		return 0, ErrPowerOff
	}
	return bytes.NewReader(h.file.data).ReadAt(p, off)
}

// WriteAt writes all or, on an error, nothing.
func (h *diskHandle) WriteAt(p []byte, off int64) (int, error) {
	if err := h.disk.begin(DiskWrite, h.name); err != nil {
		return 0, err
	}
	defer h.disk.mu.Unlock()
	f, end := h.file, off+int64(len(p))
	if err := h.disk.growLocked(f, (end+sector-1)/sector*sector); err != nil {
		return 0, &fs.PathError{Op: "write", Path: h.name, Err: err}
	}
	for n := off / sector; n*sector < end; n++ {
		if f.dirty[n] != nil {
			continue
		}
		f.dirty[n] = bytes.Clone(f.data[n*sector : min((n+1)*sector, int64(len(f.data)))])
		if old := f.lost[n]; old != nil {
			f.dirty[n] = old
			delete(f.lost, n)
		}
	}
	copy(f.data[off:], p)
	return len(p), nil
}

// Sync makes what was written durable, and the name of a new file, or, on an error, drops what
// was written.
func (h *diskHandle) Sync() error { return h.sync(h.isNew) }

// SyncData is Sync without the name of a file, as fdatasync is.
func (h *diskHandle) SyncData() error { return h.sync(false) }

func (h *diskHandle) sync(name bool) error {
	err := h.disk.begin(DiskSync, h.name)
	if err != nil {
		h.disk.mu.Lock()
	}
	defer h.disk.mu.Unlock()
	f := h.file
	if errors.Is(err, ErrPowerOff) {
		return err // PowerOff has decided
	}
	if err != nil {
		for n, old := range f.dirty {
			f.lost[n] = old
		}
	} else {
		f.size = int64(len(f.data))
		f.named = f.named || name
	}
	clear(f.dirty)
	return err
}

// Close does nothing.
func (h *diskHandle) Close() error { return nil }

var _ types.VFS = (*Disk)(nil)
