// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package v2http serves the etcd v2 HTTP API over a node: the keys under /v2/keys with
// long polls and streams, and the paths about the node itself (/version, /health,
// /v2/stats, /v2/machines, /v2/members, /v2/leader, /v2/peers, /debug/vars).
//
//	h := v2http.New(node, v2http.Options{Log: log})
//	srv := v2http.Server(h, log)
//	err := srv.Serve(listener)
//
// # Model
//
// A request and a response are plain structs of this package. The core functions work
// on these alone; adapter.go is the one file that translates from and to net/http, so
// that the plain key API can run on another server with the same code and tests.
//
//	adapter  ServeHTTP: fill request (method, decoded path, raw query, form body)
//	core     serve → route → parseKey (validate, in etcd's order) → get, write or watch
//	adapter  write status, headers and body; or headers first, then a watcher's events
//
// # Errors
//
// A refusal is a JSON object with errorCode, message, cause and index. What the node
// could not do is error 300 with status 500. With the causes "etcdserver: no leader" and
// "etcdserver: too many requests" a write has not happened and will not; with all others,
// as "etcdserver: request timed out", its outcome is unknown: it may still happen.
//
// # Limits
//
// A value (or prevValue) above Options.MaxValue is refused with status 413 and error
// 210, and nothing is stored. A form body may be three times as long as the largest
// value, which is what percent-encoding can make of it, plus 64 KiB for the rest.
// A ttl above 2^32 seconds (136 years) is error 202: etcd lets it overflow.
// The request line and the headers have 1 MB together, in Server.
//
// # Decisions
//
// The surface is that of etcd 3.4 with its v2 store enabled, and /version says 3.4.23
// with cluster version 3.4.0: clients of 2.x only look for a JSON answer, those that
// compare versions (python-etcd, etcdctl, the Go client) find one that has refresh,
// noValueOnSuccess and 20-digit in-order keys, and a "3." at which none of them leaves the v2 API
// by itself.
//
// A get is answered from one View: X-Etcd-Index is that view's index, so a client can
// list and then watch from X-Etcd-Index + 1 without a gap.
//
// Listings are always sorted. etcd's order without sorted=true is random, so nobody
// can rely on it.
//
// The status of a body that is too large is 413, not etcd's 400, since the same body
// will never be accepted; the JSON is etcd's error 210, so every client can print it.
//
// A client that does not read is cut off after 30 s without progress, and a watcher
// after 100 events that nobody fetched; a client that sends its body slower than in
// 60 s is cut off as well. Watches have no time limit.
//
// /debug/vars leaves out the command line, which may hold credentials.
package v2http
