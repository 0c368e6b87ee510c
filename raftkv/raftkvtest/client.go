// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkvtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"confd/raftkv/tree"
)

// A client does one thing after the other, through any member.
type client struct {
	c    *Cluster
	r    *rand.Rand
	name string
	n    int
}

// think is the time between two calls of a client.
const think = 150 * time.Millisecond

// largeValue is more than one log entry takes.
const largeValue = 1120 << 10

func (k *client) loop(ctx context.Context) {
	for {
		pause(ctx, k.r, think)
		if ctx.Err() != nil {
			return
		}
		members := k.c.Members()
		k.step(members[k.r.IntN(len(members))])
	}
}

// step does one thing. It gives up after a while, which is at times so short that the
// outcome is unknown.
func (k *client) step(m *Member) {
	limit := 20 * time.Second // more than a node takes
	if k.r.IntN(5) == 0 {
		limit = time.Duration(1+k.r.IntN(3000)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch key := k.key(); k.r.IntN(12) {
	case 0:
		k.c.Ledger.Read(ctx, m, key, true)
	case 1, 2:
		k.c.Ledger.Read(ctx, m, key, false)
	default:
		k.c.Ledger.Do(ctx, m, k.op(m, key))
	}
}

func (k *client) key() string { return fmt.Sprintf("/r/k%d", k.r.IntN(4)) }

// value returns a value that nobody else writes.
func (k *client) value() string {
	k.n++
	return fmt.Sprintf("%s-%d:", k.name, k.n)
}

// op returns an operation of any kind, most often on the given key.
func (k *client) op(m *Member, key string) *tree.Op {
	op := &tree.Op{Action: tree.Set, Key: key, Value: k.value()}
	if k.r.IntN(100) == 0 {
		op.Key = fmt.Sprintf("/large/k%d", k.r.IntN(2))
		op.Value += strings.Repeat("x", largeValue)
		return op
	}
	switch k.r.IntN(20) {
	case 0, 1:
		op.Action = tree.Create
	case 2, 3:
		op.Action = tree.Update
	case 4, 5, 6, 7:
		op.Action = tree.CompareAndSwap
		k.condition(m, op)
	case 8:
		op.Action, op.Value = tree.CompareAndDelete, ""
		k.condition(m, op)
	case 9:
		op.Action, op.Value = tree.Delete, ""
	case 10:
		return &tree.Op{Action: tree.Delete, Key: "/r", Recursive: true}
	case 11, 12:
		op.Action, op.Key, op.InOrder = tree.Create, "/queue", true
	case 13, 14:
		op.Key = fmt.Sprintf("/ttl/k%d", k.r.IntN(4))
		op.TTL, op.HasTTL = uint64(1+k.r.IntN(5)), true
	}
	return op
}

// condition makes op depend on what the member has, which may be old.
func (k *client) condition(m *Member, op *tree.Op) {
	op.PrevValue = "something else"
	n := m.Node()
	if n == nil {
		return
	}
	now, err := n.View().Get(op.Key)
	if err != nil || now.Dir {
		return
	}
	if k.r.IntN(2) == 0 {
		op.PrevValue = now.Value
	} else {
		op.PrevValue, op.PrevIndex = "", now.Modified
	}
}
