// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A Version is what a server says of itself.
type Version struct {
	Server  string `json:"etcdserver"`  // as in "3.4.23"
	Cluster string `json:"etcdcluster"` // empty with etcd 0.4
}

// A Member is a server of the cluster.
type Member struct {
	ID         string   `json:"id"`   // hexadecimal; empty with etcd 0.4
	Name       string   `json:"name"` // empty if it has never started, and with etcd 0.4
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

// Health is one endpoint's state.
type Health struct {
	Endpoint string
	Err      error // nil if it is healthy; ErrUnhealthy if that is what it answered
}

// Version asks the current endpoint for its version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	err := c.getText(ctx, "/version", func(body []byte) error {
		text := strings.TrimSpace(string(body))
		if old, ok := strings.CutPrefix(text, "etcd "); ok {
			v = Version{Server: old}
			return nil
		}
		if err := json.Unmarshal(body, &v); err != nil || v.Server == "" {
			return errors.New("it is not a version")
		}
		return nil
	})
	return v, err
}

// Members asks for the members of the cluster. Of etcd 0.4 it learns their client URLs only.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var list struct{ Members []Member }
	err := c.getText(ctx, "/v2/members", func(body []byte) error {
		if err := json.Unmarshal(body, &list); err != nil || list.Members == nil {
			return errors.New("it is not a list of members")
		}
		return nil
	})
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return list.Members, err
	}
	err = c.getText(ctx, "/v2/machines", func(body []byte) error {
		for u := range strings.SplitSeq(string(body), ",") {
			if u = strings.TrimSpace(u); u != "" {
				list.Members = append(list.Members, Member{ClientURLs: []string{u}})
			}
		}
		return nil
	})
	return list.Members, err
}

// Health asks every endpoint, one after the other, whether it serves reads and writes.
// Of etcd 0.4 it learns only that it answers.
func (c *Client) Health(ctx context.Context) []Health {
	list := make([]Health, len(c.endpoints))
	for i, base := range c.endpoints {
		req := textRequest("/health", func(body []byte) error {
			var h struct{ Health string }
			if err := json.Unmarshal(body, &h); err != nil {
				return errors.New("it is not a health report")
			}
			if h.Health != "true" {
				return fmt.Errorf("%w (%q)", ErrUnhealthy, h.Health)
			}
			return nil
		})
		_, _, err := c.try(ctx, base, req)
		var e *Error
		switch {
		case errors.As(err, &e) && e.Status == http.StatusServiceUnavailable:
			err = fmt.Errorf("%w: %w", ErrUnhealthy, err)
		case errors.As(err, &e) && e.Status == http.StatusNotFound:
			_, _, err = c.try(ctx, base, textRequest("/version", func([]byte) error { return nil }))
		}
		list[i] = Health{Endpoint: base.String(), Err: err}
	}
	return list
}

func (c *Client) getText(ctx context.Context, path string, parse func([]byte) error) error {
	_, err := c.do(ctx, textRequest(path, parse))
	return err
}

func textRequest(path string, parse func([]byte) error) *request {
	return &request{method: http.MethodGet, path: path, decode: func(a *answer) error {
		body, err := io.ReadAll(io.LimitReader(a.body, 16<<20))
		if err != nil {
			return err
		}
		return parse(body)
	}}
}
