// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bytes"
	"net"

	"confd/raftkv/tree"
	"confd/raftkv/v2http/http1"
)

// A poll is a long poll whose connection http1's loop has: the loop waits for the client to
// go, and a sender is told of the event. So it costs no goroutine but that of its connection,
// and an event no waking up of one.
type poll struct {
	h       *Handler
	client  http1.Client
	watcher *tree.Watcher
	sender  *sender
	goOn    goOn
	reuse   bool // the client wants the connection back

	// Owned by who ends the answer.
	done  bool // nothing more comes from the watcher
	event bool // since there was an event
}

var _ http1.Late = (*poll)(nil)

// isPoll reports whether a query with a parameter wait asks for a long poll and nothing else,
// or is wrong: the loop takes no others.
func isPoll(query []byte) bool {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		name, _, _ := bytes.Cut(pair, []byte("="))
		switch string(name) {
		case "wait", "waitIndex", "recursive":
		default:
			return false
		}
	}
	return true
}

// watch answers a long poll whose watch has begun: with its event if that is there already,
// else with the head, and leaves the answer open.
func (p *plain) watch(h *Handler, x *exchange, r *http1.Request, client http1.Client) {
	w := x.resp.watcher
	select {
	case e, ok := <-w.C:
		p.sendWhole(h, x, r, client, e, ok)
		w.Close()
		return
	default:
	}
	x.read = h.appendHead(x.read[:0], r, &x.resp)
	if _, err := client.Write(x.read); err != nil {
		w.Close()
		return
	}
	l := &poll{h: h, client: client, watcher: w, sender: h.senders.pick(), goOn: p.goOn, reuse: !r.Close}
	if !h.watches.addPoll(l) {
		w.Close()
	}
	client.Leave(l)
	w.Notify(l.told)
}

// sendWhole sends the whole answer to a long poll, with the event if there is one.
func (p *plain) sendWhole(h *Handler, x *exchange, r *http1.Request, client http1.Client, e *tree.Event, ok bool) {
	if ok {
		x.resp.body = x.appendChunk(x.resp.body[:0], e)
	}
	x.resp.body = append(x.resp.body, lastChunk...)
	x.read = h.appendHead(x.read[:0], r, &x.resp)
	if x.send(r, client) && ok {
		h.meters.events.Add(1)
	}
}

// told has the sender end the answer. It is called when there is an event, or the watch has
// ended otherwise.
func (p *poll) told() {
	s := p.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	s.todo.polls = append(s.todo.polls, p)
	s.start()
}

// Ended forgets the poll.
func (p *poll) Ended(whole bool) {
	if whole && p.event {
		p.h.meters.events.Add(1)
	}
	p.h.watches.removePoll(p)
	if !p.done {
		p.watcher.Close()
	}
}

// Take goes on with the poll as with one that net/http has begun.
func (p *poll) Take(conn net.Conn, early []byte) {
	c := &watchConn{h: p.h, goOn: p.goOn, conn: conn, watcher: p.watcher, reuse: p.reuse, early: early}
	c.begin()
	p.h.watches.removePoll(p)
}

// end ends the answer to a poll, unless somebody else has.
func (r *round) end(p *poll) {
	r.poll = p
	p.client.End(p, r.ending)
	r.poll = nil
}

// endOf returns the rest of the answer to the poll that is being ended, and whether its
// connection is to end, too.
func (r *round) endOf() (b []byte, last bool) {
	p := r.poll
	e, ok := <-p.watcher.C
	p.done, p.event = true, ok
	if !ok {
		return []byte(lastChunk), p.h.watches.ending()
	}
	if !r.made || r.whole != e { // one event may end many
		r.events, r.made = append(r.events[:0], e), false
		r.x.resp.body = append(r.bytes(0), lastChunk...)
		r.whole = e
	}
	return r.x.resp.body, false
}
