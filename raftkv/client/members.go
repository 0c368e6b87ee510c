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

const membersPath = "/v2/members"

// ErrBadName is the error of a name or id that cannot be one, and was not sent.
var ErrBadName = errors.New("not a name or id")

// Leader asks for the member that leads.
func (c *Client) Leader(ctx context.Context) (Member, error) {
	var m Member
	err := c.callJSON(ctx, &request{method: http.MethodGet, path: membersPath + "/leader"}, &m)
	if err == nil && m.ID == "" {
		err = errors.New("asking for the leader: the answer is not a member")
	}
	return m, err
}

// AddMember makes room in the cluster for a member that will be reached at these URLs,
// and returns it. It has no name until it has started.
func (c *Client) AddMember(ctx context.Context, peerURLs []string) (Member, error) {
	var m Member
	req, err := jsonRequest(http.MethodPost, membersPath, peers{peerURLs})
	if err != nil {
		return m, err
	}
	err = c.callJSON(ctx, req, &m)
	return m, err
}

// UpdateMember changes the URLs that a member is reached at by the others. The id is
// hexadecimal.
func (c *Client) UpdateMember(ctx context.Context, id string, peerURLs []string) error {
	path, err := below(membersPath, id)
	if err != nil {
		return err
	}
	req, err := jsonRequest(http.MethodPut, path, peers{peerURLs})
	if err != nil {
		return err
	}
	return c.callJSON(ctx, req, nil)
}

// RemoveMember takes a member out of the cluster for ever. Its error has the status 410
// if that has been done before.
func (c *Client) RemoveMember(ctx context.Context, id string) error {
	path, err := below(membersPath, id)
	if err != nil {
		return err
	}
	return c.callJSON(ctx, &request{method: http.MethodDelete, path: path}, nil)
}

// Stats returns the JSON of the statistics "self", "leader", "store" or, of confd, "cluster"
// of the endpoint that answers.
func (c *Client) Stats(ctx context.Context, which string) (json.RawMessage, error) {
	path, err := below("/v2/stats", which)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	err = c.callJSON(ctx, &request{method: http.MethodGet, path: path}, &raw)
	return raw, err
}

type peers struct {
	PeerURLs []string `json:"peerURLs"`
}

// below returns the path of a named thing. A name must not lead to another path.
func below(dir, name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return "", fmt.Errorf("%q: %w", name, ErrBadName)
	}
	return dir + "/" + name, nil
}

func jsonRequest(method, path string, body any) (*request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	return &request{method: method, path: path, json: text}, nil
}

// callJSON carries out the request and decodes the answer into v, if v is not nil.
func (c *Client) callJSON(ctx context.Context, req *request, v any) error {
	req.decode = func(a *answer) error {
		body, err := io.ReadAll(io.LimitReader(a.body, 16<<20))
		if err != nil || v == nil {
			return err
		}
		if json.Unmarshal(body, v) != nil { // its error may repeat what it has read
			return errors.New("it is not JSON as in the etcd v2 API")
		}
		return nil
	}
	_, err := c.do(ctx, req)
	return err
}
