// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"confd/raftkv/client"
)

// connect makes the client. It asks for the password of --username if that has none.
func (c *call) connect(ctx context.Context) error {
	endpoints, err := c.findEndpoints(ctx)
	if err != nil {
		return err
	}
	cfg := client.Config{Endpoints: endpoints, RequestTimeout: c.duration("timeout")}
	if cfg.TLS, err = c.tlsConfig(); err != nil {
		return &ctlError{ctlFailure, err}
	}
	if c.on("debug") {
		cfg.Trace = c.traceRequest
	}
	if user := c.text("username"); user != "" {
		var inline bool
		cfg.Username, cfg.Password, inline = strings.Cut(user, ":")
		if !inline {
			if cfg.Password, err = c.askPassword(ctx, "Password: "); err != nil {
				return err
			}
		}
	}
	return c.dial(cfg)
}

func (c *call) dial(cfg client.Config) error {
	conn, err := client.New(cfg)
	if err != nil {
		return &ctlError{ctlFailure, err}
	}
	c.conn, c.cfg = conn, cfg
	return nil
}

// patient gives the server at least so much time for each answer, unless --timeout was
// given.
func (c *call) patient(d time.Duration) error {
	if c.flags["timeout"] != nil {
		return nil
	}
	c.conn.Close()
	cfg := c.cfg
	cfg.RequestTimeout = max(cfg.RequestTimeout, d)
	return c.dial(cfg)
}

// findEndpoints returns the servers to ask. A flag wins over the environment.
func (c *call) findEndpoints(ctx context.Context) ([]string, error) {
	if domain := c.text("discovery-srv"); domain != "" {
		return c.discover(ctx, domain)
	}
	names := []string{"endpoints", "endpoint", "peers"}
	for _, name := range names {
		if values := c.flags[name]; values != nil {
			return splitList(values, true), nil
		}
	}
	for _, name := range names {
		if f, _, _, _ := lookFlag("--"+name, globalFlags); c.getenv(f.env) != "" {
			return splitList([]string{c.getenv(f.env)}, true), nil
		}
	}
	return splitList([]string{c.text("endpoints")}, true), nil
}

// discover finds the servers of a domain by SRV record.
func (c *call) discover(ctx context.Context, domain string) ([]string, error) {
	var found []string
	var errs []error
	for _, service := range []struct{ name, scheme string }{{"_etcd-client-ssl", "https"}, {"_etcd-client", "http"}} {
		records, err := c.lookupSRV(ctx, service.name+"._tcp."+domain)
		if err != nil {
			errs = append(errs, fmt.Errorf("looking up the servers: %w", err))
		}
		for _, r := range records {
			server := service.scheme + "://" + net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
			if service.scheme == "http" && !c.on("insecure-discovery") {
				fmt.Fprintf(c.stderr, "confd: ignoring %s, found by SRV record, since it is without TLS (--insecure-discovery)\n", server)
				continue
			}
			found = append(found, server)
		}
	}
	if len(found) == 0 {
		errs = append(errs, fmt.Errorf("%s has no SRV record of a server that may be used", domain))
		return nil, &ctlError{ctlFailure, errors.Join(errs...)}
	}
	return found, nil
}

// tlsConfig reads the certificates; it returns nil if none are given.
func (c *call) tlsConfig() (*tls.Config, error) {
	cert, key, ca := c.text("cert-file"), c.text("key-file"), c.text("ca-file")
	if (cert == "") != (key == "") {
		return nil, errors.New("--cert-file and --key-file belong together: only one is given")
	}
	if cmp.Or(cert, ca) == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading the client's certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities' certificates: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", ca)
		}
	}
	return cfg, nil
}

// traceRequest prints a request as etcdctl --debug does.
func (c *call) traceRequest(method, url, body string) {
	fmt.Fprintf(c.stderr, "cURL Command: curl -X %s %s", method, url)
	if body != "" {
		fmt.Fprintf(c.stderr, " -d %q", body)
	}
	fmt.Fprintln(c.stderr)
}

// askPassword reads a line of standard input: without showing it if that is a terminal.
func (c *call) askPassword(ctx context.Context, prompt string) (string, error) {
	defer c.pause()()
	show := func() {}
	if f, ok := c.stdin.(*os.File); ok && isTerminal(f) {
		fmt.Fprint(c.stderr, prompt)
		var err error
		if show, err = hideInput(f); err != nil {
			return "", failure("hiding the password: %w", err)
		}
	}
	type reply struct {
		text string
		err  error
	}
	replies := make(chan reply, 1)
	go func() { // a read of a terminal cannot be ended; after an interrupt it dies with the process
		text, err := c.in.ReadString('\n')
		replies <- reply{text, err}
	}()
	select {
	case <-ctx.Done():
		show()
		fmt.Fprintln(c.stderr)
		return "", ctx.Err()
	case r := <-replies:
		show()
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return "", failure("reading the password: %w", r.err)
		}
		return strings.TrimRight(r.text, "\r\n"), nil
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// hideInput stops a terminal from showing what is typed. The function that it returns
// undoes that, and ends the line.
func hideInput(f *os.File) (func(), error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ECHONL
	if err := unix.IoctlSetTermios(fd, unix.TCSETSW, &hidden); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }), nil
}
