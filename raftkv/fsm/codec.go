// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"unsafe"

	"confd/raftkv/tree"
)

// EntryVersion is the format of the entries that AppendBatch writes, and the highest that
// Decode reads.
//
// An entry, version 1:
//
//	version    1 byte
//	checksum   4 bytes, little endian: CRC32C of all that follows
//	clock      8 bytes, little endian: the proposer's clock, Unix time in nanoseconds
//	count      uvarint: number of operations
//	operations
//
// An operation of the tree; text is a uvarint length and the bytes:
//
//	kind       1 byte: the tree.Action, 1 to 6
//	flags      1 byte: the flag constants below
//	key        text
//	value      text
//	ttl        uvarint, with flagTTL only
//	prevValue  text, with flagPrevValue only
//	prevIndex  uvarint, with flagPrevIndex only
//
// An operation of the metadata:
//
//	kind       1 byte: kindMeta
//	flags      1 byte: flagIfAbsent, flagRemove, flagIfIs
//	key        text
//	value      text
//	prev       text, with flagIfIs only
const EntryVersion = 1

const headerSize = 1 + 4 + 8

// The flags of a tree operation.
const (
	flagTTL = 1 << iota
	flagDir
	flagRecursive
	flagInOrder
	flagRefresh
	flagPrevValue
	flagPrevIndex
)

const kindMeta = 0x80

// The flags of a metadata operation.
const (
	flagIfAbsent = 1 << iota
	flagRemove
	flagIfIs
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of Decode. Each of them stops the node: an entry that this program cannot
// read can neither be skipped nor guessed, because another replica may have read it.
var (
	ErrVersion  = errors.New("unknown version")
	ErrChecksum = errors.New("wrong checksum")
	ErrFormat   = errors.New("malformed")
)

// An Op is one operation of an entry: exactly one of its fields is not nil.
type Op struct {
	Tree *tree.Op
	Meta *Meta
}

// A Meta sets one key of the replicated metadata. If its condition does not hold it
// does nothing, and its Result has the error ErrMetaChanged.
type Meta struct {
	Key      string
	Value    []byte
	Remove   bool   // remove the key; Value is ignored
	IfAbsent bool   // only if the key is not there
	IfIs     bool   // only if the key is there with the value Prev
	Prev     []byte // for IfIs
}

// Size returns an upper bound of the bytes that op adds to an entry.
func Size(op Op) int {
	const numbers = 2 + 5*binary.MaxVarintLen64
	if op.Meta != nil {
		return numbers + len(op.Meta.Key) + len(op.Meta.Value) + len(op.Meta.Prev)
	}
	return numbers + len(op.Tree.Key) + len(op.Tree.Value) + len(op.Tree.PrevValue)
}

// AppendBatch appends an entry with the proposer's clock (Unix time in nanoseconds)
// and the operations, in their order, and returns the extended buffer. An entry
// without operations only moves the clock on.
func AppendBatch(dst []byte, clock int64, ops []Op) []byte {
	start := len(dst)
	dst = append(dst, EntryVersion, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(clock))
	dst = binary.AppendUvarint(dst, uint64(len(ops)))
	for _, op := range ops {
		if op.Meta != nil {
			dst = appendMeta(dst, op.Meta)
		} else {
			dst = appendTreeOp(dst, op.Tree)
		}
	}
	seal(dst[start:])
	return dst
}

// seal puts the checksum into a complete entry.
func seal(entry []byte) {
	binary.LittleEndian.PutUint32(entry[1:], crc32.Checksum(entry[5:], castagnoli))
}

func appendTreeOp(dst []byte, op *tree.Op) []byte {
	flags := flag(op.HasTTL, flagTTL) | flag(op.Dir, flagDir) |
		flag(op.Recursive, flagRecursive) | flag(op.InOrder, flagInOrder) |
		flag(op.Refresh, flagRefresh) | flag(op.PrevValue != "", flagPrevValue) |
		flag(op.PrevIndex != 0, flagPrevIndex)
	dst = append(dst, byte(op.Action), flags)
	dst = appendText(dst, op.Key)
	dst = appendText(dst, op.Value)
	if op.HasTTL {
		dst = binary.AppendUvarint(dst, op.TTL)
	}
	if op.PrevValue != "" {
		dst = appendText(dst, op.PrevValue)
	}
	if op.PrevIndex != 0 {
		dst = binary.AppendUvarint(dst, op.PrevIndex)
	}
	return dst
}

func appendMeta(dst []byte, m *Meta) []byte {
	dst = append(dst, kindMeta, flag(m.IfAbsent, flagIfAbsent)|flag(m.Remove, flagRemove)|flag(m.IfIs, flagIfIs))
	dst = appendText(dst, m.Key)
	dst = appendText(dst, m.Value)
	if m.IfIs {
		dst = appendText(dst, m.Prev)
	}
	return dst
}

func flag(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// A Batch is a decoded entry. It may be reused for the next one.
type Batch struct {
	Clock int64
	Ops   []Op

	trees []tree.Op // what Ops points to
}

// Decode reads an entry into b and replaces what is there. A text that makes up most of a
// large entry is not copied: it refers to data, which must not be changed afterwards. The
// error is one of ErrVersion, ErrChecksum and ErrFormat; b is then of no use.
func (b *Batch) Decode(data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("%w: empty entry", ErrFormat)
	}
	if data[0] != EntryVersion {
		return fmt.Errorf("%w %d; this program knows %d and older: it may have been written by a newer one",
			ErrVersion, data[0], EntryVersion)
	}
	if len(data) < headerSize+1 {
		return fmt.Errorf("%w: %d bytes are too few", ErrFormat, len(data))
	}
	if crc32.Checksum(data[5:], castagnoli) != binary.LittleEndian.Uint32(data[1:]) {
		return ErrChecksum
	}
	b.Clock = int64(binary.LittleEndian.Uint64(data[5:]))
	d := decoder{data: data[headerSize:], share: max(minShared, len(data)/2)}
	count := d.uvarint()
	if count > uint64(len(d.data)) { // an operation takes more than a byte
		return fmt.Errorf("%w: %d operations in %d bytes", ErrFormat, count, len(data))
	}
	b.reset(int(count))
	for range count {
		b.decodeOp(&d)
	}
	if d.err != nil {
		return d.err
	}
	if len(d.data) > 0 {
		return fmt.Errorf("%w: %d bytes after the last operation", ErrFormat, len(d.data))
	}
	return nil
}

// reset makes room for count operations. Ops holds pointers into trees, so that must
// not move while it fills. The old strings are let go.
func (b *Batch) reset(count int) {
	b.Ops = b.Ops[:0]
	clear(b.trees[:cap(b.trees)])
	b.trees = b.trees[:0]
	if cap(b.trees) < count {
		b.trees = make([]tree.Op, 0, count)
	}
}

func (b *Batch) decodeOp(d *decoder) {
	kind, flags := d.byte(), d.byte()
	if d.err != nil {
		return
	}
	switch {
	case kind == kindMeta:
		m := &Meta{IfAbsent: flags&flagIfAbsent != 0, Remove: flags&flagRemove != 0, IfIs: flags&flagIfIs != 0}
		if flags&^byte(flagIfAbsent|flagRemove|flagIfIs) != 0 {
			d.fail("unknown flags %#x", flags)
		}
		m.Key, m.Value = d.text(), []byte(d.text())
		if m.IfIs {
			m.Prev = []byte(d.text())
		}
		b.Ops = append(b.Ops, Op{Meta: m})
	case kind >= byte(tree.Set) && kind <= byte(tree.CompareAndDelete):
		b.trees = append(b.trees, tree.Op{Action: tree.Action(kind)})
		op := &b.trees[len(b.trees)-1]
		d.treeOp(op, flags)
		b.Ops = append(b.Ops, Op{Tree: op})
	default:
		d.fail("unknown operation %d", kind)
	}
}

// minShared is the shortest text that may share the memory of its entry.
const minShared = 32 << 10

// A decoder reads from the front of data. After the first error everything is zero.
type decoder struct {
	data  []byte
	share int // texts that are longer refer to data; 0: none does
	err   error
}

func (d *decoder) treeOp(op *tree.Op, flags byte) {
	if flags&0x80 != 0 {
		d.fail("unknown flags %#x", flags)
	}
	op.HasTTL = flags&flagTTL != 0
	op.Dir = flags&flagDir != 0
	op.Recursive = flags&flagRecursive != 0
	op.InOrder = flags&flagInOrder != 0
	op.Refresh = flags&flagRefresh != 0
	op.Key = d.text()
	op.Value = d.text()
	if op.HasTTL {
		op.TTL = d.uvarint()
	}
	if flags&flagPrevValue != 0 {
		op.PrevValue = d.text()
	}
	if flags&flagPrevIndex != 0 {
		op.PrevIndex = d.uvarint()
	}
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
	d.data = nil
}

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		d.fail("ends early")
		return 0
	}
	c := d.data[0]
	d.data = d.data[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.data)) {
		d.fail("ends early")
		return ""
	}
	text := d.data[:n]
	d.data = d.data[n:]
	if d.share > 0 && len(text) > d.share {
		return unsafe.String(&text[0], len(text))
	}
	return string(text)
}
