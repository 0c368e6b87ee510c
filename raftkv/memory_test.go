// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"bytes"
	"testing"
	"unsafe"

	"confd/raftkv/tree"
)

// TestDoKeepsNothing: whoever has got an event may use the memory of the operation again,
// at the leader and at a follower, and whether an entry is one operation, has many, or comes in chunks.
func TestDoKeepsNothing(t *testing.T) {
	nodes := openNodes(t, 2, func(c *Config) { c.MaxValue = 4 << 20 })
	leader := leaderOf(t, nodes)
	for i, n := range nodes {
		for _, size := range []int{10, directBytes, 40 << 10, 64 << 10, 1 << 20, 3 << 20} {
			for round, prev := range []string{"", "a"} {
				memory := bytes.Repeat([]byte{byte('a' + round)}, size)
				key := []byte("/key")
				op := &tree.Op{Action: tree.Set, Key: unsafe.String(&key[0], len(key)), Value: unsafe.String(&memory[0], size)}
				if prev != "" {
					op.Action, op.PrevValue = tree.CompareAndSwap, string(bytes.Repeat([]byte(prev), size))
				}
				if _, err := n.Do(t.Context(), op); err != nil {
					t.Fatal(err)
				}
				want := string(memory)
				clear(memory)
				clear(key)
				for j, m := range nodes {
					v, err := m.Linearizable(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					e, err := v.Get("/key")
					if err != nil || e.Value != want {
						t.Fatalf("%d bytes by node %d are others at node %d, leader %v: %v", size, i, j, n == leader, err)
					}
				}
			}
		}
	}
}
