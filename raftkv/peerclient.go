// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errUnreachable means that a request has not been sent.
var errUnreachable = errors.New("node is not reached")

// errAnswerLost means that a request was sent and its answer will not come.
var errAnswerLost = errors.New("the connection broke before the answer came")

// muteTime is how long nothing may come on a connection on which answers are due: a node
// that is slow still answers something.
const muteTime = 2 * time.Second

// redialPause is how long a node that could not be reached is not dialled again.
const redialPause = 100 * time.Millisecond

// A peerClient sends requests to one other node, over one connection that is made when
// it is needed. Its methods may be called concurrently.
type peerClient struct {
	dial  dialFunc
	limit int               // largest payload of an answer
	lost  func()            // called when the connection has broken; may be nil
	noted func(note []byte) // called with each commit note that comes, and must not wait; may be nil

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	conn     *peerConn     // nil until the first
	dialling chan struct{} // closed when it has ended; nil: nobody dials
	failed   error         // how the last dial ended
	failedAt time.Time
	closed   bool
	probing  bool
}

// A dialFunc makes a connection, with the hello made. It returns the version of the protocol
// that both speak.
type dialFunc func(ctx context.Context) (net.Conn, int, error)

func newPeerClient(limit int, dial dialFunc) *peerClient {
	p := &peerClient{dial: dial, limit: limit}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// A peerConn is a connection and the requests on it.
type peerConn struct {
	net.Conn
	protocol int // that both speak

	writing turn
	w       *bufio.Writer // owned by who has the turn

	received atomic.Int64 // when a frame came last, or the connection was made: Unix nanoseconds

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]*answer // :: number of the request
	broken  bool               // nothing more can be sent
}

// An answer is what a request waits for.
type answer struct {
	c     chan frame // of capacity one; closed when the connection has broken
	parts []byte     // that have come; owned by the reader
}

// notTaken stands for an answer: the other node ends and has not looked at the request.
var notTaken = frame{kind: kindGoodbye}

// call sends a request and waits for its answer. The error is errUnreachable if it was
// not sent, errAnswerLost or ctx's if the answer does not come, or what the other node
// has answered.
func (p *peerClient) call(ctx context.Context, kind byte, payload []byte) ([]byte, error) {
	c, err := p.connect(ctx)
	if turnedAway(err) {
		return nil, &wireError{err.Error(), []error{errUnreachable, err}} // reached, and nothing was sent
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	number, a := c.expect()
	if a == nil {
		return nil, fmt.Errorf("%w: the connection has broken", errUnreachable)
	}
	defer c.forget(number)
	began := time.Now()
	switch err := c.send(ctx, frame{number, kind, payload}); {
	case errors.Is(err, errUnreachable):
		return nil, err
	case err != nil:
		c.Close()
		return nil, fmt.Errorf("%w: %w", errAnswerLost, err)
	}
	select {
	case f, ok := <-a.c:
		switch {
		case !ok:
			return nil, errAnswerLost
		case f.kind == kindGoodbye:
			return nil, fmt.Errorf("%w: it is about to end", errUnreachable)
		case f.kind == kindError:
			_, err := readError(f.payload)
			return nil, err
		}
		return f.payload, nil
	case <-ctx.Done():
		if last := time.Unix(0, c.received.Load()); time.Since(last) > muteTime && time.Since(began) > muteTime/4 {
			c.Close() // nothing comes any more, so the next request tries another connection
		}
		return nil, fmt.Errorf("waiting for the answer of another node: %w", context.Cause(ctx))
	}
}

// connect returns the connection, and makes one if there is none. All who wait for one
// wait for the same.
func (p *peerClient) connect(ctx context.Context) (*peerConn, error) {
	for {
		c, dialled, err := p.current()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-dialled:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// current returns the connection, or what is closed when a dial has ended, or why there
// is none.
func (p *peerClient) current() (*peerConn, chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, nil, ErrClosed
	case p.conn != nil && !p.conn.isBroken():
		return p.conn, nil, nil
	case p.dialling != nil:
	case p.failed != nil && time.Since(p.failedAt) < redialPause:
		return nil, nil, p.failed
	default:
		p.dialling = make(chan struct{})
		p.wg.Go(p.redial)
	}
	return nil, p.dialling, nil
}

// connected reports whether there is a connection that is not known to have broken.
func (p *peerClient) connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn != nil && !p.conn.isBroken()
}

func (p *peerClient) redial() {
	ctx, cancel := context.WithTimeout(p.ctx, sniffTimeout)
	defer cancel()
	conn, protocol, err := p.dial(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.dialling)
	p.dialling = nil
	p.failed, p.failedAt = err, time.Now()
	switch {
	case err != nil:
	case p.closed:
		conn.Close()
	default:
		c := &peerConn{Conn: conn, protocol: protocol, writing: newTurn(), w: bufio.NewWriterSize(conn, 64<<10), waiting: make(map[uint64]*answer)}
		c.received.Store(time.Now().UnixNano())
		p.conn = c
		p.wg.Go(func() {
			c.read(p.limit, p.noted)
			if p.lost != nil {
				p.lost()
			}
		})
	}
}

// close ends the connection and waits for its goroutines.
func (p *peerClient) close() {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	if p.conn != nil {
		p.conn.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// read hands out the answers until the connection breaks, and the commit notes.
func (c *peerConn) read(limit int, noted func([]byte)) {
	r := bufio.NewReaderSize(c.Conn, 64<<10)
	for {
		f, err := readFrame(r, limit)
		if err != nil {
			break
		}
		c.received.Store(time.Now().UnixNano())
		switch {
		case f.kind == kindGoodbye:
			c.goodbye(f.number)
			continue
		case f.kind == kindCommit && noted != nil && c.protocol >= noteProtocol:
			noted(f.payload)
			continue
		}
		c.handOut(f)
	}
	c.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for _, a := range c.waiting {
		close(a.c)
	}
	c.waiting = nil
}

// handOut gives an answer, or a part of one, to who waits for it.
func (c *peerConn) handOut(f frame) {
	c.mu.Lock()
	a := c.waiting[f.number]
	if f.kind != kindPart {
		delete(c.waiting, f.number)
	}
	c.mu.Unlock()
	switch {
	case a == nil:
	case f.kind == kindPart:
		a.parts = append(a.parts, f.payload...)
	default:
		if len(a.parts) > 0 {
			f.payload = append(a.parts, f.payload...)
		}
		a.c <- f
	}
}

// goodbye ends the requests after the last that the other node has taken.
func (c *peerConn) goodbye(last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for number, a := range c.waiting {
		if number > last {
			a.c <- notTaken
			delete(c.waiting, number)
		}
	}
}

func (c *peerConn) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// expect returns the number of a new request and where its answer will be; nil if the
// connection has broken.
func (c *peerConn) expect() (uint64, *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return 0, nil
	}
	c.number++
	a := &answer{c: make(chan frame, 1)}
	c.waiting[c.number] = a
	return c.number, a
}

func (c *peerConn) forget(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, number)
}

// send writes a frame; it has not begun if the error is errUnreachable. A node that takes
// nothing for sendTimeout has gone.
func (c *peerConn) send(ctx context.Context, f frame) error {
	const sendTimeout = 10 * time.Second
	if err := c.writing.take(ctx); err != nil {
		return fmt.Errorf("%w: waiting for others to send: %w", errUnreachable, err)
	}
	defer c.writing.give()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: waiting for others to send: %w", errUnreachable, err)
	}
	// A frame that is cut short ends the connection, with all that is under way on it. So
	// one whose caller has little time left is not hurried.
	deadline := time.Now().Add(sendTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		if deadline = d; time.Until(d) < muteTime {
			deadline = time.Now().Add(muteTime)
		}
	}
	c.SetWriteDeadline(deadline)
	if err := writeFrame(c.w, f); err != nil {
		return err
	}
	return c.w.Flush()
}
