// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"confd/raftkv/v2http/http1"
)

const (
	headerTime = 10 * time.Second
	idleTime   = 5 * time.Minute
	maxHeader  = 1 << 20
)

// Server returns a server for h: 10 s for the headers of a request, 5 minutes for an idle
// connection, 1 MB of headers, no limit on the time of an answer, which for a watch may be
// days. Shutdown ends the watches, if h is a Handler or has its EndWatches, and waits for
// everything else. log gets what net/http has to say about single connections; nil
// discards it.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if w, ok := h.(interface{ EndWatches() }); ok {
		srv.RegisterOnShutdown(w.EndWatches)
	}
	return srv
}

// A ClientHandler is what a ClientServer serves: a Handler, or what stands in front of one.
type ClientHandler interface {
	http.Handler

	// Keys returns the handler to answer key requests with, past ServeHTTP; nil if they
	// have to go through that as well, for now.
	Keys() *Handler

	// EndWatches ends the watches.
	EndWatches()
}

// Keys returns h.
func (h *Handler) Keys() *Handler { return h }

// A ClientServer serves the client port: plain key requests without TLS by a loop of
// http1, everything else by Server. Its methods are those of http.Server, and may be called
// concurrently.
type ClientServer struct {
	std  *http.Server
	loop *http1.Loop
}

// NewClientServer returns a server for h, with the times and limits of Server.
func NewClientServer(h ClientHandler, log *slog.Logger) *ClientServer {
	return newClientServer(h, log, crowd)
}

// newClientServer is NewClientServer for another number of connections that are a crowd.
func newClientServer(h ClientHandler, log *slog.Logger, crowd int) *ClientServer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &ClientServer{std: Server(h, log)}
	ctx := context.WithValue(context.Background(), goOnKey{}, goOn(s.goOn))
	s.std.BaseContext = func(net.Listener) context.Context { return ctx }
	p := &plain{h, s.goOn}
	s.loop = http1.New(http1.Config{
		Handler:    p,
		Quick:      p.Quick,
		QuickQuery: quickQuery,
		Begin:      p.Begin,
		Crowd:      crowd,
		HandOver:   func(conn net.Conn, early []byte) bool { return serveOn(s.std, conn, early) },
		HeaderTime: headerTime,
		BodyTime:   bodyTime,
		IdleTime:   idleTime,
		StallTime:  stallTime,
		Log:        log,
	})
	return s
}

// Serve serves the connections of l. It returns when that fails, or http.ErrServerClosed
// after Shutdown or Close.
func (s *ClientServer) Serve(l net.Listener) error {
	return s.std.Serve(s.loop.Listener(l))
}

// Shutdown ends the listeners, the watches and the connections that wait for a request, and
// waits for the requests under way on the others until ctx ends, whose error it returns
// then.
func (s *ClientServer) Shutdown(ctx context.Context) error {
	var loopErr error
	var ending sync.WaitGroup
	ending.Go(func() { loopErr = s.loop.Shutdown(ctx) })
	err := s.std.Shutdown(ctx)
	ending.Wait()
	return errors.Join(err, loopErr)
}

// Close ends the listeners and all connections.
func (s *ClientServer) Close() error {
	s.loop.Close()
	return s.std.Close()
}

// A goOn has a server go on with a connection without deadlines of which something has been
// read already. It reports whether one does.
type goOn func(conn net.Conn, early []byte) bool

// goOnKey is the key of a goOn in the context of a request.
type goOnKey struct{}

// goOnOf returns what goes on with the connection of a request with that context, nil if
// nothing does.
func goOnOf(ctx context.Context) goOn {
	if f, ok := ctx.Value(goOnKey{}).(goOn); ok {
		return f
	}
	srv, ok := ctx.Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	return func(conn net.Conn, early []byte) bool { return serveOn(srv, conn, early) }
}

// goOn has the loop go on with a connection if it can, else net/http.
func (s *ClientServer) goOn(conn net.Conn, early []byte) bool {
	conn, early = unwrap(conn, early)
	if _, ok := conn.(*tls.Conn); !ok && s.loop.Serve(conn, early) {
		return true
	}
	return serveOn(s.std, conn, early)
}

// serveOn has srv serve a connection of which something has been read already. It reports
// whether it does.
func serveOn(srv *http.Server, conn net.Conn, early []byte) bool {
	conn, early = unwrap(conn, early)
	if len(early) > 0 {
		if _, ok := conn.(*tls.Conn); ok {
			return false // in a wrapper the server would not see that it is TLS
		}
		conn = &earlyConn{Conn: conn, early: early}
	}
	// It returns as soon as it has the connection, with the listener's error.
	return errors.Is(srv.Serve(&oneListener{conn: conn}), errOneListener)
}

// unwrap returns the connection below a wrapper, and what was read of it. Else there would be
// one more wrapper after each watch.
func unwrap(conn net.Conn, early []byte) (net.Conn, []byte) {
	if e, ok := conn.(*earlyConn); ok {
		return e.Conn, append(early, e.early...)
	}
	return conn, early
}
