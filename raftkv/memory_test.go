// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"strings"
	"testing"
	"unsafe"

	"confd/raftkv/tree"
)

// TestDoKeepsNothing: whoever has got an event may use the memory of the operation again,
// at the leader and at a follower, whether an entry is whole or comes in chunks.
func TestDoKeepsNothing(t *testing.T) {
	nodes := openNodes(t, 2, func(c *Config) { c.MaxValue = 4 << 20 })
	for i, n := range nodes {
		for _, size := range []int{10, directBytes, 40 << 10, 64 << 10, 1 << 20, 3 << 20} {
			for _, letter := range "ab" {
				want := strings.Repeat(string(letter), size)
				eventually(t, "a write", func() bool { return setAndScribble(n, "/key", want) })
				for j, m := range nodes {
					eventually(t, "the value to be there", func() bool {
						v, err := m.Linearizable(t.Context())
						if err != nil {
							return false // the machine is busy, and nobody leads for a moment
						}
						e, err := v.Get("/key")
						if err != nil || e.Value != want {
							t.Fatalf("%d bytes by node %d are others at node %d: %v", size, i, j, err)
						}
						return true
					})
				}
			}
		}
	}
}

// setAndScribble sets a key from memory that it overwrites then. It reports false if the outcome
// is unknown, and that memory is left alone.
func setAndScribble(n *Node, key, value string) bool {
	k, v := []byte(key), []byte(value)
	op := &tree.Op{Action: tree.Set, Key: unsafe.String(&k[0], len(k)), Value: unsafe.String(&v[0], len(v))}
	if _, err := n.Do(context.Background(), op); err != nil {
		return false
	}
	clear(k)
	clear(v)
	return true
}
