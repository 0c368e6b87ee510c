// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package v2http serves the etcd v2 HTTP API over a node: the keys under /v2/keys with
// long polls and streams, and the paths about the node itself (/version, /health,
// /v2/stats, /v2/machines, /v2/members, /v2/leader, /v2/peers, /metrics, /debug/vars). Peer serves
// what is asked of the peer port.
//
//	h := v2http.New(node, v2http.Options{Log: log})
//	srv := v2http.NewClientServer(h, log)
//	err := srv.Serve(listener)
//
// # Model
//
// A request and a response are plain structs of this package. The core functions work
// on these alone; adapter.go is the one file that translates from and to net/http, and
// plain.go from and to http1, which answers most requests for keys.
//
//	adapter  ServeHTTP: fill request (method, decoded path, raw query, form body)
//	core     serve → route → parseKey (validate, in etcd's order) → get, write or watch
//	adapter  write status, headers and body; or headers first, then a watcher's events
//
// Of a ClientServer, http1's loop has each connection without TLS first. It keeps it as long
// as all that comes is key requests that it understands to the last byte and that are
// answered at once, or long polls with nothing behind them. With the first other one, be it
// /version, a stream, a chunked body or an attack, net/http gets the connection and all that was
// not answered, for the rest of its life or until a watch has ended:
//
//	loop       plain → core → plain
//	           plain → core → poll → sender: the event
//	           plain → begun: the node has it → begun: the answer, where many share a goroutine
//	net/http   ServeHTTP → adapter → core → adapter
//	watchConn  taken from either with the head sent → events → given to the loop
//
// # The peer port
//
// Peer serves the admin API of etcd 0.4 (/v2/admin/config, /v2/admin/machines), and
// /version, /name and /members as a member of etcd has them. PUT of the configuration
// takes the JSON as its body, whatever the content type, or as the field value of a form.
// JSON that is broken is status 500 with the parser's text, which is what 0.4.9 says;
// a machine that is not there is 404 with a message, where 0.4.9 says 200 and null.
// While authentication is on, changes need the role root: 0.4 had none, but the port must
// not be a way around it.
//
// # Discovery
//
// Members of etcd 0.4, 2.x and 3.x that are started with -discovery use the plain key API
// below /v2/keys/_etcd/registry/TOKEN. GET, POST or PUT of /discovery/new?size=N (or
// /new, as the public service had it) makes a token for N members, 3 by default, and
// answers its URL as text. That is a write of a key, and needs the right to write it. Its
// host is the one that the client asked; behind a proxy that replaces the header Host,
// only the token in it is of use. Tokens stay until somebody deletes them.
//
// # Authentication
//
// /v2/auth/enable, /users and /roles manage who may do what; the rules are package auth's.
// A key request is checked after its parameters and before anything is done, with the clean
// key; a watch is a read. Who sends no Authorization header is the user that a verified
// client certificate names, if there is one of that name, else a guest. What changes
// users, roles or members needs the role root. Before users and roles are changed this
// node waits until it has seen all changes; permissions of a request are those that this
// node knows, which on a member that is cut off may be old.
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
// Bodies of the other paths may have 64 KiB.
// A ttl above 2^32 seconds (136 years) is error 202: etcd lets it overflow.
// The request line and the headers have 1 MB together, in Server.
// A client that sends its head slower than in 10 s, or its body than in 60 s, is cut off.
//
// # Decisions
//
// The surface is that of etcd 3.4 with its v2 store enabled, and /version says 3.4.23
// with cluster version 3.4.0: clients of 2.x only look for a JSON answer, those that
// compare versions (python-etcd, etcdctl, the Go client) find one that has refresh,
// noValueOnSuccess and 20-digit in-order keys, and a "3." at which none of them leaves the v2 API
// by itself.
//
// A long poll stays with the loop: its connection waits without a buffer, and a sender writes
// the event; see poll. That is less than a third of the processor time that it takes in
// net/http. A stream, and a long poll over TLS or with something behind it, takes its
// connection from where it is and gives it back for the next request; see watchConn. That is a
// quarter of the memory. A connection given back to net/http, which is one over TLS, has 10 s
// for its next request, and is closed if its client has sent that before the end of the watch.
// Other watches (HTTP/1.0) stay where they are.
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
// To remove the only member that has started is 409 with the reason, not etcd's 500
// without one. /v2/peers lists members that have started, the leader first.
//
// No origin is allowed to scripts of browsers unless Options.CORS says so, as in etcd 0.4
// and 2.x; the default of 3.4 was all of them. The peer port has no CORS.
//
// A client that does not read is cut off after 30 s without progress, and a watcher
// after 640 events that nobody fetched. Watches have no time limit.
//
// Requests over TLS are net/http's: it must see the connection itself to know of the
// client's certificate, so nothing could be handed over once the loop had read from it. Nor
// are large values the loop's (above 64 KiB), whose cost is elsewhere.
//
// /v2/admin/backup is on the client port, the one that people and their scripts can reach,
// though the other paths of /v2/admin are 0.4's and on the peer port. It is refused while
// there are users and authentication is off: keys are everybody's then, but a backup also
// has the hashes of passwords. Two may be under way at once. What fails in the middle cuts
// the connection.
//
// /debug/vars leaves out the command line, which may hold credentials.
package v2http
