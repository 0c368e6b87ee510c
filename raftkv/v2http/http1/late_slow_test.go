// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLateLarge: an end that the socket does not take at once is sent as the client reads, and
// nobody waits for that but Shutdown and the request behind it.
func TestLateLarge(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<20)
	bothTCP(t, func(t *testing.T, p *pair) {
		l := p.leaves()
		for range 2 {
			p.send(request("/late"))
			late := <-l.opened
			end := []byte("1000000\r\n" + body + "\r\n0\r\n\r\n")
			late.client.End(late, func() ([]byte, bool) { return end, false })
			clear(end)
			p.send(request("/a"))
			p.want(body)
			p.isEnded(late, true)
			p.want("GET /a ")
		}
	})
}

// TestLateStalled: a client that does not take the end is given up.
func TestLateStalled(t *testing.T) {
	bothTCP(t, func(t *testing.T, p *pair) {
		p.loop.config.StallTime = 50 * time.Millisecond
		l := p.leaves()
		p.send(request("/late"))
		late := <-l.opened
		late.client.End(late, func() ([]byte, bool) { return make([]byte, 16<<20), false })
		p.isEnded(late, false)
		p.loop.running.Wait()
	})
}

// TestLateDeadlines: an open answer has no limit of time, and the time for the next request
// begins with its end.
func TestLateDeadlines(t *testing.T) {
	theirs, ours := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	const idleTime = 5 * time.Minute
	now := time.Now()
	c := &conn{rwc: ours, open: true, late: &lateAnswer{}}
	for range 3 {
		if now = now.Add(idleTime); !c.waitOn(now, idleTime) || c.readBy != now.Add(idleTime) {
			t.Error("an open answer ends")
		}
	}
	c.late, c.since = nil, now.Add(time.Minute)
	if now = now.Add(idleTime); !c.waitOn(now, idleTime) || c.readBy != c.since.Add(idleTime) {
		t.Errorf("after the end: until %v, want %v", c.readBy, c.since.Add(idleTime))
	}
	if now = now.Add(time.Minute); c.waitOn(now, idleTime) {
		t.Error("it waits on")
	}
}

// TestLateMany: no request and no end is lost or mixed up, however the client, the loop and who
// ends the answers interleave.
func TestLateMany(t *testing.T) {
	const conns, many = 8, 2000
	var asking, ending sync.WaitGroup
	for range conns {
		p := freshTCP(t)
		l := p.leaves()
		ending.Go(func() {
			for late := range l.opened {
				late.end("body", false)
				select {
				case <-late.ended:
				case conn := <-late.taken:
					if _, err := io.WriteString(conn, chunked("body")); err != nil || !p.loop.Serve(conn, []byte(late.early)) {
						t.Errorf("taken, and then: %v", err)
					}
				}
			}
		})
		asking.Go(func() {
			defer close(l.opened)
			for i := range many {
				switch i % 4 {
				case 0:
					p.send(request("/late") + request("/a"))
				case 1: // the second may come while the answer is open, or not
					p.send(request("/late"))
					p.send(request("/a"))
				default:
					p.send(request("/late"))
				}
				p.want("body")
				if i%4 == 2 {
					p.send(request("/a"))
				}
				if i%4 < 3 {
					p.want("GET /a ")
				}
			}
		})
	}
	asking.Wait()
	ending.Wait()
}

// TestLateDescriptor: the end is written though the deadline of an earlier write has passed.
func TestLateDescriptor(t *testing.T) {
	p := freshTCP(t)
	l := p.leaves()
	p.send(request("/late"))
	late := <-l.opened
	c := late.client.(*conn)
	c.mu.Lock()
	c.writeBy = time.Unix(1, 0)
	if err := c.rwc.SetWriteDeadline(c.writeBy); err != nil {
		t.Fatal(err)
	}
	c.mu.Unlock()
	late.end("body", false)
	p.want("body")
}
