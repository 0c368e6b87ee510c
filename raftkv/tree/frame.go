// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A snapshot is a header of eight bytes, the magic and a version, and then frames:
//
//	length uint32 | checksum uint32 | bytes
//
// both little-endian. The checksum is the CRC-32C of the bytes of this frame and all
// before it, so that a frame that is changed, lost, doubled or out of place is found
// before its bytes are read. A frame of length 0 is the end. So a reader takes no byte
// that is not the snapshot's, and holds no more than a frame on anybody's word.
const (
	magic    = "ctree\x00"
	version  = 1
	maxFrame = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A frameWriter writes the header, then each Write as frames.
type frameWriter struct {
	w   io.Writer
	n   int64 // bytes written to w
	sum uint32
}

func (f *frameWriter) write(p []byte) error {
	n, err := f.w.Write(p)
	f.n += int64(n)
	return err
}

func (f *frameWriter) open() error {
	return f.write(binary.LittleEndian.AppendUint16([]byte(magic), version))
}

// frame writes one frame of at most maxFrame bytes.
func (f *frameWriter) frame(p []byte) error {
	f.sum = crc32.Update(f.sum, castagnoli, p)
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(p)))
	binary.LittleEndian.PutUint32(head[4:], f.sum)
	if err := f.write(head[:]); err != nil {
		return err
	}
	if len(p) == 0 {
		return nil
	}
	return f.write(p)
}

func (f *frameWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		if err := f.frame(p[:n]); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// end writes the end.
func (f *frameWriter) end() error { return f.frame(nil) }

// A frameReader reads what a frameWriter has written. Read returns io.EOF only at the
// end that was written.
type frameReader struct {
	r    io.Reader
	rest []byte // of the frame
	buf  []byte
	sum  uint32
	done bool
}

// open reads the header.
func (f *frameReader) open() error {
	var head [8]byte
	if err := f.full(head[:]); err != nil {
		return err
	}
	if string(head[:6]) != magic {
		return errors.New("no tree snapshot")
	}
	if v := binary.LittleEndian.Uint16(head[6:]); v != version {
		return fmt.Errorf("unknown version %d; this program knows %d and older: it may have been written by a newer one", v, version)
	}
	f.buf = make([]byte, maxFrame)
	return nil
}

// CheckHeader reads the header of a snapshot, and returns an error if this program does not
// know what follows.
func CheckHeader(r io.Reader) error { return (&frameReader{r: r}).open() }

// full fills p.
func (f *frameReader) full(p []byte) error {
	_, err := io.ReadFull(f.r, p)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next reads the next frame that has bytes.
func (f *frameReader) next() error {
	if f.done {
		return io.EOF
	}
	var head [8]byte
	if err := f.full(head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return errors.New("frame too long")
	}
	p := f.buf[:n]
	if err := f.full(p); err != nil {
		return err
	}
	f.sum = crc32.Update(f.sum, castagnoli, p)
	if f.sum != binary.LittleEndian.Uint32(head[4:]) {
		return errors.New("wrong checksum")
	}
	if n == 0 {
		f.done = true
		return io.EOF
	}
	f.rest = p
	return nil
}

// Read reads from the frames as from one stream.
func (f *frameReader) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// ReadByte reads one byte.
func (f *frameReader) ReadByte() (byte, error) {
	if len(f.rest) == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b, nil
}
