// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

// Package http1 is an HTTP/1.1 server for plain requests. It answers those that it
// understands to the last byte, and hands a connection on to another server, net/http's,
// with all that has been read of it, at the first thing that it does not.
//
//	loop := http1.New(http1.Config{Handler: h, HandOver: toNetHTTP})
//	err := srv.Serve(loop.Listener(l)) // srv gets what the loop has no use for
//
// # Model
//
// A goroutine for each connection reads into a buffer, parses a head, has the handler
// answer, and writes the answer with one write. There is no map of header fields, no
// context and no reader for each request, and nothing is allocated for it here. Where there are
// many connections, those whose requests are small and take nobody long share goroutines.
//
//	bytes ─> parse ─┬─ clean ───> Handler.Takes ─> body ─> Handler.Serve ─> bytes
//	                ├─ more ────> read on, within HeaderTime
//	                └─ strange ─> HandOver, for the rest of the connection's life
//
// # What is clean
//
// GET, HEAD, PUT, POST or DELETE, a target in origin form without percent-encoding in its
// path, HTTP/1.1, lines that end with CR LF, one header Host. Names of header fields are
// letters, digits and "-", values are printable ASCII, blanks and tabs. Content-Length is
// there once or not at all, and only PUT and POST have a body, of MaxBody at most.
// Connection is close or keep-alive. There is no Transfer-Encoding, Expect, Upgrade, Trailer
// or TE, and none of the fields that mean something to us is there twice. All of it fits
// into MaxHead.
//
// Everything else is strange, be it allowed or not: other methods, a space before the
// colon, a folded line, a bare LF, a NUL, two lengths, a length beside chunks. So a request
// that two servers could read in two ways is never read here, and what is refused is refused
// by one server, in its words.
//
// # Decisions
//
// An own loop, since most of the processor time of a small request in net/http is spent on
// what a plain request does not need; docs/performance.md has the figures. fasthttp has most
// of the gain, but it must read everything itself: it has no way to give up a connection
// with what it has read, so it would decide what broken and doubtful requests mean, in its
// own way, for all paths. What is here is small enough to be compared with net/http byte for
// byte, which the tests of package v2http do.
//
// A deadline of a connection is set anew when it is a second too early, not for each
// request: a timer costs more than parsing. So the times for an idle connection and for a
// write may be a second longer than said.
//
// A connection that waits for its next request holds no buffer, where the connection lets
// itself be read by its descriptor. Such a one is read once for each request, and not a second
// time to learn that there is nothing more; serveRaw says why nothing is overlooked. So who
// ends his side together with a request, but not with the first, is waited for up to two
// seconds more.
//
// Handler.Serve is not told that a client has gone; net/http reads in the background for
// that, which costs a goroutine. What a handler waits for must end by itself, or be waited for
// outside of it: Serve may leave an answer open, which somebody else ends later, as that to a
// long poll. Meanwhile the goroutine of the connection waits for the next request or the
// client's end, as between requests, with a small stack and without a buffer. What comes before
// the answer has ended would have to be kept and its end still be looked for; that is rare, so
// the connection is given away then, and may come back by Loop.Serve.
//
// Who ends an answer writes from its own goroutine and wakes nobody. A mutex of the connection
// is held meanwhile, since the client may have the end, and the loop its next request, before
// that is over.
//
// A connection that was handed over has HeaderTime of net/http from then on, so who
// sends something strange very slowly has that time twice.
//
// # Crowds
//
// With a goroutine for each of 256 connections a request costs a third more than with 16: the
// stack, the goroutine and what is around them have left the nearest cache when the next one
// comes. So from Config.Crowd connections on, one that has had several quick requests in a row
// joins a crowd: one goroutine for each processor, with an epoll of its own, one buffer and one
// stack, which reads, answers and writes. Below that, nothing is gained.
//
// A write waits for a disk, so nobody waits for it here: Config.Begin begins it, and its answer is
// sent by the crowd when it is there. Nothing is read from the client meanwhile. So a batch of writes
// that has come to the disk together costs one waking of each crowd, and not one for each of them.
// An answer that is long, as that to a delete of a large value, is made by a goroutine of its own.
//
// The crowd does nothing that may wait, and nothing long. Whatever it is not sure of it gives
// back to a goroutine of its own, with what was read and what could not be sent: a
// request that neither Quick nor Begin takes, half a request, a client that does not read or has ended its
// side. So all that is said here of times, open answers and handing over is true of one kind of
// connection only. That costs as much as a request, and twice as many quick ones in a row are
// needed the next time.
//
// A member has another descriptor of the same socket, since Go's epoll, which has the first one,
// would tell of each request, too, and cannot be told not to. To leave takes one more for a
// moment, so each crowd keeps one: else its members would be cut off when there are none left.
//
// The crowd's epoll is watched by Go's, so its goroutine waits as others do and holds no thread. It
// looks at its epoll again as long as there is something, but not for more than some hundred
// requests: Go looks at nothing else meanwhile. docs/performance.md has what that gains.
package http1
