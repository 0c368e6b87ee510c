// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"confd/integration/bench/load"
)

// watchRequest returns what asks for a watch of the key /w/NAME.
func watchRequest(name string, stream bool) func([]byte) []byte {
	query := "?wait=true"
	if stream {
		query += "&stream=true"
	}
	request := []byte("GET /v2/keys/w/" + name + query + " HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n")
	return func(buf []byte) []byte { return append(buf, request...) }
}

// A telling is what one round of writes and their events has measured of a server.
type telling struct {
	load.Seen
	serverCPU time.Duration
}

// write writes the key /w/NAME for the length of a round. The first watchers are told of
// it; so many writes may have events on the way. Every event is checked.
func (b *bench) write(ctx context.Context, s *server, w *load.Watches, name string, watchers, window int) (telling, error) {
	k := newKeyspace(0, 64)
	put := []byte("PUT /v2/keys/w/" + name + " HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 70\r\n\r\nvalue=")
	set := []byte(`{"action":"set","node":{"key":"/w/` + name + `","value":"`)
	var want []byte
	made := -1 // for what write want is
	check := func(n int, text []byte) error {
		if n != made { // most events are of the same write as the one before
			want, made = append(k.value(append(want[:0], set...), n), '"'), n
		}
		if !bytes.HasPrefix(text, want) {
			return fmt.Errorf("it does not begin with %q", want)
		}
		return nil
	}
	var marks []time.Duration
	seen, err := w.Write(ctx, load.Writes{Watchers: watchers, Window: window, For: b.round, Event: check,
		Request: func(buf []byte, n int) []byte { return k.value(append(buf, put...), n) },
		Check: func(_, n int, r *load.Response) error {
			if r.Status != 200 && r.Status != 201 {
				return load.Refused(r.Status)
			}
			return check(n, r.Body)
		},
		Mark: func() error {
			used, err := s.cpu()
			marks = append(marks, used)
			return err
		}})
	if err != nil {
		return telling{}, fmt.Errorf("%s: %w", s.name, errors.Join(err, s.failed()))
	}
	return telling{seen, marks[1] - marks[0]}, nil
}

// tellAll returns a measurement of writes that all of so many new watches are told of, with
// up to window of them on the way.
func (b *bench) tellAll(stream bool, watches, window int) func(context.Context, *server) (telling, error) {
	return func(ctx context.Context, s *server) (telling, error) {
		at := s.nodes[0].client
		w, err := load.Watch(at, stream, watchRequest("all", stream))
		if err != nil {
			return telling{}, errors.Join(err, s.failed())
		}
		defer w.Close()
		if err := w.Open(ctx, at, watches); err != nil {
			return telling{}, errors.Join(err, s.failed())
		}
		return b.write(ctx, s, w, "all", watches, window)
	}
}

// perEvent returns the processor time of the server for each event in microseconds.
func perEvent(m telling) float64 { return m.serverCPU.Seconds() * 1e6 / float64(m.Events) }

// after is how long after the answer the last watcher knew, woken how long after the
// write was sent.
func after(m telling) *load.Histogram { return m.After }
func woken(m telling) *load.Histogram { return m.Woken }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
