// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"confd/integration/bench/load"
)

// A keyspace is keys /DIR/k0000000, /DIR/k0000001 and so on, with values of one size.
type keyspace struct {
	dir        string
	keys, size int
	filler     []byte
}

func newKeyspace(keys, size int) *keyspace {
	return &keyspace{dir: "bench", keys: keys, size: size, filler: bytes.Repeat([]byte("abcdefghijklmnop"), size/16+1)[:size]}
}

// key returns which key request n is for: all come in turn, and not one after the other.
func (k *keyspace) key(n int) int { return n * 7919 % k.keys }

// value appends the value with a number: the number in ten digits, then filler.
func (k *keyspace) value(buf []byte, n int) []byte {
	return append(digits(buf, n, 10), k.filler[10:]...)
}

// digits appends n with leading zeros.
func digits(buf []byte, n, width int) []byte {
	at := len(buf) + width
	for range width {
		buf = append(buf, '0')
	}
	for i := at - 1; n > 0; i-- {
		buf[i] = byte('0' + n%10)
		n /= 10
	}
	return buf
}

// put appends request n: it writes value n to a key.
func (k *keyspace) put(buf []byte, n int) []byte { return k.set(buf, k.key(n), n) }

// fill appends request n when the keyspace is filled: key n gets value n.
func (k *keyspace) fill(buf []byte, n int) []byte { return k.set(buf, n, n) }

func (k *keyspace) set(buf []byte, key, n int) []byte {
	buf = append(append(append(buf, "PUT /v2/keys/"...), k.dir...), "/k"...)
	buf = append(digits(buf, key, 7), " HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
	buf = strconv.AppendInt(buf, int64(k.size+len("value=")), 10)
	return k.value(append(buf, "\r\n\r\nvalue="...), n)
}

// get appends request n: it reads a key, with a query such as "?quorum=true".
func (k *keyspace) get(buf []byte, n int, query string) []byte {
	buf = append(append(append(buf, "GET /v2/keys/"...), k.dir...), "/k"...)
	buf = digits(buf, k.key(n), 7)
	return append(append(buf, query...), " HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n"...)
}

// puts returns a function that makes jobs of writes over so many connections.
func (k *keyspace) puts(conns int) func() load.Job {
	return func() load.Job { return load.Job{Request: k.put, Check: k.checkPut(conns, k.key)} }
}

// gets returns a function that makes jobs of reads with a query.
func (k *keyspace) gets(query string) func() load.Job {
	return func() load.Job {
		return load.Job{Check: k.checkGet(), Request: func(buf []byte, n int) []byte { return k.get(buf, n, query) }}
	}
}

// checkPut returns a check of what put or fill is answered: that it is the write, and
// that indexes rise from answer to answer on each of so many connections.
func (k *keyspace) checkPut(conns int, key func(n int) int) func(conn, n int, r *load.Response) error {
	last := make([]uint64, conns)
	var want []byte
	return func(conn, n int, r *load.Response) error {
		if r.Status != 200 && r.Status != 201 {
			return load.Refused(r.Status)
		}
		want = k.node(append(want[:0], `{"action":"set","node":`...), key(n), n)
		rest, ok := bytes.CutPrefix(r.Body, want)
		if !ok {
			return fmt.Errorf("the answer does not begin with %.100q", want)
		}
		index, err := leading(rest)
		if err != nil || index <= last[conn] {
			return fmt.Errorf("modifiedIndex %d after %d (%w)", index, last[conn], err)
		}
		last[conn] = index
		return nil
	}
}

// checkGet checks what get is answered when fill was the last to write.
func (k *keyspace) checkGet() func(conn, n int, r *load.Response) error {
	var want []byte
	return func(_, n int, r *load.Response) error {
		if r.Status != 200 {
			return load.Refused(r.Status)
		}
		want = k.node(append(want[:0], `{"action":"get","node":`...), k.key(n), k.key(n))
		if !bytes.HasPrefix(r.Body, want) {
			return fmt.Errorf("the answer does not begin with %.100q", want)
		}
		return nil
	}
}

// node appends how the JSON of a key with value n begins, up to its index.
func (k *keyspace) node(buf []byte, key, n int) []byte {
	buf = append(append(append(buf, `{"key":"/`...), k.dir...), "/k"...)
	buf = append(digits(buf, key, 7), `","value":"`...)
	return append(k.value(buf, n), `","modifiedIndex":`...)
}

// leading returns the number that text begins with.
func leading(text []byte) (uint64, error) {
	end := bytes.IndexFunc(text, func(c rune) bool { return c < '0' || c > '9' })
	if end < 0 {
		return 0, errors.New("no end of a number")
	}
	return strconv.ParseUint(string(text[:end]), 10, 64)
}
