// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// A conn is one connection, on a socket that does not block.
type conn struct {
	fd    int
	index int // which of its Conns
	n     int // number of the request it has sent
	busy  bool
	begun time.Time
	out   []byte // the request
	sent  int    // how much of it is
	asks  bool   // whether epoll tells when it can be written to
	reader
}

// dial connects to an address, and registers the connection with epoll.
func dial(epoll int, addr netip.AddrPort, index int) (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	c := &conn{fd: fd, index: index}
	err = errors.Join(
		syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
		syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, c.event(syscall.EPOLLIN)),
	)
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("connecting to %v: %w", addr, err)
	}
	return c, nil
}

func (c *conn) event(events uint32) *syscall.EpollEvent {
	return &syscall.EpollEvent{Events: events, Fd: int32(c.index)}
}

// close ends the connection at once, so that it leaves no port behind that waits.
func (c *conn) close() {
	syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	syscall.Close(c.fd)
}

// send sends what is left of the request as far as the socket takes it.
func (c *conn) send(epoll int) error {
	for c.sent < len(c.out) {
		n, err := rawWrite(c.fd, c.out[c.sent:])
		switch err {
		case nil:
			c.sent += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return c.ask(epoll, true)
		default:
			return fmt.Errorf("sending: %w", err)
		}
	}
	return c.ask(epoll, false)
}

// ask sets whether epoll is to tell when there is room to send.
func (c *conn) ask(epoll int, want bool) error {
	if c.asks == want {
		return nil
	}
	c.asks = want
	events := uint32(syscall.EPOLLIN)
	if want {
		events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_MOD, c.fd, c.event(events))
}

// receive reads once what has come, and says whether there was anything. The error is
// io.ErrUnexpectedEOF if the server has closed the connection.
func (c *conn) receive() (bool, error) {
	n, err := rawRead(c.fd, c.space())
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("receiving: %w", err)
	case n == 0:
		return false, io.ErrUnexpectedEOF
	}
	c.in = c.in[:len(c.in)+n]
	return true, nil
}

// errSilence is that of wait if nothing comes for too long.
var errSilence = fmt.Errorf("nothing has come for %v", silence)

// wait waits until connections are ready, sends on what they had to send, and has got called
// with each that has received something.
func (c *Conns) wait(got func(*conn) error) error {
	n, err := rawWait(c.epoll, c.events, int(silence.Milliseconds()))
	switch {
	case err == syscall.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("epoll: %w", err)
	case n == 0:
		return errSilence
	}
	for _, event := range c.events[:n] {
		if err := c.ready(c.conns[event.Fd], event.Events, got); err != nil {
			return err
		}
	}
	return nil
}

// ready does what one of them is ready for.
func (c *Conns) ready(one *conn, events uint32, got func(*conn) error) error {
	if events&syscall.EPOLLOUT != 0 {
		if err := one.send(c.epoll); err != nil {
			return err
		}
	}
	if events&^uint32(syscall.EPOLLOUT) == 0 {
		return nil
	}
	if some, err := one.receive(); !some {
		return err
	}
	return got(one)
}
