// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package client is a client of the etcd v2 HTTP API: of confd's own store, of etcd
// 0.4, 2.x, and 3.4 with --enable-v2.
//
//	c, err := client.New(client.Config{Endpoints: []string{"127.0.0.1:4001"}})
//	r, err := c.Get(ctx, "/services", client.GetOptions{Recursive: true, Quorum: true})
//
// # Endpoints
//
// A client stays with the endpoint that answered last, because a server's own copy may
// be older than another's. When the endpoint cannot be reached, does not answer in
// time, or answers with a status of 5xx, the next one is asked. A read is tried on
// each endpoint once. A write is tried elsewhere only if it certainly was not carried
// out; otherwise the error is an [ErrOutcomeUnknown].
//
// # Silent connections
//
// A connection whose other end has vanished is found by TCP keepalive within about 35
// seconds, also under an open watch. A server that is stopped but whose machine still
// answers is not noticed by a watch: whoever must know asks something else now and then.
//
// # Decisions
//
// A watch with an index is made of long polls, also when a stream is asked for: etcd
// answers such a stream once from its history and then never again.
//
// Redirects are followed by hand, and only 307 and 308: Go's client would repeat a
// redirected PUT as a GET after a 301, and the write would be lost without an error.
// The password goes to the configured endpoints only, not where a redirect leads.
//
// The connection speaks HTTP/1.1 only: one watch to a connection, so that one slow
// reader holds up nothing else, and keepalive has one meaning.
package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// The defaults of Config.
const (
	DefaultDialTimeout    = 5 * time.Second
	DefaultRequestTimeout = 5 * time.Second
	DefaultMaxResponse    = 512 << 20
)

// Config says how to reach the servers.
type Config struct {
	// Endpoints are the client addresses of one cluster: "host:port",
	// "http://host:port" or "https://host". At least one.
	Endpoints []string

	// KeysPath is where the keys are. Empty means /v2/keys; the public discovery service
	// has them at /.
	KeysPath string

	// TLS is for endpoints with https. An address without a scheme means https if
	// TLS is given, else http.
	TLS *tls.Config

	// Username and Password are sent by HTTP Basic authentication if Username is not empty.
	Username, Password string

	// DialTimeout bounds the connecting, TLS included. Zero means DefaultDialTimeout.
	DialTimeout time.Duration

	// RequestTimeout bounds the wait for the head of an answer, and for each next piece
	// of its body, so that a long listing may take its time but a stuck one may not.
	// Watches are bounded up to their head. Zero means DefaultRequestTimeout.
	RequestTimeout time.Duration

	// MaxResponse is the largest body accepted, in bytes; for a watch, the largest
	// event. Zero means DefaultMaxResponse.
	MaxResponse int64

	Log *slog.Logger // nil discards

	// Trace is told of each HTTP request before it is sent, with its body, which holds
	// the value of a write; of a body that holds a password it is not told. Nil is for
	// nobody.
	Trace func(method, url, body string)
}

// A Client talks to the servers of one cluster. Its methods may be called concurrently.
type Client struct {
	cfg       Config
	endpoints []*url.URL
	hosts     map[string]bool // scheme and host of each endpoint
	current   atomic.Int64    // index of the endpoint that answered last
	http      *http.Client
	transport *http.Transport
	log       *slog.Logger
}

// New returns a client. It does not connect. The error names every endpoint that cannot
// be understood.
func New(cfg Config) (*Client, error) {
	endpoints, err := parseEndpoints(cfg.Endpoints, cfg.TLS != nil)
	if err != nil {
		return nil, err
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = DefaultDialTimeout
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.MaxResponse <= 0 {
		cfg.MaxResponse = DefaultMaxResponse
	}
	if cfg.KeysPath == "" {
		cfg.KeysPath = "/v2/keys"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{cfg: cfg, endpoints: endpoints, hosts: map[string]bool{}, log: cfg.Log}
	for _, e := range endpoints {
		c.hosts[e.Scheme+"://"+e.Host] = true
	}
	c.transport = newTransport(cfg)
	c.http = &http.Client{
		Transport:     c.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Endpoints returns the endpoints as URLs, in the order of the configuration.
func (c *Client) Endpoints() []string {
	urls := make([]string, len(c.endpoints))
	for i, e := range c.endpoints {
		urls[i] = e.String()
	}
	return urls
}

// Close closes the connections that are not in use. Requests under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func newTransport(cfg Config) *http.Transport {
	dialer := &net.Dialer{
		Timeout: cfg.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4,
		},
	}
	var tlsConfig *tls.Config
	if cfg.TLS != nil {
		tlsConfig = cfg.TLS.Clone()
		tlsConfig.NextProtos = nil
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return newConn(conn, cfg.RequestTimeout), nil
		},
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    cfg.DialTimeout,
		ResponseHeaderTimeout:  cfg.RequestTimeout,
		MaxResponseHeaderBytes: 1 << 20,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
	}
}
