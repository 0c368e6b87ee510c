// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestCrowdSweepsWhenBusy: who sends nothing for too long is closed, also if so many others send
// that the crowd never waits.
func TestCrowdSweepsWhenBusy(t *testing.T) {
	const many = atOnce + 8
	p := freshTCP(t)
	p.loop.config.IdleTime = 300 * time.Millisecond
	var busy [many]net.Conn
	p.loop.config.Crowd, p.loop.config.Quick = 1, func(r *Request, b []byte) ([]byte, bool) {
		if i, err := strconv.Atoi(string(r.Path[1:])); err == nil { // it has the next one already
			_, _ = io.WriteString(busy[i], request(string(r.Path)))
		}
		return quickEcho(r, b)
	}
	joins := func(client net.Conn) {
		o := &pair{t: t, loop: p.loop, Conn: client, r: bufio.NewReader(client)}
		for range shortestRow + 1 {
			o.send(request("/a"))
			o.want("GET /a ")
		}
	}
	joins(p.Conn)
	p.loop.mu.Lock()
	p.loop.crowds = p.loop.crowds[:1]
	p.loop.mu.Unlock()
	var reading sync.WaitGroup
	for i := range busy {
		client, ours := dial(t)
		if _, err := p.loop.Listener(&listenOnce{conn: ours}).Accept(); err != errLast {
			t.Fatal(err)
		}
		busy[i] = client
		joins(client)
	}
	for i, client := range busy {
		reading.Go(func() { _, _ = io.Copy(io.Discard, client) })
		if _, err := io.WriteString(client, request("/"+strconv.Itoa(i))); err != nil {
			t.Error(err)
		}
	}
	p.closes(0, 10*time.Second)
	for _, client := range busy {
		client.Close()
	}
	reading.Wait()
}
