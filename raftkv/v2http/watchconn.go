// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"confd/raftkv/tree"
)

const (
	// burst is how many bytes of events a stream sends at once.
	burst = 16 << 10

	// maxEarly is how many bytes a client may send while its watch is open.
	maxEarly = 16 << 10

	// endGrace is how long EndWatches lets a client take the end of its watch.
	endGrace = time.Second
)

// A watchConn is the connection of an open watch over HTTP/1.1, taken from net/http when the
// headers are sent. There it would keep 10 KiB of buffers, a stack of 8 KiB and the request;
// here it has two small goroutines, and a stream over plain TCP one. After the watch a server
// gets it, for the next request: http1's loop, or net/http if there is none or it is over TLS.
// Most long polls are the loop's from the beginning, see poll; it gives them to a watchConn when
// their clients send more before the event.
//
//	read   waits for the client to go, or to send more
//	send   waits for events, sends them, and finishes the connection; see sender for
//	       streams over plain TCP
//
// read has ended before the last bytes are sent: else it might take the beginning of the
// next request, and a TLS connection can only be given back whole.
type watchConn struct {
	h       *Handler
	goOn    goOn
	conn    net.Conn
	watcher *tree.Watcher
	stream  bool
	reuse   bool // the client wants the connection back

	// Of a stream over plain TCP; sender is nil of others. Who has the connection, the sender
	// or if it is busy a goroutine of its own, sets watcher, with sender.mu held.
	raw    syscall.RawConn
	sender *sender
	feed   *feed  // owned by the sender; nil if it has none
	pos    int    // in the feed's list
	from   uint64 // it has the events up to this index, though its watcher may have them, too
	busy   bool   // guarded by sender.mu
	ending bool   // guarded by sender.mu: end was called

	reading sync.WaitGroup
	next    [1]byte // owned by read

	// Written by read, and for send when that has ended.
	early []byte // what the client has sent beyond its request
	gone  bool
}

// takeOver makes a watchConn of a request whose headers have been sent, if its
// connection can be had. Otherwise it reports false, and nothing has happened.
func (h *Handler) takeOver(w http.ResponseWriter, r *http.Request, watcher *tree.Watcher, stream bool) bool {
	if r.Method != http.MethodGet || r.Body != http.NoBody || r.ProtoMajor != 1 || r.ProtoMinor < 1 {
		return false // no chunked body, or something else to read
	}
	goOn := goOnOf(r.Context())
	if goOn == nil {
		return false
	}
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	c := &watchConn{h: h, goOn: goOn, conn: conn, watcher: watcher, stream: stream, reuse: !r.Close}
	c.early = buffered(buf.Reader)
	c.begin()
	return true
}

// begin has the connection served.
func (c *watchConn) begin() {
	if c.stream {
		c.h.senders.assign(c)
	}
	if !c.h.watches.add(c) {
		c.end()
	}
	c.reading.Go(c.read)
	if c.sender == nil || !c.handBack() {
		go c.send()
	}
}

// buffered returns a copy of what lies in b.
func buffered(b *bufio.Reader) []byte {
	if b.Buffered() == 0 {
		return nil
	}
	early := make([]byte, b.Buffered())
	_, _ = io.ReadFull(b, early) // from memory
	return early
}

// read waits for the client to go, or for send to stop it, and keeps what the client
// sends meanwhile. Who sends more than fits is taken to be gone.
func (c *watchConn) read() {
	buf := c.next[:] // most send nothing
	for {
		n, err := c.conn.Read(buf)
		c.early = append(c.early, buf[:n]...)
		if err != nil || len(c.early) > maxEarly {
			c.gone = !errors.Is(err, os.ErrDeadlineExceeded)
			break
		}
		if len(buf) == len(c.next) {
			buf = make([]byte, 512)
		}
	}
	if c.gone {
		c.end()
	}
}

// giveBack has a server go on with the connection. It reports whether one does.
func (c *watchConn) giveBack() bool {
	return c.conn.SetDeadline(time.Time{}) == nil && c.goOn(c.conn, c.early)
}

// send sends the events and the end of the answer, and finishes the connection.
func (c *watchConn) send() { c.finish(c.sendEvents()) }

// finish finishes the connection; whole means that the client has taken the whole answer.
func (c *watchConn) finish(whole bool) {
	defer c.h.watches.remove(c)
	c.watcher.Close()
	if !whole || !c.reuse || c.h.watches.ending() || !c.giveBack() {
		c.conn.Close()
		c.reading.Wait()
	}
}

// lastChunk ends a chunked body.
const lastChunk = "0\r\n\r\n"

// sendEvents reports whether the client has taken the whole answer.
func (c *watchConn) sendEvents() bool {
	for e := range c.watcher.C {
		if !c.sendEvent(e) {
			return false
		}
		if !c.stream {
			return true
		}
	}
	return c.sendEnd()
}

// sendEnd sends the end of the answer. It reports whether the client has taken it.
func (c *watchConn) sendEnd() bool { return c.stopReading() && c.write([]byte(lastChunk)) }

// stopReading ends read. It reports whether the client is still there.
func (c *watchConn) stopReading() bool {
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	c.reading.Wait()
	return !c.gone
}

// sendEvent sends an event and, of a stream, those that have come since. It reports
// whether the client has taken them.
func (c *watchConn) sendEvent(e *tree.Event) bool {
	x := c.h.exchanges.Get().(*exchange)
	defer func() {
		x.reset()
		c.h.exchanges.Put(x)
	}()
	b := x.appendChunk(x.resp.body[:0], e)
	count := uint64(1)
	for len(b) < burst && c.stream && len(c.watcher.C) > 0 {
		e, ok := <-c.watcher.C
		if !ok {
			break
		}
		b = x.appendChunk(b, e)
		count++
	}
	if !c.stream {
		b = append(b, lastChunk...)
	}
	x.resp.body = b
	if !c.stream && !c.stopReading() || !c.write(b) {
		return false
	}
	c.h.meters.events.Add(count)
	return true
}

// appendChunk appends the event as one line in one chunk.
func (x *exchange) appendChunk(b []byte, e *tree.Event) []byte {
	x.read = append(tree.AppendEvent(x.read[:0], e), '\n') // the length comes first
	b = append(strconv.AppendInt(b, int64(len(x.read)), 16), "\r\n"...)
	return append(append(b, x.read...), "\r\n"...)
}

// write sends b. It reports whether the client has taken it.
func (c *watchConn) write(b []byte) bool {
	_ = c.conn.SetWriteDeadline(time.Now().Add(stallTime))
	_, err := c.conn.Write(b)
	return err == nil
}

// An earlyConn is a connection of which something has been read already.
type earlyConn struct {
	net.Conn
	early []byte // owned by the reader
}

func (c *earlyConn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
}

// A oneListener is a listener for one connection that is there already.
type oneListener struct {
	conn net.Conn // nil when it has been accepted
	addr net.Addr
}

var errOneListener = errors.New("the one connection was accepted")

func (l *oneListener) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, errOneListener
	}
	conn := l.conn
	l.conn, l.addr = nil, conn.LocalAddr()
	return conn, nil
}

func (l *oneListener) Close() error { return nil }

func (l *oneListener) Addr() net.Addr { return l.addr }
