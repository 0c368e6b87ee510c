// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A urlHook makes a request. An answer of 2xx is success.
type urlHook struct {
	method string
	url    *url.URL
}

func (h *urlHook) id() string { return "url " + h.method + " " + h.url.String() }

// String leaves out what may be secret: a password, and the query.
func (h *urlHook) String() string {
	shown := *h.url
	if shown.RawQuery != "" {
		shown.RawQuery = "…"
	}
	return h.method + " " + shown.Redacted()
}

func (h *urlHook) run(ctx context.Context, r *Resource, _ values) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, h.method, h.url.String(), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", h, inner(err))
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", h, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h, inner(err))
	}
	defer resp.Body.Close()
	out := &tail{}
	_, _ = io.Copy(out, io.LimitReader(resp.Body, 1<<20)) // what the answer says is a help, and no more
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s: %s%s", h, resp.Status, out.shown())
	}
	r.log.Debug("request was answered", "status", resp.Status, "output", out.String())
	return nil
}

// inner returns the error without the address, which may hold a password.
func inner(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
