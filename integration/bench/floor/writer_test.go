// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"confd/integration/freeport"
)

// A client is a connection to a writer.
type client struct {
	t  *testing.T
	in *bufio.Reader
	net.Conn
}

func connect(t *testing.T, addr string) *client {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, bufio.NewReader(c), c}
}

// put returns a request.
func put(key, value string) string {
	return fmt.Sprintf("PUT /v2/keys%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nvalue=%s", key, len("value=")+len(value), value)
}

func (c *client) send(text string) {
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// want reads an answer.
func (c *client) want(status int, body string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || string(got) != body {
		c.t.Errorf("got %d %q, %v; want %d %q", resp.StatusCode, got, err, status, body)
	}
}

// created and set are answers to a put of /a.
func created(index int, value string) string {
	return fmt.Sprintf(`{"action":"set","node":{"key":"/a","value":"%s","modifiedIndex":%d,"createdIndex":%d}}`+"\n", value, index, index)
}

func set(index int, value string, prevIndex int, prev string) string {
	return strings.TrimSuffix(created(index, value), "}\n") + fmt.Sprintf(`,"prevNode":{"key":"/a","value":"%s","modifiedIndex":%d,"createdIndex":%d}}`+"\n",
		prev, prevIndex, prevIndex)
}

// startWriters runs writers at addresses, a group of three if there are as many. Each has a file of
// 64 KiB, whose names it returns, and ends with the test, by a request that it does not know.
func startWriters(t *testing.T, addrs []string, peer string) (files []string) {
	before := runtime.GOMAXPROCS(len(addrs) + 4) // each keeps a processor
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	for i, addr := range addrs {
		file := filepath.Join(t.TempDir(), "values")
		files = append(files, file)
		d, err := openDisk(file, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		w, err := newWriter(addr, d)
		if err == nil && len(addrs) > 1 {
			err = w.joinGroup(byte(i), peer)
		}
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.run() }()
		t.Cleanup(func() {
			connect(t, addr).send("DELETE / HTTP/1.1\r\n\r\n")
			if err := <-ended; err == nil || !strings.Contains(err.Error(), "is no PUT") {
				t.Errorf("the writer has ended with %v", err)
			}
		})
	}
	return files
}

// isIn checks that a file has a value, and its full size.
func isIn(t *testing.T, file, value string) {
	t.Helper()
	if got, err := os.ReadFile(file); err != nil || len(got) != 64<<10 || !bytes.Contains(got, []byte(value)) {
		t.Errorf("%q is not among the %d bytes of the file, %v", value, len(got), err)
	}
}

// TestWriter checks that a write is in the file when it is answered, and what the answer says.
func TestWriter(t *testing.T) {
	addrs, release, err := freeport.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	file := startWriters(t, addrs, "")[0]
	c := connect(t, addrs[0])
	c.send(put("/a", "one"))
	c.want(201, created(1, "one"))
	isIn(t, file, "/aone")
	c.send(put("/a", "two") + put("/a", "three")[:20])
	c.want(200, set(2, "two", 1, "one"))
	isIn(t, file, "/atwo")
	c.send(put("/a", "three")[20:])
	c.want(200, set(3, "three", 2, "two"))
	prev, prevIndex := "three", 3
	for i := range 100 { // the file is used again
		next := strings.Repeat(fmt.Sprint(i%10), 1000)
		connect(t, addrs[0]).Close()
		c.send(put("/a", next))
		c.want(200, set(prevIndex+1, next, prevIndex, prev))
		isIn(t, file, next)
		prev, prevIndex = next, prevIndex+1
	}
}

// TestGroup checks that what the leader or another answers is in the files of two, and in the
// same order everywhere.
func TestGroup(t *testing.T) {
	addrs, release, err := freeport.Addrs(4)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	files := startWriters(t, addrs[:3], addrs[3])
	prev := ""
	for i := range 30 {
		c := connect(t, addrs[i%3])
		state := "StateFollower"
		if i%3 == 0 {
			state = "StateLeader"
		}
		c.send("GET /v2/stats/self HTTP/1.1\r\n\r\n")
		c.want(200, `{"state":"`+state+`"}`)
		value := fmt.Sprintf("value%d.", i)
		c.send(put("/a", value))
		if i == 0 {
			c.want(201, created(1, value))
		} else {
			c.want(200, set(i+1, value, i, prev))
		}
		isIn(t, files[0], value)
		has := 0
		for _, file := range files[1:] {
			if got, err := os.ReadFile(file); err == nil && bytes.Contains(got, []byte(value)) {
				has++
			}
		}
		if has == 0 {
			t.Errorf("no other has write %d when it is answered", i)
		}
		prev = value
	}
}
