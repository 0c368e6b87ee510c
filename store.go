// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
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

// A store is the embedded store: one node, and the ports it is reached by.
type store struct {
	node      *raftkv.Node
	handler   *v2http.Handler
	door      *door
	url       string // that the client API is advertised by
	listeners []listener
	servers   []server
	serving   sync.WaitGroup
	end       context.CancelFunc // ends what runs beside the ports
	fail      func(error)        // told why the store cannot go on
}

// A server serves one port.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// A listener is one that the client API is served on.
type listener struct {
	net.Listener
	secure bool
}

// String returns its address as a URL.
func (l listener) String() string {
	return endpoint{listen{secure: l.secure}.scheme(), l.Addr().String()}.String()
}

// openNode opens the node of the data directory. clientURL is what other nodes are told.
func (p *program) openNode(ctx context.Context, clientURL string) (*raftkv.Node, error) {
	return openWith(ctx, p, raftkv.Open, clientURL)
}

// openReader opens the store of the data directory to look at it once. clientURL is what
// other nodes are told, if it takes a node to read it.
func (p *program) openReader(ctx context.Context, clientURL string) (*raftkv.Reader, error) {
	return openWith(ctx, p, raftkv.OpenReader, clientURL)
}

// openWith opens what is in the data directory by a function of package raftkv.
func openWith[T any](ctx context.Context, p *program, open func(context.Context, raftkv.Config) (*T, error), clientURL string) (*T, error) {
	p.warnOfEtcdData()
	peerTLS, err := p.openTLS("peer-", raftkv.TLSFiles{Cert: p.PeerCertFile, Key: p.PeerKeyFile, CA: p.PeerCAFile})
	if err != nil {
		return nil, err
	}
	node, err := open(ctx, raftkv.Config{
		Name:              p.Name,
		Version:           version,
		Peers:             p.net.peers,
		Discover:          p.findCluster,
		DataDir:           filepath.Join(p.DataDir, "store"),
		PeerAddr:          p.net.peer.addr,
		AdvertisePeerAddr: p.net.peerHost,
		PeerTLS:           peerTLS,
		ClientURL:         clientURL,
		MaxValue:          p.MaxValue,
		SnapshotCount:     uint64(p.SnapshotCount),
		ElectionTimeout:   p.electionTimeout(),
		Cluster: raftkv.ClusterConfig{
			ActiveSize:   p.ClusterActiveSize,
			RemoveDelay:  seconds(p.ClusterRemoveDelay),
			SyncInterval: seconds(p.ClusterSyncInterval),
		},
		Log: p.log,
	})
	switch {
	case errors.Is(err, raftkv.ErrLocked):
		return nil, hint(err, "a confd is running on it; to render from that one use -backend etcd -node %s", defaultEtcdNode)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, hint(err, "another confd or etcd may be running; choose another address with -peer-addr")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, hint(err, "the address is not one of this machine; choose another with -peer-bind-addr")
	case errors.Is(err, raftkv.ErrPeerURLExists) && isLoopback(p.peerAddr()) && elsewhere(p.net.peers):
		return nil, hint(fmt.Errorf("opening the store: %w", err), "%s means this machine on every machine; set -peer-addr to an address that the other nodes reach it by", p.peerAddr())
	case err != nil:
		return nil, storeHint(fmt.Errorf("opening the store: %w", err))
	}
	return node, nil
}

// openTLS reads the files of one port, nil if there are none. Its error names the
// options, which begin with prefix.
func (p *program) openTLS(prefix string, files raftkv.TLSFiles) (*raftkv.TLS, error) {
	if files.Cert == "" {
		return nil, nil
	}
	t, err := raftkv.OpenTLS(files, p.log)
	if err != nil {
		names := fmt.Sprintf("-%[1]scert-file, -%[1]skey-file", prefix)
		if files.CA != "" {
			names += fmt.Sprintf(", -%sca-file", prefix)
		}
		return nil, fmt.Errorf("%s: %w", names, err)
	}
	return t, nil
}

// warnOfEtcdData warns if the data directory holds what an etcd has left there, and no
// store of ours yet: it is not read.
func (p *program) warnOfEtcdData() {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(p.DataDir, name))
		return err == nil
	}
	if !has("store") && (has("member") || has("conf") && has("log")) {
		p.log.Warn("the data directory holds the data of an etcd; it is left alone and not read", "dir", p.DataDir)
	}
}

// openStore opens the store and serves it. fail is called, from another goroutine, if
// it cannot go on later.
func (p *program) openStore(ctx context.Context, fail func(error)) (_ *store, err error) {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	st := &store{door: new(door), end: end, fail: fail}
	defer func() {
		if err != nil {
			st.shutdown()
			st.serving.Wait()
		}
	}()
	p.warnOfLoopback(p.net.peers)
	if err := p.openDoor(ctx, st); err != nil {
		return nil, err
	}
	if st.node, err = p.openNode(ctx, st.url); err != nil {
		return nil, err
	}
	st.handler = v2http.New(st.node, v2http.Options{
		MaxValue: p.MaxValue, CORS: p.CORS, Pprof: p.EnablePprof, RedirectWrites: p.FollowerWrites == writesRedirect,
		Program: "confd " + version, Log: p.log,
	})
	st.door.open(st.handler)
	peer := v2http.Server(st.handler, p.log)
	peer.Handler = st.handler.Peer()
	st.serve(st.node.PeerHTTP(), peer)
	st.serving.Go(func() { st.guard(running) })
	if p.Etcd.Discovery != "" {
		st.serving.Go(func() { p.keepRegistered(running) })
	}
	return st, nil
}

// openDoor opens the ports of the client API, which serve that the node is not there yet.
func (p *program) openDoor(ctx context.Context, st *store) error {
	clientTLS, err := p.openTLS("", raftkv.TLSFiles{Cert: p.CertFile, Key: p.KeyFile, CA: p.CAFile})
	if err != nil {
		return err
	}
	for _, on := range p.net.client {
		l, err := p.listenClient(ctx, on, clientTLS)
		if err != nil {
			for _, l := range st.listeners {
				l.Close()
			}
			return err
		}
		st.listeners = append(st.listeners, l)
	}
	st.url = p.clientURL(st.listeners[0].Addr())
	for _, l := range st.listeners {
		st.serve(l, v2http.NewClientServer(st.door, p.log))
	}
	return nil
}

// listenClient opens one port of the client API.
func (p *program) listenClient(ctx context.Context, on listen, t *raftkv.TLS) (listener, error) {
	if !on.secure {
		t = nil
	}
	l, err := raftkv.Listen(ctx, on.addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return listener{}, hint(fmt.Errorf("opening the client port: %w", err),
			"another confd or etcd may be running: follow it with -backend etcd -node %s, or choose another address with -addr", endpoint{on.scheme(), reachable(on.addr)})
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return listener{}, hint(fmt.Errorf("opening the client port: %w", err),
			"the address is not one of this machine; choose another with -bind-addr")
	case err != nil:
		return listener{}, fmt.Errorf("opening the client port: %w", err)
	}
	return listener{t.Listener(l, p.log), on.secure}, nil
}

// serve serves one port until the store is closed.
func (st *store) serve(l net.Listener, srv server) {
	st.servers = append(st.servers, srv)
	st.serving.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			st.fail(fmt.Errorf("serving %s: %w", l.Addr(), err))
		}
	})
}

// guard waits for the node to fail, or for the store to be closed.
func (st *store) guard(ctx context.Context) {
	select {
	case <-st.node.Failed():
		st.fail(storeHint(fmt.Errorf("the store has failed: %w", st.node.Err())))
	case <-ctx.Done():
	}
}

// close ends the ports in order, then the node, and waits for all of it.
func (st *store) close() error {
	st.handler.EndWatches()
	st.shutdown()
	err := st.node.Close()
	st.serving.Wait()
	return err
}

// shutdown ends the ports, and waits for requests under way on them.
func (st *store) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	st.end()
	var ending sync.WaitGroup
	for _, srv := range st.servers {
		ending.Go(func() {
			if srv.Shutdown(ctx) != nil {
				srv.Close() // what is still under way is cut off
			}
		})
	}
	ending.Wait()
}

// clientURL returns how others are told to reach the client API, which listens on addr:
// by the address to advertise, unless that leaves the host or the port open.
func (p *program) clientURL(addr net.Addr) string {
	u := p.net.clientURL
	host, port, _ := net.SplitHostPort(u.host)
	if _, actual, err := net.SplitHostPort(addr.String()); err == nil && port == "0" {
		port = actual
	}
	return endpoint{u.scheme, reachable(net.JoinHostPort(host, port))}.String()
}

// reachable returns an address that this machine can dial for one to listen on.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
