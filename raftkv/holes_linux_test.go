// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// A cachedFile is a file as ext4 shows one that was given its space and not been written to:
// pages that were read count as data from then on.
type cachedFile struct {
	size, data int64 // up to data it was written to
	pages      map[int64]bool
	read       int64 // bytes
}

const page = 4 << 10

func (f *cachedFile) ReadAt(p []byte, at int64) (int, error) {
	n := min(int64(len(p)), f.size-at)
	for i := at / page; i*page < at+n; i++ {
		f.pages[i] = true
	}
	f.read += n
	clear(p[:n])
	if at < f.data {
		p[0] = 1
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (f *cachedFile) Seek(at int64, whence int) (int64, error) {
	for ; whence == unix.SEEK_DATA && at < f.size; at = (at/page + 1) * page {
		if at < f.data || f.pages[at/page] {
			return at, nil
		}
	}
	return 0, unix.ENXIO
}

// TestLastNonZeroReadsLittle: to look for what follows the data does not make data of the rest.
func TestLastNonZeroReadsLittle(t *testing.T) {
	for _, data := range []int64{100, 64<<10 - 1, 64 << 10, 100<<10 + 17} {
		f := &cachedFile{size: 16 << 20, data: data + 1, pages: map[int64]bool{}}
		end, err := lastNonZero(f, data)
		if err != nil || end != data+1 || f.read > 64<<10 {
			t.Errorf("the data ends at %d: found %d, %v; %d bytes were read", data+1, end, err, f.read)
		}
	}
}
