// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxRedirects is how many 307 in a row are followed: a follower's to the leader, and
// some for a leader that changes meanwhile.
const maxRedirects = 5

// A request is one call of the API, for any endpoint.
type request struct {
	method string
	path   string // not escaped
	query  url.Values
	form   url.Values // sent as the body; nil is no body
	json   []byte     // sent as the body in place of a form; nil is no body
	secret bool       // the body holds a password

	// decode reads the body of a success. An error counts as a failure of the endpoint.
	// Nil leaves the body open, for a watch.
	decode func(*answer) error
}

// encode returns the body and its type, "" for no body.
func (r *request) encode() (body, contentType string) {
	switch {
	case r.json != nil:
		return string(r.json), "application/json"
	case r.form != nil:
		return r.form.Encode(), "application/x-www-form-urlencoded"
	}
	return "", ""
}

func (r *request) write() bool { return r.method != http.MethodGet }

// An answer is the head of an HTTP response, and its body.
type answer struct {
	status   int
	header   http.Header
	endpoint string
	body     io.Reader // bounded by RequestTimeout without progress, unless it is a watch
	closer   io.Closer
	cancel   context.CancelFunc
}

func (a *answer) close() {
	a.cancel()
	a.closer.Close()
}

// do sends the request to the endpoints in turn until one answers. The error is an
// *Error if the server refused, else it joins what each endpoint said.
func (c *Client) do(ctx context.Context, req *request) (*answer, error) {
	first := int(c.current.Load())
	var errs []error
	for i := range c.endpoints {
		n := (first + i) % len(c.endpoints)
		base := c.endpoints[n]
		a, sent, err := c.try(ctx, base, req)
		if err == nil {
			c.prefer(first, n)
			return a, nil
		}
		refused, elsewhere := verdict(err)
		if refused && !elsewhere {
			c.prefer(first, n)
			return nil, err
		}
		errs = append(errs, fmt.Errorf("asking %s: %w", base, err))
		if ctx.Err() != nil {
			break
		}
		if req.write() && sent && !elsewhere {
			return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, errors.Join(errs...))
		}
	}
	if err := ctx.Err(); err != nil && len(errs) > 0 && !errors.Is(errs[len(errs)-1], err) {
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// verdict tells whether err is a refusal, which is final, and whether it is one
// that another endpoint would not make and that means that nothing was done.
func verdict(err error) (refused, elsewhere bool) {
	var e *Error
	if !errors.As(err, &e) {
		return false, false
	}
	return e.Status < 500, e.Code == codeStandby
}

// prefer makes endpoint n the first to ask, if it was not so already.
func (c *Client) prefer(before, n int) {
	if before != n && c.current.CompareAndSwap(int64(before), int64(n)) {
		c.log.Debug("changed endpoint", "from", c.endpoints[before].String(), "to", c.endpoints[n].String())
	}
}

// try sends the request to one endpoint and follows its redirects. sent tells that
// some server may have read the request.
func (c *Client) try(ctx context.Context, base *url.URL, req *request) (a *answer, sent bool, err error) {
	target := *base
	target.Path = req.path
	target.RawQuery = req.query.Encode()
	for range maxRedirects + 1 {
		a, sent, err = c.send(ctx, &target, req)
		if err != nil {
			return nil, sent, err
		}
		if a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect {
			err = c.read(a, req)
			return a, true, err
		}
		location, err := target.Parse(a.header.Get("Location"))
		a.close()
		if err != nil || location.Host == "" || location.Scheme != "http" && location.Scheme != "https" {
			return nil, false, errors.New("following a redirect: its Location is no address")
		}
		if target.Scheme == "https" && location.Scheme == "http" {
			return nil, false, fmt.Errorf("following a redirect: it leads from https to %s", location.Host)
		}
		target = *location
	}
	return nil, false, fmt.Errorf("following redirects: more than %d", maxRedirects)
}

// read turns a refusal into its error, and decodes the body of a success.
func (c *Client) read(a *answer, req *request) error {
	switch {
	case a.status >= 400:
		defer a.close()
		body, err := io.ReadAll(io.LimitReader(a.body, 1<<20))
		if err != nil {
			return fmt.Errorf("reading the refusal (status %d): %w", a.status, err)
		}
		return refusal(a, body)
	case a.status >= 300:
		a.close()
		return fmt.Errorf("unexpected status %d", a.status)
	case req.decode == nil:
		return nil
	}
	defer a.close()
	if err := req.decode(a); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	// The connection can be used again only if the body has been read to its end.
	_, _ = io.CopyN(io.Discard, a.body, 4096)
	return nil
}

// send makes one HTTP request.
func (c *Client) send(ctx context.Context, target *url.URL, req *request) (*answer, bool, error) {
	var body io.Reader
	text, contentType := req.encode()
	if contentType != "" {
		body = strings.NewReader(text)
	}
	if c.cfg.Trace != nil {
		shown := text
		if req.secret {
			shown = ""
		}
		c.cfg.Trace(req.method, target.String(), shown)
	}
	watch := req.decode == nil
	outer := ctx
	if watch {
		ctx = context.WithoutCancel(ctx) // ctx is for the opening only
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(outer, cancel)
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	hr, err := http.NewRequestWithContext(ctx, req.method, target.String(), body)
	if err != nil {
		cancel()
		return nil, false, fmt.Errorf("making the request: %w", withoutURL(err))
	}
	if contentType != "" {
		hr.Header.Set("Content-Type", contentType)
	}
	hr.Header.Set("User-Agent", "confd")
	if c.cfg.Username != "" && c.hosts[target.Scheme+"://"+target.Host] {
		hr.SetBasicAuth(c.cfg.Username, c.cfg.Password)
	}
	resp, err := c.http.Do(hr)
	stop()
	if err != nil {
		cancel()
		if outer.Err() != nil {
			err = outer.Err()
		}
		return nil, sent.Load(), withoutURL(err)
	}
	a := &answer{
		status: resp.StatusCode, header: resp.Header, endpoint: target.Scheme + "://" + target.Host,
		body: resp.Body, closer: resp.Body, cancel: cancel,
	}
	if !watch || resp.StatusCode >= 300 {
		a.body = &steadyReader{r: resp.Body, timeout: c.cfg.RequestTimeout, cancel: cancel}
	}
	return a, true, nil
}

// withoutURL takes the URL off an error of net/http, since a compared value may stand in it.
func withoutURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// errStuck is the error of a body that stopped coming.
var errStuck = errors.New("timed out waiting for the rest of the answer")

// A steadyReader fails when a single Read takes longer than the timeout.
type steadyReader struct {
	r       io.Reader
	timeout time.Duration
	cancel  context.CancelFunc
}

func (s *steadyReader) Read(p []byte) (int, error) {
	timer := time.AfterFunc(s.timeout, s.cancel)
	n, err := s.r.Read(p)
	if !timer.Stop() && err != nil && err != io.EOF {
		err = errStuck
	}
	return n, err
}
