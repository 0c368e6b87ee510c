// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"confd/backends/backendtest"
	"confd/raftkv/client"
)

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Harness {
		s := newServer(t)
		s.start()
		p := newProxy(t, strings.TrimPrefix(s.url, "http://"))
		c := s.client()
		t.Cleanup(c.Close)
		ctx := context.Background()
		return backendtest.Harness{
			Backend: open(t, Config{Nodes: []string{p.addr()}}),
			Set: func(key, value string) error {
				_, err := c.Set(ctx, key, value, client.SetOptions{})
				return err
			},
			Delete: func(key string) error {
				_, err := c.Delete(ctx, key, client.DeleteOptions{Recursive: true})
				return err
			},
			Wipe: func() error {
				s.stop()
				s.wipe()
				s.start()
				return nil
			},
			Stop: func() error {
				s.stop()
				return nil
			},
			Start: func() error {
				s.start()
				return nil
			},
			Cut: func() error {
				p.cut()
				return nil
			},
			Precise: true,
		}
	})
}

// A proxy passes TCP connections on to a server, and can cut them.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// cut closes the connections there are.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	clear(p.conns)
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(in, out) })
		p.wg.Go(func() { p.pass(out, in) })
	}
}

func (p *proxy) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	from.Close()
	to.Close()
	p.mu.Lock()
	delete(p.conns, from)
	p.mu.Unlock()
}
