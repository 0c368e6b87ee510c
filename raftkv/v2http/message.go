// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package v2http

import (
	"context"
	"io"

	"confd/raftkv/tree"
)

// A request is an HTTP request, as far as the API looks at it.
type request struct {
	method      string
	path        string // percent-decoded once
	query       string // raw, as sent
	contentType string
	host        string // the header Host
	tls         bool   // it came over TLS
	peer        bool   // it came in at the peer port
	quick       bool   // it is to be answered at once, or not at all

	credentials credentials

	// The body is there only if bodyLimit asked for it.
	body         string
	bodyTooLarge bool  // it was longer than bodyLimit; body is empty
	bodyErr      error // it could not be read to its end
	denied       bool  // it was large, and not read, as the client may not write the key
}

// A response is an answer: its status, the header fields we set, and the body.
// A field that is empty is not sent.
type response struct {
	status      int
	contentType string
	noSniff     bool   // X-Content-Type-Options: nosniff
	allow       string // Allow
	location    string // Location
	clusterID   string // X-Etcd-Cluster-Id
	closes      bool   // Connection: close, since the body was not read to its end
	slow        bool   // there is no answer, as it would not be quick

	// done says that a write was carried out, so nobody refers to the body of the request any
	// more. After an error it may still be on its way.
	done bool

	hasIndex  bool // X-Etcd-Index
	etcdIndex uint64
	hasRaft   bool // X-Raft-Index, X-Raft-Term
	raftIndex uint64
	raftTerm  uint64

	parts   [][]byte // of a long body, before what is in body
	body    []byte
	inserts []insert // in order; what is in body does not have them
	buffers *buffers // where the parts and a large body are from and go to; nil if there are none

	// A watch has a watcher instead of a body: the status and the headers are sent at
	// once, then one line per event; only one event without stream. Who sends them
	// closes the watcher.
	watcher *tree.Watcher
	stream  bool

	// A download writes the body, in place of one that is there already. It is called once;
	// after an error the client must not see a whole answer.
	download func(ctx context.Context, w io.Writer) error
}

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html; charset=utf-8"
)

// text makes resp a plain text error as Go's HTTP library writes it.
func (resp *response) text(status int, body string) {
	resp.status = status
	resp.contentType = typeText
	resp.noSniff = true
	resp.body = append(append(resp.body[:0], body...), '\n')
}

// message makes resp an error of the paths that are not about keys: {"message":"..."}.
func (resp *response) message(status int, text string) {
	resp.status = status
	resp.contentType = typeJSON
	resp.body = appendJSON(resp.body[:0], struct {
		Message string `json:"message"`
	}{text})
}

// An exchange is what one request needs; it is kept for the next one.
type exchange struct {
	req  request
	resp response
	read []byte // for reading a body, and for an event

	buffers *buffers // for long bodies of requests
	long    []byte   // one of them; nil if there is none
}

// reset makes x ready for another request.
func (x *exchange) reset() {
	body, read := x.resp.body, x.read
	for _, part := range x.resp.parts {
		if cap(part) <= maxKept {
			body, part = part, body
		}
		x.resp.buffers.put(part)
	}
	if cap(body) > maxKept {
		x.resp.buffers.put(body)
		body = nil
	}
	if cap(read) > maxKept {
		read = nil
	}
	if x.resp.done {
		x.buffers.put(x.long)
	}
	clear(x.resp.parts)
	clear(x.resp.inserts)
	*x = exchange{resp: response{parts: x.resp.parts[:0], body: body[:0], inserts: x.resp.inserts[:0]}, read: read[:0]}
}
