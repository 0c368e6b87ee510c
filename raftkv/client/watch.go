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
	"strconv"
	"time"
)

// WatchOptions are the options of Watch.
type WatchOptions struct {
	Recursive bool // everything below the key, too

	// After asks for the events with a greater index than this, from the server's
	// history if they lie in the past. Zero is from now on.
	After uint64

	// Stream keeps one connection for all events; else each event is asked for anew. It
	// holds only if After is zero (see the package's decisions).
	Stream bool
}

// A Watch delivers the events of a key in order. Only one goroutine may call Next or Take at a
// time; Close may be called beside it.
type Watch struct {
	c         *Client
	key       string
	recursive bool
	stream    bool
	after     uint64 // index of the last event, or where to begin
	start     uint64
	index     uint64 // X-Etcd-Index of the newest answer
	clusterID string
	endpoint  string

	cur    *answer     // nil between two long polls
	unhook func() bool // takes cur's end off that of closed
	events *scanner
	limit  *limitedReader
	pause  time.Duration // before asking again after an answer without an event
	err    error

	closed context.Context
	close  context.CancelFunc
}

// Watch opens a watch; when it returns, no later event is missed. ctx bounds the
// opening only. If the events after opts.After are not known any more, the error has
// code 401.
func (c *Client) Watch(ctx context.Context, key string, opts WatchOptions) (*Watch, error) {
	w := &Watch{c: c, key: key, recursive: opts.Recursive, after: opts.After, stream: opts.Stream && opts.After == 0}
	w.closed, w.close = context.WithCancel(context.Background())
	if err := w.open(ctx); err != nil {
		w.close()
		return nil, err
	}
	w.start = w.index
	w.clusterID = w.cur.header.Get("X-Etcd-Cluster-Id")
	w.endpoint = w.cur.endpoint
	if w.after == 0 {
		w.after = w.start
	}
	return w, nil
}

// Start returns the index of the store when the watch was opened.
func (w *Watch) Start() uint64 { return w.start }

// Index returns the index of the store when the request was opened that the last event
// came by: at least Start, and less than the event's unless it lay in the past. It must
// not be called beside Next.
func (w *Watch) Index() uint64 { return w.index }

// ClusterID returns the cluster's id; it is empty with etcd 0.4.
func (w *Watch) ClusterID() string { return w.clusterID }

// Endpoint returns the URL of the server that was asked first, after redirects.
func (w *Watch) Endpoint() string { return w.endpoint }

// Close ends the watch and its connection. It may be called more than once.
func (w *Watch) Close() { w.close() }

// Next waits for the next event. After an error, also one of ctx, the watch is at its
// end. The errors: ctx's; an *Error, with code 401 if the history does not reach back
// far enough; ErrWatchEnded.
func (w *Watch) Next(ctx context.Context) (*Event, error) {
	if w.err != nil {
		return nil, w.err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(w.closed, func() { cancel(ErrWatchEnded) })
	defer stop()
	e, err := w.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		w.end(err)
		return nil, err
	}
	return e, nil
}

// Take waits for the next event of a stream, and adds it to the list with those that have
// come behind it, at most so many. Only a watch that was opened with Stream, and not After,
// has it. It is made for who reads all the time: it costs less than Next, beside which it must not be
// called, and is ended by Close alone. The errors are Next's.
func (w *Watch) Take(list []Change, most int) ([]Change, error) {
	if w.err == nil && !w.stream {
		w.end(errors.New("the watch is no stream"))
	}
	before := len(list)
	for w.err == nil && (len(list) == before || len(list) < before+most && w.events.line()) {
		w.limit.left = w.limit.max
		var c Change
		if err := w.events.change(&c); err != nil {
			w.end(fmt.Errorf("%w: %w", ErrWatchEnded, err))
			break
		}
		w.after = max(w.after, c.Modified)
		list = append(list, c)
	}
	if len(list) == before {
		return list, w.err
	}
	return list, nil // what has ended the stream is told by the next call
}

// end ends the watch with an error.
func (w *Watch) end(err error) {
	w.err = err
	w.drop()
	w.close()
}

func (w *Watch) next(ctx context.Context) (*Event, error) {
	for {
		if w.cur == nil {
			if err := w.open(ctx); err != nil {
				return nil, err
			}
			if id := w.cur.header.Get("X-Etcd-Cluster-Id"); id != w.clusterID {
				return nil, fmt.Errorf("%w: another cluster answers (%q, was %q)", ErrWatchEnded, id, w.clusterID)
			}
		}
		w.limit.left = w.limit.max
		stop := context.AfterFunc(ctx, w.cur.cancel)
		e, err := w.events.event()
		stop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			w.after, w.pause = max(w.after, e.Node.Modified), 0
			if !w.stream {
				w.finish()
			}
			return e, nil
		}
		if w.stream {
			return nil, fmt.Errorf("%w: %w", ErrWatchEnded, err)
		}
		// Nothing is lost by asking again from the same index: an empty answer means
		// that the server gave up or went away.
		w.drop()
		if err := w.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// wait pauses before the next try, longer each time.
func (w *Watch) wait(ctx context.Context) error {
	w.pause = min(max(2*w.pause, 50*time.Millisecond), 2*time.Second)
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open sends a watch request, and returns when the server has registered it.
func (w *Watch) open(ctx context.Context) error {
	q := url.Values{"wait": {"true"}}
	setBool(q, "recursive", w.recursive)
	setBool(q, "stream", w.stream)
	if w.after != 0 {
		q.Set("waitIndex", strconv.FormatUint(w.after+1, 10))
	}
	a, err := w.c.do(ctx, &request{method: http.MethodGet, path: w.c.keyPath(w.key), query: q})
	if err != nil {
		return err
	}
	if a.header.Get("X-Etcd-Index") == "" {
		a.close()
		return errors.New("opening a watch: the answer has no X-Etcd-Index, so is not of the etcd v2 API")
	}
	w.cur = a
	w.unhook = context.AfterFunc(w.closed, a.cancel) // Close may come when nobody calls Next any more
	w.index = headerUint(a.header, "X-Etcd-Index")
	w.limit = &limitedReader{r: a.body, max: w.c.cfg.MaxResponse}
	w.events = newScanner(w.limit, eventSize)
	return nil
}

// finish gives the connection of an answered long poll back for the next one.
func (w *Watch) finish() {
	stop := time.AfterFunc(w.c.cfg.RequestTimeout, w.cur.cancel)
	_, _ = io.CopyN(io.Discard, w.limit, 4096)
	stop.Stop()
	w.drop()
}

func (w *Watch) drop() {
	if w.cur != nil {
		w.unhook()
		w.cur.close()
		w.cur = nil
	}
}
