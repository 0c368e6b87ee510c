// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
)

// busyStreams returns how many streams have a goroutine of their own, and how many a sender.
func busyStreams(h *Handler) (busy, sent int) {
	h.watches.mu.Lock()
	defer h.watches.mu.Unlock()
	for c := range h.watches.conns {
		if c.sender == nil {
			continue
		}
		c.sender.mu.Lock()
		if c.busy {
			busy++
		} else {
			sent++
		}
		c.sender.mu.Unlock()
	}
	return busy, sent
}

// TestStreamsCatchUp: streams whose clients do not read leave their sender, without delay for
// those that do, and come back to it when they have read; all have every event, in order.
func TestStreamsCatchUp(t *testing.T) {
	url, h, node := serveTest(t)
	const streams, rounds, events = 4, 2, 120
	lines := make([]*bufio.Scanner, streams)
	for i := range lines {
		c := dialTest(t, url)
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		c.send("GET /v2/keys/a?wait=true&stream=true HTTP/1.1")
		lines[i] = bufio.NewScanner(c.head().Body)
		lines[i].Buffer(nil, 256<<10)
	}
	await(t, "streams at a sender", func() bool { busy, sent := busyStreams(h); return busy == 0 && sent == streams })
	value := strings.Repeat("v", 32<<10) // with the value before it; more than all buffers on the way
	read := func(i, round int) {
		for n := range events {
			want := fmt.Sprintf(`"modifiedIndex":%d,`, round*events+n+1)
			if !lines[i].Scan() || !strings.Contains(lines[i].Text(), want) {
				t.Errorf("stream %d, event %d of round %d: not %s (%v)", i, n, round, want, lines[i].Err())
				return
			}
		}
	}
	for round := range rounds {
		quick := make(chan struct{})
		go func() {
			defer close(quick)
			for i := range streams / 2 {
				read(i, round)
			}
		}()
		for range events {
			put(t, node, "/a", value)
		}
		<-quick
		await(t, "goroutines for those that do not read", func() bool { busy, _ := busyStreams(h); return busy >= streams/2 })
		for i := streams / 2; i < streams; i++ {
			read(i, round)
		}
		await(t, "streams back at a sender", func() bool { busy, sent := busyStreams(h); return busy == 0 && sent == streams })
	}
	if got := node.tree.CutOff(); got != 0 {
		t.Errorf("%d streams were cut off", got)
	}
}

// TestStreamOverTLS: a stream over TLS has a goroutine of its own, and its events.
func TestStreamOverTLS(t *testing.T) {
	h, node := newTestHandler(Options{})
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = Server(h, nil)
	srv.StartTLS()
	defer srv.Close()
	defer h.EndWatches()
	resp, err := srv.Client().Get(srv.URL + "/v2/keys/a?wait=true&stream=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range 10 {
		put(t, node, "/a", "v")
		if !lines.Scan() || !strings.Contains(lines.Text(), `"value":"v"`) {
			t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
		}
	}
	if busy, sent := busyStreams(h); busy+sent != 0 {
		t.Errorf("%d streams over TLS are at a sender", busy+sent)
	}
}
