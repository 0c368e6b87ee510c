// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// The addresses of etcd 0.4.
const (
	defaultAddr     = "127.0.0.1:4001"
	defaultPeerAddr = "127.0.0.1:7001"
)

// addresses is what the options about addresses come to.
type addresses struct {
	client    []listen // where the client API is served
	clientURL endpoint // what others are told to reach it by
	peer      listen
	peerHost  string // what other nodes are told to reach this one by; "" = the address listened on

	peers    []string // host and port of other nodes that are given by options
	founders []string // of those that make a new cluster together, this one too, in the same order on all of them
}

// A listen is an address to listen on.
type listen struct {
	addr   string
	secure bool // with TLS
}

// An endpoint is an address of ours: a scheme, and host and port.
type endpoint struct{ scheme, host string }

func (u endpoint) String() string { return u.scheme + "://" + u.host }

// resolveAddresses makes s.net from the options.
func resolveAddresses(s *settings) error {
	var errs []error
	var public, peer endpoint
	var err error
	secure, peerSecure := s.CertFile != "", s.PeerCertFile != ""
	public, err = s.advertised("addr", s.Addr, secure)
	errs = append(errs, err)
	peer, err = s.advertised("peer-addr", s.PeerAddr, peerSecure)
	errs = append(errs, err)
	if errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	s.net.client, err = s.listens("bind-addr", s.BindAddr, public, secure)
	errs = append(errs, err)
	peers, err := s.listens("peer-bind-addr", s.PeerBindAddr, peer, peerSecure)
	errs = append(errs, err)
	if errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	if len(peers) > 1 {
		return hint(fmt.Errorf("%s gives %d addresses, and this version serves other nodes on one", s.spelt["peer-bind-addr"], len(peers)),
			"0.0.0.0:PORT means all interfaces")
	}
	if peers[0].secure != peerSecure {
		return hint(fmt.Errorf("%s begins with http://, and -peer-cert-file is given", s.spelt["peer-bind-addr"]),
			"the peer port speaks either TLS or not; write https://, or leave the certificate out")
	}
	if secure && !slices.ContainsFunc(s.net.client, func(l listen) bool { return l.secure }) {
		return hint(fmt.Errorf("-cert-file is given, and every address of the client API begins with http://"), "write https://, or leave the certificate out")
	}
	s.net.peer = peers[0]
	s.net.clientURL = s.shown(public, "addr", "bind-addr", s.net.client[0])
	if told := s.shown(peer, "peer-addr", "peer-bind-addr", s.net.peer); told.host != s.net.peer.addr {
		s.net.peerHost = told.host
	}
	return nil
}

// shown returns what others are told: the address to advertise, unless only one to
// listen on is given, and says more than "all interfaces".
func (s *settings) shown(advertised endpoint, option, bindOption string, on listen) endpoint {
	if s.given[option] == fromDefault && s.given[bindOption] != fromDefault {
		host, _, _ := net.SplitHostPort(on.addr)
		if ip := net.ParseIP(host); host != "" && !(ip != nil && ip.IsUnspecified()) {
			return endpoint{on.scheme(), on.addr}
		}
		_, port, _ := net.SplitHostPort(on.addr)
		return endpoint{on.scheme(), net.JoinHostPort("127.0.0.1", port)}
	}
	return advertised
}

func (l listen) scheme() string {
	if l.secure {
		return "https"
	}
	return "http"
}

// advertised reads the first value of -addr or -peer-addr.
func (s *settings) advertised(option string, values []string, secure bool) (endpoint, error) {
	if len(values) == 0 {
		values = []string{optionNamed(option).def}
	}
	u, err := splitURL(values[0], secure)
	if err == nil {
		_, port, splitErr := net.SplitHostPort(u.host)
		if splitErr != nil || port == "" {
			err = errNotHostPort
		}
	}
	if err == nil && (u.scheme == "https") && !secure {
		err = errNoCertificate
	}
	return u, s.addressError(option, values[0], err)
}

// listens reads all values of -bind-addr or -peer-bind-addr; without one it deduces one
// from what is advertised.
func (s *settings) listens(option string, values []string, public endpoint, secure bool) ([]listen, error) {
	host, port, _ := net.SplitHostPort(public.host)
	if len(values) == 0 {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			host = ""
		}
		return []listen{{net.JoinHostPort(host, port), public.scheme == "https"}}, nil
	}
	var all []listen
	var errs []error
	for _, v := range values {
		u, err := splitURL(v, secure)
		if err == nil && isHost(u.host) { // etcd 0.4 took it without a port
			u.host = net.JoinHostPort(u.host, port)
		}
		if _, port, splitErr := net.SplitHostPort(u.host); err == nil && (splitErr != nil || port == "") {
			err = errNotHostPort
		}
		if err == nil && u.scheme == "https" && !secure {
			err = errNoCertificate
		}
		errs = append(errs, s.addressError(option, v, err))
		all = append(all, listen{u.host, u.scheme == "https"})
	}
	return all, errors.Join(errs...)
}

var (
	errNotHostPort   = errors.New("is not HOST:PORT")
	errNoCertificate = errors.New("needs a certificate")
)

// addressError returns the error for one value of an option, nil if err is.
func (s *settings) addressError(option, value string, err error) error {
	as := cmp.Or(s.spelt[option], "-"+option)
	peer := strings.HasPrefix(option, "peer-")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoCertificate) && peer:
		return hint(fmt.Errorf("%s %q: the peer port has no certificate", as, value), "give it one with -peer-cert-file, -peer-key-file and -peer-ca-file")
	case errors.Is(err, errNoCertificate):
		return hint(fmt.Errorf("%s %q: the client port has no certificate", as, value), "give it one with -cert-file and -key-file")
	}
	example := defaultAddr
	if peer {
		example = defaultPeerAddr
	}
	return hint(fmt.Errorf("%s %q %w", as, value, err), "as in -%s %s", option, example)
}

// splitURL reads an address that may be written as a URL. Without a scheme it has TLS if
// secure is true.
func splitURL(value string, secure bool) (endpoint, error) {
	u := endpoint{"http", value}
	if secure {
		u.scheme = "https"
	}
	if scheme, rest, ok := strings.Cut(value, "://"); ok {
		u = endpoint{scheme, strings.TrimSuffix(rest, "/")}
	}
	if u.scheme != "http" && u.scheme != "https" || strings.ContainsAny(u.host, "/?#@ ") {
		return u, errNotHostPort
	}
	return u, nil
}

// isLoopback tells whether a host, with its port, means something else on every machine.
func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// isHost tells whether s is a host without a port.
func isHost(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	return s != "" && !strings.Contains(s, ":") && strings.Trim(s, "0123456789") != ""
}
