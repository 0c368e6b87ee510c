// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package etcd is the backend that reads from any server of the etcd v2 HTTP API: a
// remote confd, etcd 0.4, 2.x, or 3.4 with --enable-v2.
//
//	b, err := etcd.Open(ctx, etcd.Config{Nodes: []string{"http://127.0.0.1:4001"}})
//
// # Model
//
// A Backend keeps a copy of what it was asked for, in memory. A mirror keeps one part
// of the copy, a key with everything below it, equal to the store: it opens a stream
// of events, then lists the keys, then applies the events that are newer than the
// list. When the stream ends for whatever reason (the connection is cut, the server
// is stopped, the store is restored or replaced, the reader was too slow) it begins
// anew, and tells waiters only of the keys that differ. So nothing is ever taken for
// continuous that may not be, and a lost history or an index that went back need no
// case of their own.
//
// Directories are not keys. Keys with a component that begins with "_" below the
// prefix are hidden, as in the listings of etcd.
//
// # One listing or a mirror
//
// The first Snapshot is one read and nothing else, which is all that a one-shot run
// with one group of resources needs. The second one, and Wait, begin to mirror.
//
// # Which parts
//
// Prefixes asked for are merged into their common parent, so that 1000 resources below
// "/services" cost one stream, and all of them render from one point in time. The root
// "/" is taken as a common parent only when there would be more than 8 mirrors
// otherwise. Where the user's role does not allow to read the common parent, the
// parts below it are mirrored apart. Snapshots over several mirrors are not one point
// in time. A prefix with a hidden component is merged only with others below that
// component, since no listing from above shows it.
//
// # Outages
//
// Snapshot fails, within DialTimeout plus RequestTimeout for each node, while the
// store has never been listed. Later on, the copy goes on to serve while the store is
// away, and Wait goes on to wait; then it is the log that tells when the store was lost
// and when it is back. A server that keeps its connections but has stopped or has lost its cluster is
// noticed by a small quorum read each minute.
//
// # Decisions
//
// The stream is opened before the list and without an index. With an index, etcd
// would have to look at its history, and all three generations do that wrong: a
// stream from the past stops after one event, 2.3 misses events of the watched
// directory itself, 0.4 misses the removal of its parent. The price is a listing
// after each reconnect.
//
// The Index of a snapshot counts the changes of the copy. It is never the store's
// index, which may go back.
//
// Listings are quorum reads, so a copy is never older than another one's answer. Etcd
// 0.4 (told by its lack of a cluster id) gives a wrong index with these; there the
// leader's own copy is read (consistent=true).
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"confd/backends"
	"confd/raftkv/client"
)

// Config says which store to read.
type Config struct {
	// Nodes are the client addresses of one cluster, as "host:port" or as URLs.
	Nodes []string

	// Scheme is for nodes without one: "http" or "https". Empty means https if one of the
	// fields for TLS is set, else http.
	Scheme string

	CertFile, KeyFile string // the client's certificate; read again for each connection
	CAFile            string // of the authorities to trust; empty means the system's
	Insecure          bool   // do not verify the server's certificate

	Username, Password string // for HTTP Basic authentication, if Username is not empty

	DialTimeout    time.Duration // zero means 5 seconds
	RequestTimeout time.Duration // zero means 5 seconds; see client.Config

	// RetryMin and RetryMax bound the pause before a lost store is tried again, which
	// doubles from one to the other. Zero means 100 ms and 10 s.
	RetryMin, RetryMax time.Duration

	// CheckInterval is the time between two checks that a silent server is still in
	// contact with its cluster. Zero means one minute.
	CheckInterval time.Duration

	Log *slog.Logger // nil discards
}

// errClosed is the error of a Backend after Close.
var errClosed = errors.New("the etcd backend is closed")

// A Backend reads from an etcd v2 store. It implements backends.Backend.
type Backend struct {
	cfg    Config
	client *client.Client
	log    *slog.Logger

	ctx    context.Context // ends with Close; of the mirrors' goroutines
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	used      bool               // a Snapshot or Wait was called
	following bool               // mirrors have goroutines
	asked     map[string]bool    // prefixes asked for that no other one covers
	denied    map[string]bool    // common parents that may not be read
	mirrors   map[string]*mirror // :: root → mirror; the roots cover asked and do not overlap
	values    *backends.Map      // the copy, of all mirrors
	news      news
	down      int       // mirrors that have lost the store
	downSince time.Time // when the first of them did
}

// Open returns a backend. It does not connect: the servers need not be up. ctx is not
// kept.
func Open(_ context.Context, cfg Config) (*Backend, error) {
	if cfg.RetryMin <= 0 {
		cfg.RetryMin = 100 * time.Millisecond
	}
	if cfg.RetryMax <= 0 {
		cfg.RetryMax = 10 * time.Second
	}
	cfg.RetryMax = max(cfg.RetryMax, cfg.RetryMin)
	if cfg.CheckInterval <= 0 {
		cfg.CheckInterval = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	tlsConfig, err := cfg.tls()
	if err != nil {
		return nil, fmt.Errorf("opening the etcd backend: %w", err)
	}
	nodes, err := cfg.nodes()
	if err != nil {
		return nil, fmt.Errorf("opening the etcd backend: %w", err)
	}
	c, err := client.New(client.Config{
		Endpoints: nodes, TLS: tlsConfig, Username: cfg.Username, Password: cfg.Password,
		DialTimeout: cfg.DialTimeout, RequestTimeout: cfg.RequestTimeout, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the etcd backend: %w", err)
	}
	b := &Backend{
		cfg: cfg, client: c, log: cfg.Log,
		asked: map[string]bool{}, denied: map[string]bool{}, mirrors: map[string]*mirror{},
		values: backends.NewMap(), news: newNews(),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b, nil
}

// Close ends the mirroring and waits until it has ended. Calls that wait return with an error.
func (b *Backend) Close() error {
	b.mu.Lock()
	b.closed = true
	b.cancel()
	b.mu.Unlock()
	b.wg.Wait()
	b.client.Close()
	return nil
}

// nodes returns the nodes with the scheme where they have none.
func (cfg Config) nodes() ([]string, error) {
	if cfg.Scheme != "" && cfg.Scheme != "http" && cfg.Scheme != "https" {
		return nil, fmt.Errorf("the scheme is %q; it must be http or https", cfg.Scheme)
	}
	nodes := make([]string, len(cfg.Nodes))
	for i, n := range cfg.Nodes {
		nodes[i] = n
		if _, _, err := net.SplitHostPort(n); err == nil && cfg.Scheme != "" && !strings.Contains(n, "://") {
			nodes[i] = cfg.Scheme + "://" + n
		}
	}
	return nodes, nil
}

// tls returns the TLS configuration, nil if nothing asks for TLS.
func (cfg Config) tls() (*tls.Config, error) {
	if cfg.CertFile == "" && cfg.KeyFile == "" && cfg.CAFile == "" && !cfg.Insecure && cfg.Scheme != "https" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.Insecure}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("a client certificate needs both its file and the file of its key; one is missing")
	}
	if cfg.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("loading the client certificate %q: %w", cfg.CertFile, err)
			}
			return &cert, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the authorities: no certificate in %q", cfg.CAFile)
		}
	}
	return t, nil
}
