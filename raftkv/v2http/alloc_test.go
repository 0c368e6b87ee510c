// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build !race

// With the race detector a sync.Pool forgets at random, so allocations cannot be counted.

package v2http

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"confd/raftkv/tree"
)

// TestAllocations guards the plain path: none of our own beyond these counts.
func TestAllocations(t *testing.T) {
	h, _ := newTestHandler(Options{})
	do(t, h, "PUT", "/v2/keys/some/key", "value=x")
	get, err := http.NewRequest("GET", "/v2/keys/some/key?quorum=false&recursive=false", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	w := &recorder{header: make(http.Header)}
	got := testing.AllocsPerRun(100, func() {
		clear(w.header)
		w.body.Reset()
		h.ServeHTTP(w, get)
	})
	if got > 2 {
		t.Errorf("a get allocates %v times, want at most 2", got)
	}
}

// TestPlainAllocations guards the same behind the loop: a get has its path.
func TestPlainAllocations(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/a", "x")
	theirs, ours := net.Pipe()
	defer theirs.Close()
	_ = NewClientServer(h, nil).Serve(&oneListener{conn: ours}) // errOneListener
	buf := make([]byte, 1<<10)
	for input, most := range map[string]float64{read: 1, write: 12} {
		b := []byte(input)
		got := testing.AllocsPerRun(100, func() {
			if _, err := theirs.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := theirs.Read(buf); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("%.3s allocates %v times, want at most %v", input, got, most)
		}
	}
}

// TestListingBuffers: a large listing takes no memory of its own when there was one before,
// however large that was, nor does the answer to the write of a large value.
func TestListingBuffers(t *testing.T) {
	h, node := newTestHandler(Options{})
	for i := range 3000 {
		put(t, node, fmt.Sprintf("/large/%d", i), strings.Repeat("x", 256))
	}
	for i := range 300 {
		put(t, node, fmt.Sprintf("/small/%d", i), strings.Repeat("x", 256))
	}
	var x exchange
	list := func(key string) {
		h.get(t.Context(), &keyRequest{method: "GET", key: key}, &x.resp)
		x.reset()
	}
	value := strings.Repeat("x", 300<<10)
	event, err := node.Do(t.Context(), &tree.Op{Action: tree.Set, Key: "/value", Value: value})
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		h.appendEvent(&x.resp, event)
		x.reset()
	}
	list("/large")
	if got := testing.AllocsPerRun(20, func() { list("/large"); list("/small") }); got > 16 {
		t.Errorf("a listing allocates %v times, so its buffers are new", got)
	}
	tree.AppendEvent(nil, event) // from here on its JSON is there
	if got := testing.AllocsPerRun(20, write); got > 2 {
		t.Errorf("an answer to a large write allocates %v times", got)
	}
	if got := cap(x.resp.body); got > maxKept {
		t.Errorf("an exchange keeps a buffer of %d bytes", got)
	}
}

// TestQuickAllocations guards the same in a crowd.
func TestQuickAllocations(t *testing.T) {
	h, node := newTestHandler(Options{})
	put(t, node, "/a", "x")
	buf := make([]byte, 1<<10)
	for input, most := range map[string]float64{read: 1, write: 12} {
		client, ours := tcpPair(t)
		defer client.Close()
		_ = newClientServer(h, nil, 1).Serve(&oneListener{conn: ours}) // errOneListener
		b := []byte(input)
		got := testing.AllocsPerRun(100, func() {
			if _, err := client.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Read(buf); err != nil {
				t.Fatal(err)
			}
		})
		if got > most {
			t.Errorf("%.3s allocates %v times, want at most %v", input, got, most)
		}
	}
}
