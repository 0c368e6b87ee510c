// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"

	"confd/raftkv/tree"
)

// An Event is the answer to a key operation, and what a watch delivers.
type Event = tree.WireEvent

// A Node is a key in an Event.
type Node = tree.WireNode

// A Response is the answer to a key operation.
type Response struct {
	Event     *Event
	Created   bool   // the key was not there before (status 201)
	Index     uint64 // X-Etcd-Index: of the write, or of the store when it was read
	RaftIndex uint64 // X-Raft-Index
	RaftTerm  uint64 // X-Raft-Term
	ClusterID string // X-Etcd-Cluster-Id; empty with etcd 0.4
	Endpoint  string // who answered, after redirects
}

// GetOptions are the options of Get.
type GetOptions struct {
	Recursive bool // a directory with everything below it, not its children only
	Sorted    bool // children in byte order of their keys; else in any order
	Quorum    bool // the newest state of the cluster, not the server's own copy

	// Consistent asks the leader for its own copy. Etcd 0.4 only; the others ignore it.
	Consistent bool
}

// SetOptions are the options of the operations that store something.
type SetOptions struct {
	TTL uint64 // seconds to live; 0 is forever
	Dir bool   // make a directory; the value is ignored

	// Refresh renews the TTL, keeps the value, and wakes no watcher. The value given
	// must be empty. Not known to etcd 0.4.
	Refresh bool
}

// DeleteOptions are the options of Delete.
type DeleteOptions struct {
	Dir       bool // the key may be an empty directory
	Recursive bool // the key may be a directory, which goes with everything below it
}

// A Compare is the condition of a compare-and-swap or compare-and-delete. At least one
// field must be given, and all that are must hold.
type Compare struct {
	Value string // "" is no condition
	Index uint64 // the key's modifiedIndex; 0 is no condition
}

// Get reads a key.
func (c *Client) Get(ctx context.Context, key string, opts GetOptions) (*Response, error) {
	return c.keyOp(ctx, http.MethodGet, key, opts.query(), nil)
}

// query returns the options as a server takes them.
func (opts GetOptions) query() url.Values {
	q := url.Values{}
	setBool(q, "recursive", opts.Recursive)
	setBool(q, "sorted", opts.Sorted)
	setBool(q, "quorum", opts.Quorum)
	setBool(q, "consistent", opts.Consistent)
	return q
}

// Set creates or replaces a key. A directory is never replaced (code 102).
func (c *Client) Set(ctx context.Context, key, value string, opts SetOptions) (*Response, error) {
	return c.put(ctx, key, value, opts, url.Values{}, "")
}

// Create makes a key that must not exist (else code 105).
func (c *Client) Create(ctx context.Context, key, value string, opts SetOptions) (*Response, error) {
	return c.put(ctx, key, value, opts, url.Values{"prevExist": {"false"}}, "")
}

// Update changes a key that must exist (else code 100).
func (c *Client) Update(ctx context.Context, key, value string, opts SetOptions) (*Response, error) {
	return c.put(ctx, key, value, opts, url.Values{"prevExist": {"true"}}, "")
}

// CompareAndSwap changes a file if the condition holds (else code 101).
func (c *Client) CompareAndSwap(ctx context.Context, key, value string, cmp Compare, opts SetOptions) (*Response, error) {
	if err := cmp.check(); err != nil {
		return nil, err
	}
	q := url.Values{}
	if cmp.Index != 0 {
		q.Set("prevIndex", strconv.FormatUint(cmp.Index, 10))
	}
	return c.put(ctx, key, value, opts, q, cmp.Value)
}

// CreateInOrder makes a child of the directory key, named by the store so that the
// names of later ones sort after it. Response.Event.Node.Key is its key.
func (c *Client) CreateInOrder(ctx context.Context, key, value string, opts SetOptions) (*Response, error) {
	q := url.Values{}
	return c.keyOp(ctx, http.MethodPost, key, q, form(q, value, opts))
}

// Delete removes a key.
func (c *Client) Delete(ctx context.Context, key string, opts DeleteOptions) (*Response, error) {
	q := url.Values{}
	setBool(q, "dir", opts.Dir)
	setBool(q, "recursive", opts.Recursive)
	return c.keyOp(ctx, http.MethodDelete, key, q, nil)
}

// CompareAndDelete removes a file if the condition holds (else code 101).
func (c *Client) CompareAndDelete(ctx context.Context, key string, cmp Compare) (*Response, error) {
	if err := cmp.check(); err != nil {
		return nil, err
	}
	q := url.Values{}
	if cmp.Value != "" {
		q.Set("prevValue", cmp.Value) // the body of a DELETE is never read
	}
	if cmp.Index != 0 {
		q.Set("prevIndex", strconv.FormatUint(cmp.Index, 10))
	}
	return c.keyOp(ctx, http.MethodDelete, key, q, nil)
}

// check refuses a condition that holds always: the server would take the call for a
// plain set or delete.
func (cmp Compare) check() error {
	if cmp.Value == "" && cmp.Index == 0 {
		return errors.New("comparing: neither a value nor an index is given")
	}
	return nil
}

func (c *Client) put(ctx context.Context, key, value string, opts SetOptions, q url.Values, prevValue string) (*Response, error) {
	f := form(q, value, opts)
	if prevValue != "" {
		f.Set("prevValue", prevValue)
	}
	return c.keyOp(ctx, http.MethodPut, key, q, f)
}

// form returns the body of a write. Values go there and nowhere else, because servers
// and proxies log the query.
func form(q url.Values, value string, opts SetOptions) url.Values {
	setBool(q, "dir", opts.Dir)
	setBool(q, "refresh", opts.Refresh)
	if opts.TTL != 0 {
		q.Set("ttl", strconv.FormatUint(opts.TTL, 10))
	}
	f := url.Values{}
	if !opts.Dir && !(opts.Refresh && value == "") {
		f.Set("value", value)
	}
	return f
}

// keyOp carries out one operation on a key.
func (c *Client) keyOp(ctx context.Context, method, key string, q, form url.Values) (*Response, error) {
	r := &Response{}
	err := c.keyCall(ctx, &request{method: method, path: c.keyPath(key), query: q, form: form}, r, func(s *scanner) (err error) {
		r.Event, err = s.event()
		return err
	}, eventSize)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// eventSize is how much of an event is read at a time, in bytes.
const eventSize = 4 << 10

// keyCall sends a request about a key, and fills in r but for its event. decode reads the
// body, so many bytes at a time.
func (c *Client) keyCall(ctx context.Context, req *request, r *Response, decode func(*scanner) error, size int) error {
	req.decode = func(a *answer) error {
		err := decode(newScanner(&limitedReader{r: a.body, left: c.cfg.MaxResponse, max: c.cfg.MaxResponse}, size))
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	a, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	r.Created = a.status == http.StatusCreated
	r.Index = headerUint(a.header, "X-Etcd-Index")
	r.RaftIndex = headerUint(a.header, "X-Raft-Index")
	r.RaftTerm = headerUint(a.header, "X-Raft-Term")
	r.ClusterID = a.header.Get("X-Etcd-Cluster-Id")
	r.Endpoint = a.endpoint
	return nil
}

// keyPath returns the path of a key, cleaned: servers answer other paths with a redirect.
func (c *Client) keyPath(key string) string {
	return path.Join(c.cfg.KeysPath, path.Clean("/"+key))
}

func setBool(q url.Values, name string, v bool) {
	if v {
		q.Set(name, "true")
	}
}

// A limitedReader fails once more than max bytes were read since left was last set to max.
type limitedReader struct {
	r         io.Reader
	left, max int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("it is longer than %d bytes", l.max)
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}
