// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package http1

import (
	"bufio"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A desk begins requests, which wait there for who fills their slots.
type desk struct {
	slots chan Slot
	body  string // of the last one
}

func (d *desk) begin(r *Request, slot Slot) bool {
	d.body = string(r.Body)
	switch string(r.Path) {
	case "/slow":
		return false
	case "/now":
		slot.Fill(said("now"))
		return true
	case "/panic":
		slot.Fill(said("nothing"))
		panic("on the way")
	}
	d.slots <- slot
	return true
}

// said is an answer with that body.
type said string

func (s said) Append(r *Request, b []byte) []byte {
	if s == "panic" {
		panic("at the end")
	}
	return append(r.AppendEnd(AppendStatus(b, 200), len(s)), s...)
}

func (said) Long() bool { return false }

// A volume is an answer that takes long: until it receives whether it is the connection's last.
type volume chan bool

func (v volume) Append(r *Request, b []byte) []byte {
	r.Close = <-v
	return said("a volume").Append(r, b)
}

func (volume) Long() bool { return true }

// atDesk makes a pair of a connection that has joined a crowd which begins requests.
func atDesk(t *testing.T) (*pair, *desk) {
	t.Helper()
	d := &desk{slots: make(chan Slot, 1)}
	p := freshTCP(t)
	p.loop.config.Quick, p.loop.config.Begin, p.loop.config.Crowd = quickEcho, d.begin, 1
	p.joinsAfter(shortestRow)
	return p, d
}

const put = "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

// TestBegun: a request is begun with its body, answered when the answer is there, also if that is
// at once, and the connection stays in the crowd. One that is refused is answered by Serve.
func TestBegun(t *testing.T) {
	p, d := atDesk(t)
	for range 3 {
		p.send(put)
		slot := <-d.slots
		if d.body != "body" {
			t.Errorf("the body is %q", d.body)
		}
		slot.Fill(said("later"))
		p.want("later")
		p.send(strings.Replace(put, "/b", "/now", 1))
		p.want("now")
		p.send("DELETE /b HTTP/1.1\r\nHost: x\r\n\r\n")
		(<-d.slots).Fill(said("deleted"))
		p.want("deleted")
		p.send(request("/c"))
		p.want("GET /c ")
		p.isMember(true)
	}
	p.send(strings.Replace(put, "/b", "/slow", 1))
	p.want("PUT /slow body")
	p.isMember(false)
}

// TestBegunAlone: a request is not begun that is not the only one, is long, is not all there, says who sends it, or is
// a HEAD.
func TestBegunAlone(t *testing.T) {
	long := "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("x", 5000)
	known := strings.Replace(put, "Host", "Authorization: y\r\nHost", 1)
	for input, wants := range map[string][]string{
		request("/c") + put:                   {"GET /c ", "PUT /b body"},
		put + request("/c"):                   {"PUT /b body", "GET /c "},
		long:                                  {"PUT /b " + long[len(long)-5000:]},
		known:                                 {"PUT /b body"},
		"HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n": {"HEAD /c "}, // with a body, as echo does not look
	} {
		p, _ := atDesk(t)
		p.send(input)
		for _, want := range wants {
			p.want(want)
		}
		p.isMember(false)
	}
	for cut := 1; cut < len(put); cut++ {
		p, _ := atDesk(t)
		p.send(put[:cut])
		for p.loop.members.Load() > 0 {
			runtime.Gosched()
		}
		p.send(put[cut:])
		p.want("PUT /b body")
	}
}

// TestBegunMeanwhile: what a client sends before it has its answer is answered after it, and what
// the others send is not held up.
func TestBegunMeanwhile(t *testing.T) {
	p, d := atDesk(t)
	p.send(put)
	slot := <-d.slots
	p.send(request("/c") + put)
	o := p.neighbour()
	o.send(request("/d"))
	o.want("GET /d ")
	o.Close()
	slot.Fill(said("first"))
	p.want("first")
	p.want("GET /c ")
	p.want("PUT /b body")
}

// A relay is an answer that fills the next slot when it is sent.
type relay struct {
	said
	next Slot
	then Answer
}

func (a relay) Append(r *Request, b []byte) []byte {
	a.next.Fill(a.then)
	return a.said.Append(r, b)
}

// TestBegunLate: an answer is sent that comes when the crowd has looked for answers and is about to
// wait. The event that woke it for the first is over by the second.
func TestBegunLate(t *testing.T) {
	p, d := atDesk(t)
	asking := []*pair{p, p.neighbour(), p.neighbour()}
	var slots []Slot
	for _, p := range asking {
		p.send(put)
		slots = append(slots, <-d.slots)
	}
	slots[0].Fill(relay{"a", slots[1], relay{"b", slots[2], said("c")}})
	for i, p := range asking {
		p.want(string("abc"[i]))
	}
	for _, p := range asking {
		p.Close()
	}
}

// TestBegunLong: an answer that takes long holds nobody up, and what came behind its request is
// answered after it.
func TestBegunLong(t *testing.T) {
	p, d := atDesk(t)
	o := p.neighbour()
	p.send(put)
	v, slot := make(volume), <-d.slots
	p.send(request("/c"))
	slot.Fill(v)
	for range 3 {
		o.send(request("/d"))
		o.want("GET /d ")
	}
	v <- false
	p.want("a volume")
	p.want("GET /c ")
	o.Close()
}

// TestBegunIdle: a connection is not idle while its answer is waited for.
func TestBegunIdle(t *testing.T) {
	d := &desk{slots: make(chan Slot, 1)}
	p := freshTCP(t)
	p.loop.config.Quick, p.loop.config.Begin = quickEcho, d.begin
	p.loop.config.Crowd, p.loop.config.IdleTime = 1, slack+100*time.Millisecond // else it is noticed later
	p.joinsAfter(shortestRow)
	p.send(put)
	slot := <-d.slots
	o := p.neighbour()
	o.closes(0, time.Minute) // it has come later
	answered := time.Now()
	slot.Fill(said("late"))
	p.want("late")
	p.closes(0, time.Minute)
	if idle := time.Since(answered); idle < p.loop.config.IdleTime {
		t.Errorf("it is closed after %v", idle)
	}
	p.loop.running.Wait()
}

// neighbour makes a pair of another connection, in the crowd of p.
func (p *pair) neighbour() *pair {
	p.t.Helper()
	p.loop.mu.Lock()
	p.loop.crowds = p.loop.crowds[:1]
	p.loop.mu.Unlock()
	theirs, ours := dial(p.t)
	if _, err := p.loop.Listener(&listenOnce{conn: ours}).Accept(); err != errLast {
		p.t.Fatal(err)
	}
	o := &pair{t: p.t, loop: p.loop, Conn: theirs, r: bufio.NewReader(theirs)}
	for range shortestRow + 1 {
		o.send(request("/a"))
		o.want("GET /a ")
	}
	return o
}

// TestBegunMany: each client has its own answers, and none is overlooked, however clients, crowds and those who fill the slots
// interleave.
func TestBegunMany(t *testing.T) {
	var filling sync.WaitGroup
	todo := make(chan func(), 8)
	for range 3 {
		filling.Go(func() {
			for fill := range todo {
				fill()
			}
		})
	}
	loop := New(Config{Handler: &echo{}, Quick: quickEcho, Crowd: 3, HeaderTime: 1 << 40, BodyTime: 1 << 40, IdleTime: 1 << 40, StallTime: 1 << 40, Log: slog.Default(),
		Begin: func(r *Request, slot Slot) bool {
			answer := said("PUT /b " + string(r.Body))
			todo <- func() { slot.Fill(answer) }
			return true
		}})
	askMany(t, loop, func(client int) (input, want string) {
		body := fmt.Sprintf("by %d", client)
		return strings.Replace(put, "body", body, 1), "PUT /b " + body
	})
	loop.running.Wait()
	close(todo)
	filling.Wait()
	if n := loop.members.Load(); n != 0 || len(loop.conns) != 0 {
		t.Errorf("%d members and %d connections are left", n, len(loop.conns))
	}
}
