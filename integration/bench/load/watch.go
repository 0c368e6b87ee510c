// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// openAtOnce is how many watches are asked for before the answers are waited for: fewer
// than a server lets wait to be accepted.
const openAtOnce = 100

// Watches are open watches and one connection that writes. They may not be used
// concurrently.
type Watches struct {
	c       *Conns // the first writes, the others watch
	addr    netip.AddrPort
	stream  bool
	opening int                 // watches without the headers of an answer
	event   func([]byte) error  // called for the connection current
	current *conn               // whose event it is
	at      time.Time           // when that has come
	request func([]byte) []byte // of a watch
}

// Watch returns watches, of which none is open yet, that are asked for by what request
// appends: streams of events, or polls that are asked for anew after each event. Writes
// go to the address. The caller closes them.
func Watch(addr string, stream bool, request func([]byte) []byte) (*Watches, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	c, err := Dial(addr, 0)
	if err != nil {
		return nil, err
	}
	c.conns = append(c.conns, &conn{fd: -1}) // see renew
	c.events = make([]syscall.EpollEvent, 256)
	return &Watches{c: c, addr: to, stream: stream, request: request}, nil
}

// renew makes the connection that writes, anew for each job: a server does not wait long for
// the first request of one, and it may take time to open many watches.
func (w *Watches) renew() error {
	c, err := dial(w.c.epoll, w.addr, 0)
	if err != nil {
		return err
	}
	w.c.conns[0].close()
	w.c.conns[0] = c
	return nil
}

// Close closes all connections.
func (w *Watches) Close() { w.c.Close() }

// Open opens n more watches at a server, and returns when it has them.
func (w *Watches) Open(ctx context.Context, addr string, n int) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	w.event = func([]byte) error { return errors.New("an event without a write") }
	for i := range n {
		c, err := dial(w.c.epoll, to, len(w.c.conns))
		if err != nil {
			return err
		}
		w.c.conns = append(w.c.conns, c)
		if err := w.ask(c); err != nil {
			return err
		}
		for w.opening > 0 && (w.opening == openAtOnce || i == n-1) {
			if err := w.wait(ctx); err != nil {
				return fmt.Errorf("%d watches open: %w", len(w.c.conns)-1-w.opening, err)
			}
		}
	}
	return nil
}

// ask sends the request of a watch.
func (w *Watches) ask(c *conn) error {
	c.reset()
	c.busy = true
	w.opening++
	c.out, c.sent = w.request(c.out[:0]), 0
	return c.send(w.c.epoll)
}

// wait waits for what watches get, and for the answer to a write if the first connection
// has sent one.
func (w *Watches) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.c.wait(w.serve)
}

// serve goes on with a connection that has got something.
func (w *Watches) serve(c *conn) error {
	w.current, w.at = c, time.Now()
	if c.index == 0 {
		return w.event(nil)
	}
	had := c.head > 0
	done, err := c.parse()
	if err != nil {
		return err
	}
	if !had && c.head > 0 {
		w.opening--
		if c.resp.Status != 200 {
			return fmt.Errorf("a watch is answered with status %d", c.resp.Status)
		}
	}
	return w.take(c, done)
}

// take hands out the events that have come. An answer that is done is the event of a
// poll, and the end of a stream, which is an error.
func (w *Watches) take(c *conn, done bool) error {
	switch {
	case w.stream && done:
		return errors.New("the server has ended a stream")
	case w.stream:
		return c.lines(w.event)
	case !done:
		return nil
	}
	if err := w.event(c.resp.Body); err != nil {
		return err
	}
	return w.ask(c)
}

// lines hands out the lines that are complete in the chunks that have come, and forgets
// them.
func (r *reader) lines(each func([]byte) error) error {
	if r.head == 0 {
		return nil
	}
	from := r.head
	for from < r.end {
		i := bytes.IndexByte(r.in[from:r.end], '\n')
		if i < 0 {
			break
		}
		if err := each(r.in[from : from+i]); err != nil {
			return err
		}
		from += i + 1
	}
	r.end = r.head + copy(r.in[r.head:], r.in[from:r.end])
	rest := copy(r.in[r.end:], r.in[r.next:])
	r.next = r.end
	r.in = r.in[:r.end+rest]
	return nil
}

// Writes is a job for watches: writes that follow each other, each of which has an event
// at every one of the first Watchers.
type Writes struct {
	Request func(buf []byte, n int) []byte
	Check   func(conn, n int, r *Response) error
	Event   func(n int, event []byte) error // what is wrong with the event of write n

	Watchers int
	Window   int // so many writes may have events on the way

	Total int           // ends after so many writes, or if it is 0:
	For   time.Duration // how long is measured, after a tenth of that to warm up
	Mark  func() error  // called when the measurement begins, and when it has ended
}

// Seen is what was measured of writes and their events.
type Seen struct {
	Writes, Events int
	Took           time.Duration
	Woken          *Histogram // from sending a write to its last event
	After          *Histogram // from the answer to a write to its last event, 0 if that came before
	CPU            time.Duration
}
