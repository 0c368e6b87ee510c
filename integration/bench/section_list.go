// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"confd/integration/bench/load"
	"confd/integration/bench/report"
)

func runList(ctx context.Context, b *bench, t *report.Table) error {
	return b.pair(ctx, how{}, func(ours, peer *server) error {
		for _, keys := range []int{1000, b.pick(10_000, 2000)} {
			k := newKeyspace(keys, valueSize)
			k.dir = "list" + strconv.Itoa(keys)
			if err := b.fill(ctx, k, ours, peer); err != nil {
				return err
			}
			for _, s := range []*server{ours, peer} {
				if _, err := b.load(ctx, s, s.nodes[0], 1, k.listOnce()); err != nil {
					return err
				}
			}
			for _, conns := range []int{1, 8} {
				what := fmt.Sprintf("%d keys, %s", keys, connections(conns))
				if err := b.try(ctx, t, ours, peer, trial{what, report.AtLeast(4), third(), conns, nil, k.lists}); err != nil {
					return err
				}
			}
		}
		return b.addMemory(t, ours, peer)
	})
}

// list appends the request for the whole keyspace as one answer.
func (k *keyspace) list(buf []byte, _ int) []byte {
	buf = append(append(buf, "GET /v2/keys/"...), k.dir...)
	return append(buf, "?recursive=true HTTP/1.1\r\nHost: bench\r\nAccept: */*\r\n\r\n"...)
}

// listOnce returns a job that lists the keyspace once and looks at every key.
func (k *keyspace) listOnce() load.Job {
	return load.Job{Total: 1, Request: k.list, Check: func(_, _ int, r *load.Response) error {
		if r.Status != 200 {
			return load.Refused(r.Status)
		}
		return k.checkList(r.Body)
	}}
}

// lists returns a job that lists the keyspace again and again: the answers must have one
// length, and as many nodes as there are keys.
func (k *keyspace) lists() load.Job {
	length := 0
	return load.Job{Request: k.list, Check: func(_, _ int, r *load.Response) error {
		if length == 0 {
			length = len(r.Body)
		}
		switch {
		case r.Status != 200:
			return load.Refused(r.Status)
		case len(r.Body) != length:
			return fmt.Errorf("the answer has %d bytes, the first %d", len(r.Body), length)
		case bytes.Count(r.Body, []byte("{")) != k.keys+2:
			return errors.New("the answer has not all keys")
		}
		return nil
	}}
}

// checkList checks that a listing has every key with its value.
func (k *keyspace) checkList(body []byte) error {
	var answer struct {
		Node struct{ Nodes []struct{ Key, Value string } }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	values := make(map[string]string)
	for _, n := range answer.Node.Nodes {
		values[n.Key] = n.Value
	}
	if len(values) != k.keys {
		return fmt.Errorf("the answer has %d keys, not %d", len(values), k.keys)
	}
	for n := range k.keys {
		if values[fmt.Sprintf("/%s/k%07d", k.dir, n)] != string(k.value(nil, n)) {
			return fmt.Errorf("key %d is missing or has another value", n)
		}
	}
	return nil
}
