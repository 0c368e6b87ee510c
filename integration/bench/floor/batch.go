// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// A batch is writes that go to the disk together, as they are there: for each the node and
// the connection that has it, the lengths of key and value, and both.
type batch struct {
	data  []byte
	count int
}

const recordHead = 1 + 4 + 2 + 4

func (b *batch) reset() { b.data, b.count = b.data[:0], 0 }

// add adds a write.
func (b *batch) add(origin byte, conn int, key, value []byte) {
	b.data = append(b.data, origin)
	b.data = binary.LittleEndian.AppendUint32(b.data, uint32(conn))
	b.data = binary.LittleEndian.AppendUint16(b.data, uint16(len(key)))
	b.data = binary.LittleEndian.AppendUint32(b.data, uint32(len(value)))
	b.data = append(append(b.data, key...), value...)
	b.count++
}

// addAll adds the writes of another batch.
func (b *batch) addAll(data []byte, count int) {
	b.data = append(b.data, data...)
	b.count += count
}

// each calls f with each write, until that fails.
func (b *batch) each(f func(origin byte, conn int, key, value []byte) error) error {
	for d := b.data; len(d) > 0; {
		key := recordHead + int(binary.LittleEndian.Uint16(d[5:]))
		end := key + int(binary.LittleEndian.Uint32(d[7:]))
		if err := f(d[0], int(binary.LittleEndian.Uint32(d[1:])), d[recordHead:key], d[key:end]); err != nil {
			return err
		}
		d = d[end:]
	}
	return nil
}

// A table has the value of each key, which is all that there is of a tree.
type table struct {
	index uint64
	last  map[string]*kept
	body  []byte
}

// set makes a value that of a key, and appends the answer to out.
func (t *table) set(out, key, value []byte) []byte {
	t.index++
	k, status := t.last[string(key)], " 200 OK"
	if k == nil {
		k, status = new(kept), " 201 Created"
		t.last[string(key)] = k
	}
	b := appendNode(append(t.body[:0], `{"action":"set","node":`...), key, value, t.index)
	if k.index > 0 {
		b = appendNode(append(b, `,"prevNode":`...), key, k.value, uint64(k.index))
	}
	t.body = append(b, "}\n"...)
	k.value, k.index = append(k.value[:0], value...), int(t.index)
	out = append(append(append(out, "HTTP/1.1"...), status...), "\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: 29ee41f189a500b1\r\nX-Etcd-Index: "...)
	out = strconv.AppendUint(out, t.index, 10)
	out = strconv.AppendUint(append(out, "\r\nX-Raft-Index: "...), t.index, 10)
	out = append(out, "\r\nX-Raft-Term: 2\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(t.body)), 10)
	return append(append(out, "\r\n\r\n"...), t.body...)
}

func appendNode(b, key, value []byte, index uint64) []byte {
	b = append(append(b, `{"key":"`...), key...)
	b = append(append(b, `","value":"`...), value...)
	b = strconv.AppendUint(append(b, `","modifiedIndex":`...), index, 10)
	return append(strconv.AppendUint(append(b, `,"createdIndex":`...), index, 10), '}')
}

// parsePut finds the first of the requests that in begins with, and returns its length, 0 if
// it is not complete. A GET has no key.
func parsePut(in []byte) (n int, key, value []byte, err error) {
	head := bytes.Index(in, []byte("\r\n\r\n"))
	if head < 0 {
		return 0, nil, nil, nil
	}
	n = head + len("\r\n\r\n")
	if bytes.HasPrefix(in, []byte("GET ")) {
		return n, nil, nil, nil
	}
	path, isPut := bytes.CutPrefix(in[:head], []byte("PUT /v2/keys"))
	end := bytes.IndexByte(path, ' ')
	_, length, hasLength := bytes.Cut(path, []byte("Content-Length: "))
	if !isPut || end < 1 || !hasLength {
		return 0, nil, nil, fmt.Errorf("%.100q is no PUT", in)
	}
	size := 0
	for _, c := range length {
		if c < '0' || c > '9' {
			break
		}
		size = 10*size + int(c-'0')
	}
	if len(in) < n+size {
		return 0, nil, nil, nil
	}
	return n + size, path[:end], bytes.TrimPrefix(in[n:n+size], []byte("value=")), nil
}
