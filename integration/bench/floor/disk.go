// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// A disk is a file of full size that batches are written to, each with a sync. It is used again
// from its start when it is full. All of it was written before: where that is not so, each sync has
// the file system note what is.
type disk struct {
	fd       int
	size, at int64
}

// openDisk makes the file, of so many bytes.
func openDisk(path string, size int64) (_ *disk, err error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	zeros := make([]byte, 4<<10)
	for at := int64(0); at < size && err == nil; at += int64(len(zeros)) {
		_, err = syscall.Pwrite(fd, zeros, at)
	}
	if err = errors.Join(err, syscall.Fsync(fd)); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("making a file of %d bytes: %w", size, err)
	}
	return &disk{fd: fd, size: size}, nil
}

// write makes data durable.
func (d *disk) write(data []byte) error {
	if d.at+int64(len(data)) > d.size {
		d.at = 0
	}
	at := d.at
	d.at += int64(len(data))
	return rawPut(d.fd, data, at)
}
