// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// parseEndpoints returns the endpoints without repetitions, or an error that names
// each that is wrong.
func parseEndpoints(list []string, tls bool) ([]*url.URL, error) {
	if len(list) == 0 {
		return nil, errors.New(`no endpoint given; one looks like "http://127.0.0.1:4001"`)
	}
	var urls []*url.URL
	var errs []error
	seen := map[string]bool{}
	for _, s := range list {
		u, err := parseEndpoint(strings.TrimSpace(s), tls)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !seen[u.String()] {
			seen[u.String()] = true
			urls = append(urls, u)
		}
	}
	return urls, errors.Join(errs...)
}

func parseEndpoint(s string, tls bool) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("an endpoint is empty")
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
		if tls {
			full = "https://" + s
		}
	}
	u, err := url.Parse(full)
	if err != nil {
		// The parser's own text repeats what it was given, which may hold a password.
		if strings.Contains(s, "@") {
			return nil, errors.New("an endpoint with a user name is not a URL; give the user name and the password on their own")
		}
		return nil, fmt.Errorf("endpoint %q is not a URL", s)
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("endpoint %q holds a user name; give the user name and the password on their own", u.Redacted())
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("endpoint %q has the scheme %q; it must be http or https", s, u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("endpoint %q has no host", s)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("endpoint %q has more than an address; did you mean %q?", s, u.Scheme+"://"+u.Host)
	case u.Port() == "" && full != s:
		return nil, fmt.Errorf("endpoint %q has no port; did you mean %q?", s, net.JoinHostPort(u.Hostname(), "4001"))
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}
