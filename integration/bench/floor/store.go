// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A store is the least that a server of large values can do: it reads a write to where the
// value stays, has one thread that writes the values which have come to a file and syncs it
// once for all of them, and then answers as etcd does, with the value before. It has no log,
// no checksum and no copy of its own.
type store struct {
	file  *os.File
	size  int64 // of the file, which is used again from its start when it is full
	tasks chan *task

	mu    sync.Mutex
	index int
	last  map[string]kept
}

// A kept is the value of a key.
type kept struct {
	value []byte
	index int
}

// A task is a value on its way to the disk.
type task struct {
	value []byte
	done  chan error // capacity one
}

// openStore makes the file at its full size.
func openStore(path string, size int64) (*store, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		return nil, fmt.Errorf("making a file of %d bytes: %w", size, err)
	}
	s := &store{file: f, size: size, tasks: make(chan *task, 1024), last: make(map[string]kept)}
	go s.run() // as long as the process
	return s, nil
}

// run writes what has come, for ever.
func (s *store) run() {
	at := int64(0)
	var batch []*task
	for t := range s.tasks {
		batch = append(batch[:0], t)
		for range len(s.tasks) {
			batch = append(batch, <-s.tasks)
		}
		var err error
		for _, t := range batch {
			if at+int64(len(t.value)) > s.size {
				at = 0
			}
			if err == nil {
				_, err = s.file.WriteAt(t.value, at)
			}
			at += int64(len(t.value))
		}
		if err == nil {
			err = s.file.Sync()
		}
		for _, t := range batch {
			t.done <- err
		}
	}
}

// answer answers the writes of a connection.
func (s *store) answer(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 4<<10) // a large value does not go through it
	for {
		key, value, err := readPut(in)
		if err != nil {
			return
		}
		t := &task{value, make(chan error, 1)}
		s.tasks <- t
		if <-t.done != nil {
			return
		}
		parts := s.swap(key, value)
		if _, err := parts.WriteTo(conn); err != nil {
			return
		}
	}
}

// readPut reads the only request that there is: a PUT of a form with a value that needs no
// decoding.
func readPut(in *bufio.Reader) (key string, value []byte, err error) {
	first, err := in.ReadSlice('\n')
	if err != nil {
		return "", nil, err
	}
	fields := bytes.Fields(first)
	if len(fields) != 3 || string(fields[0]) != "PUT" {
		return "", nil, fmt.Errorf("%q is no PUT", first)
	}
	key = string(bytes.TrimPrefix(fields[1], []byte("/v2/keys")))
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", nil, err
		}
		name, text, ok := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		if !ok {
			break
		}
		if string(name) == "Content-Length" {
			if length, err = strconv.Atoi(string(text)); err != nil {
				return "", nil, err
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return "", nil, err
	}
	return key, bytes.TrimPrefix(body, []byte("value=")), nil
}

// swap makes a value that of a key, and returns the answer, in parts.
func (s *store) swap(key string, value []byte) net.Buffers {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	prev := s.last[key]
	s.last[key] = kept{value, s.index}
	first := fmt.Sprintf(`{"action":"set","node":{"key":"%s","value":"`, key)
	between := fmt.Sprintf(`","modifiedIndex":%d,"createdIndex":%d},"prevNode":{"key":"%s","value":"`, s.index, s.index, key)
	last := fmt.Sprintf(`","modifiedIndex":%d,"createdIndex":%d}}`+"\n", prev.index, prev.index)
	length := len(first) + len(value) + len(between) + len(prev.value) + len(last)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", length)
	return net.Buffers{[]byte(head + first), value, []byte(between), prev.value, []byte(last)}
}
