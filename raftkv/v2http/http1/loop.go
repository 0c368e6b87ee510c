// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Handler answers requests. Its methods may be called concurrently.
type Handler interface {
	// Takes reports whether Serve answers r, whose body has not been read.
	Takes(r *Request) bool

	// Serve answers r by writing an answer, at once or in parts, to client. ctx ends when
	// the loop is closed, and not when the client goes.
	Serve(ctx context.Context, r *Request, client Client)
}

// A Client is who has sent a request.
type Client interface {
	// RemoteAddr returns the address that the connection came from.
	RemoteAddr() net.Addr

	// Write sends a part of the answer. If the client does not take it in
	// Config.StallTime, the connection ends; then, and if it is broken, there is an error,
	// for the rest of the answer as well.
	Write(part []byte) (int, error)

	// Leave leaves the answer that Serve gives open: somebody calls End, now or after Serve
	// has returned. Serve writes nothing more and does not call it again.
	Leave(late Late)

	// End ends the answer that was left open as late, if it is open still, with what rest
	// returns: the rest of the answer, which is not used once End has returned, and whether
	// the connection is to end with it. It calls late.Ended, or has it called when the
	// client has taken what it could not take at once. It may be called by any goroutine,
	// and does not wait for the client.
	End(late Late, rest func() (b []byte, last bool))

	// Close closes the connection. It may be called by any goroutine, and may have to wait
	// for Serve.
	Close()
}

// A Slot is where the answer to one request goes that Config.Begin has begun.
type Slot interface {
	// Fill gives the answer, once. It may be called by any goroutine, also before Begin has
	// returned, and waits for nothing.
	Fill(a Answer)
}

// An Answer is one that is there.
type Answer interface {
	// Append appends it to b, its head included. Of r it needs what AppendEnd does, and nothing
	// else is there. It is called once at most, by the goroutine that sends it, and does not wait.
	Append(r *Request, b []byte) []byte

	// Long reports whether Append takes long. It is called before that, and if so nobody else
	// waits for Append.
	Long() bool
}

// Config configures a Loop. All fields but those of Quick are needed.
type Config struct {
	Handler Handler

	// Quick appends the answer to a GET without a query, or with QuickQuery, to b, if that neither
	// waits nor takes long, and reports whether it does; if not, Serve is called. Others wait for
	// it meanwhile. If it is set, and there are Crowd connections or more, those with such requests
	// share goroutines, as far as the system has a way for that.
	Quick      func(r *Request, b []byte) ([]byte, bool)
	QuickQuery string
	Crowd      int

	// Begin begins to answer a PUT, POST or DELETE that is all there, and reports whether it does; if
	// not, Serve is called. Others wait for it meanwhile, but not for slot to be filled. r and what it
	// refers to are of no use when Begin has returned. It may be nil, and matters only with Quick.
	Begin func(r *Request, slot Slot) bool

	// HandOver gives a connection without deadlines to another server. early is what has
	// been read of it, nil if nothing. It reports false if that server takes no more.
	HandOver func(conn net.Conn, early []byte) bool

	HeaderTime time.Duration // for the first request of a connection to come, and for the rest of a head
	BodyTime   time.Duration // for the rest of a body
	IdleTime   time.Duration // for the next request to begin
	StallTime  time.Duration // for the client to take a write

	Log *slog.Logger // panics of the handler
}

// A Loop serves connections. Its methods may be called concurrently.
type Loop struct {
	config  Config
	ctx     context.Context
	cancel  context.CancelFunc
	buffers sync.Pool // of *buffer
	bodies  sync.Pool // of *body
	dates   calendar

	mu      sync.Mutex
	conns   map[*conn]struct{}
	ending  atomic.Bool // set under mu
	running sync.WaitGroup

	crowds  []*crowd     // guarded by mu: one for each processor; some may be nil or have ended
	joined  int          // guarded by mu: how many connections have
	members atomic.Int32 // of all crowds
	alone   atomic.Int32 // how many conns there are
}

// buffer is what a connection reads into.
type buffer [MaxHead]byte

// New returns a loop without connections. How many processors there are is found out here: for as
// long as files are written, Go may be told of more.
func New(config Config) *Loop {
	l := &Loop{config: config, conns: make(map[*conn]struct{}), crowds: make([]*crowd, runtime.GOMAXPROCS(0))}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.buffers.New = func() any { return new(buffer) }
	l.bodies.New = func() any { return new(body) }
	return l
}

// Listener returns a listener whose Accept serves connections of ln. It returns one only if
// that speaks TLS, which is another server's, and the errors of ln. Whoever calls Accept
// until there is an error serves both kinds.
func (l *Loop) Listener(ln net.Listener) net.Listener { return &listener{ln, l} }

type listener struct {
	net.Listener
	loop *Loop
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		rwc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if _, ok := rwc.(*tls.Conn); ok {
			return rwc, nil
		}
		l.loop.serve(rwc)
	}
}

// serve serves a new connection in a goroutine of its own.
func (l *Loop) serve(rwc net.Conn) {
	if !l.add(&conn{loop: l, rwc: rwc, fd: -1}, l.config.HeaderTime) {
		rwc.Close()
	}
}

// Serve serves a connection that has had requests before and has no deadlines. early is what
// was read of it and not answered, which is copied. It reports false, and has done nothing, if
// that is too much, or the loop takes no new connections.
func (l *Loop) Serve(rwc net.Conn, early []byte) bool {
	if len(early) > MaxHead {
		return false
	}
	c := &conn{loop: l, rwc: rwc, fd: -1}
	if len(early) > 0 {
		c.acquire()
		c.end = copy(c.buf[:], early)
		c.state.Store(active)
	}
	c.findRaw()
	return l.add(c, l.config.IdleTime)
}

// add serves a connection in a goroutine of its own, unless the loop takes no new ones. It
// waits so long for the first request.
func (l *Loop) add(c *conn, wait time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending.Load() {
		return false
	}
	l.start(c, wait)
	return true
}

// start serves a connection in a goroutine of its own. The caller holds mu.
func (l *Loop) start(c *conn, wait time.Duration) {
	l.conns[c] = struct{}{}
	l.alone.Store(int32(len(l.conns)))
	l.running.Go(func() { c.serve(wait) })
}

func (l *Loop) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.alone.Store(int32(len(l.conns)))
}

// Shutdown closes connections that wait for a request, and waits until the requests under
// way on the others are answered, which ends those too. So whoever has left answers open has to
// end them meanwhile, and to fill the slots of those that were begun. Its error is ctx's, if that
// ends first. It does nothing to connections that were handed over, nor to listeners.
func (l *Loop) Shutdown(ctx context.Context) error {
	l.end(func(c *conn) { c.closeIdle() })
	done := make(chan struct{})
	go func() { // ends with the last connection
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes all connections, and the context of requests under way. It waits for
// nothing.
func (l *Loop) Close() {
	l.cancel()
	l.end(func(c *conn) {
		if !c.closeIdle() {
			// This waits for the handler, if that is called by RawConn.Read.
			l.running.Go(func() { c.rwc.Close() })
		}
	})
}

// end takes no new connections from here on, and has each of those that there are ended.
func (l *Loop) end(each func(*conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending.Store(true)
	for c := range l.conns {
		each(c)
	}
	for _, c := range l.crowds {
		if c != nil {
			c.end()
		}
	}
}
