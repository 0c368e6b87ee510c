// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"confd/raftkv"
	"confd/raftkv/v2http"
)

// closeTimeout bounds how long the store's ports wait for requests under way when confd
// ends.
const closeTimeout = 3 * time.Second

// A store is the embedded store: one node, and the two ports it is reached by.
type store struct {
	node    *raftkv.Node
	client  net.Listener // nil if the store is not served
	servers []*http.Server
	serving sync.WaitGroup
	closing chan struct{}
	fail    func(error) // told why the store cannot go on
}

// openNode opens the node of the data directory. clientURL is what other nodes are told.
func (p *program) openNode(ctx context.Context, clientURL string) (*raftkv.Node, error) {
	node, err := raftkv.Open(ctx, raftkv.Config{
		Name:      p.Name,
		DataDir:   filepath.Join(p.DataDir, "store"),
		PeerAddr:  p.PeerAddr,
		ClientURL: clientURL,
		MaxValue:  p.MaxValue,
		Log:       p.log,
	})
	switch {
	case errors.Is(err, raftkv.ErrLocked):
		return nil, hint(err, "a confd is running on it; to render from that one use -backend etcd -node %s", defaultEtcdNode)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, hint(err, "another confd or etcd may be running; choose another address with -peer-addr")
	case err != nil:
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return node, nil
}

// openStore opens the store and serves it. fail is called, from another goroutine, if
// it cannot go on later.
func (p *program) openStore(ctx context.Context, fail func(error)) (*store, error) {
	var lc net.ListenConfig
	client, err := lc.Listen(ctx, "tcp", p.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hint(fmt.Errorf("opening the client port: %w", err),
			"another confd or etcd may be running: follow it with -backend etcd -node http://%s, or choose another address with -addr", p.Addr)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the client port: %w", err)
	}
	node, err := p.openNode(ctx, clientURL(client.Addr()))
	if err != nil {
		client.Close()
		return nil, err
	}
	st := &store{node: node, client: client, closing: make(chan struct{}), fail: fail}
	handler := v2http.New(node, v2http.Options{MaxValue: p.MaxValue, Log: p.log})
	st.serve(client, v2http.Server(handler, p.log))
	peer := v2http.Server(handler, p.log)
	peer.Handler = peerOnly(handler)
	st.serve(node.PeerHTTP(), peer)
	st.serving.Go(st.guard)
	return st, nil
}

// peerOnly passes on what the peer port answers over HTTP.
func peerOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve serves one port until the store is closed.
func (st *store) serve(l net.Listener, srv *http.Server) {
	st.servers = append(st.servers, srv)
	st.serving.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			st.fail(fmt.Errorf("serving %s: %w", l.Addr(), err))
		}
	})
}

// guard waits for the node to fail, or for the store to be closed.
func (st *store) guard() {
	select {
	case <-st.node.Failed():
		st.fail(fmt.Errorf("the store has failed: %w", st.node.Err()))
	case <-st.closing:
	}
}

// close ends the ports in order, then the node, and waits for all of it.
func (st *store) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	close(st.closing)
	var ending sync.WaitGroup
	for _, srv := range st.servers {
		ending.Go(func() {
			if srv.Shutdown(ctx) != nil {
				srv.Close() // what is still under way is cut off
			}
		})
	}
	ending.Wait()
	err := st.node.Close()
	st.serving.Wait()
	return err
}

// clientURL returns how a client on this machine reaches the client port.
func clientURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port)
}
