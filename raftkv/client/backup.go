// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

// Backup asks for a backup of the whole state of confd's own store; other servers answer
// 404. With stale it is the state of the server that answers, which need not have a
// leader. The caller reads it to its end, which a backup has of its own, and closes it;
// RequestTimeout bounds the wait for each next piece.
func (c *Client) Backup(ctx context.Context, stale bool) (io.ReadCloser, error) {
	req := &request{method: http.MethodGet, path: "/v2/admin/backup"}
	if stale {
		req.query = url.Values{"stale": {"true"}}
	}
	a, err := c.do(ctx, req)
	if err != nil {
		return nil, err
	}
	return &download{
		steadyReader: steadyReader{r: a.body, timeout: c.cfg.RequestTimeout, cancel: a.cancel},
		answer:       a,
		stop:         context.AfterFunc(ctx, a.cancel),
	}, nil
}

// A download is a body that is read after the call has returned.
type download struct {
	steadyReader
	answer *answer
	stop   func() bool
}

// Close ends it.
func (d *download) Close() error {
	d.stop()
	d.answer.close()
	return nil
}
