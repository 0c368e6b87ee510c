// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// recordHandshake is the first byte that a TLS client sends.
const recordHandshake = 0x16

const (
	refuseTimeout = time.Second // to tell a plain client that it should speak TLS
	refuseDrain   = 64 << 10    // bytes of its request that are read for that
)

// errWrongKind ends a connection whose client took the port for one of the other kind.
var errWrongKind = errors.New("client and port disagree about TLS")

// Listener returns a listener on top of ln for an HTTP server: its connections speak
// TLS with t, or no TLS if t is nil. They are *tls.Conn then, so that net/http makes the
// handshake, in the goroutine of the connection and with a deadline; Accept waits for
// nobody. A client that takes the port for one of the other kind is sent away: a plain
// one is told in an answer of 400 what to do, one with TLS is closed, and log is told at
// debug level.
func (t *TLS) Listener(ln net.Listener, log *slog.Logger) net.Listener {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &tlsListener{Listener: ln, log: log}
	if t != nil {
		l.config = t.server()
	}
	return l
}

type tlsListener struct {
	net.Listener
	config *tls.Config // nil: no TLS
	log    *slog.Logger
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	checked := &checkedConn{Conn: c, log: l.log, secure: l.config != nil}
	if l.config == nil {
		return checked, nil
	}
	return tls.Server(checked, l.config), nil
}

// A checkedConn looks at the first byte that comes. It is used by one reader.
type checkedConn struct {
	net.Conn
	log     *slog.Logger
	secure  bool // TLS is expected
	checked bool
}

func (c *checkedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.checked || n == 0 {
		return n, err
	}
	c.checked = true
	switch {
	case c.secure && isHTTP(b[0]):
		refusePlain(c.Conn, c.log)
		return 0, errWrongKind
	case !c.secure && b[0] == recordHandshake:
		refuseTLS(c.Conn, c.log)
		return 0, io.EOF // which net/http takes without a word
	}
	return n, err
}

// SyscallConn returns the connection by its descriptor, once there is nothing to look at any
// more. It is for the reader.
func (c *checkedConn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok || !c.checked {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}

// isHTTP reports whether a client that begins with b speaks HTTP: all methods begin with
// an upper-case letter.
func isHTTP(b byte) bool { return 'A' <= b && b <= 'Z' }

// refuseTLS tells the log that a client with TLS has met a port without.
func refuseTLS(c net.Conn, log *slog.Logger) {
	log.Debug("closed a connection: the client speaks TLS, this port does not", "from", c.RemoteAddr(), "to", c.LocalAddr())
}

// refusePlain answers an HTTP client on a port with TLS. The caller closes.
func refusePlain(c net.Conn, log *slog.Logger) {
	log.Debug("closed a connection: this port speaks TLS, the client does not", "from", c.RemoteAddr(), "to", c.LocalAddr())
	text := fmt.Sprintf("this port speaks TLS; use https://%s\n", c.LocalAddr())
	var answer bytes.Buffer
	fmt.Fprintf(&answer, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	c.SetDeadline(time.Now().Add(refuseTimeout))
	if _, err := c.Write(answer.Bytes()); err != nil {
		return
	}
	// With part of the request unread, closing would be a reset that can overtake the
	// answer.
	if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		io.CopyN(io.Discard, c, refuseDrain)
	}
}
