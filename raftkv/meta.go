// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package raftkv

import (
	"context"
	"fmt"

	"confd/raftkv/fsm"
)

// ErrMetaChanged means that SetMeta found another value than the caller had seen.
var ErrMetaChanged = fsm.ErrMetaChanged

// minMaxMeta is how long a metadata value may be at least, however small MaxValue is: a
// node that could not write its own record could not start.
const minMaxMeta = 1 << 20

// Meta returns the replicated metadata of this node: small facts about the cluster that
// are no keys of the tree, as users and members. The map is the same one, by its
// address, until something changes, so that what is made from it can be kept; it must
// not be changed.
func (n *Node) Meta() *map[string][]byte { return n.fsm.AllMeta() }

// SetMeta replaces the value of a metadata key, if that still is prev: nil means that
// the key is not there. A nil value removes it. If another value is there the error is
// ErrMetaChanged and nothing has changed; other errors are as those of Do.
func (n *Node) SetMeta(ctx context.Context, key string, prev, value []byte) error {
	op, err := n.metaOp(key, prev, value)
	if err != nil {
		return err
	}
	res, err := n.propose(ctx, op)
	if err != nil {
		return err
	}
	return res.Err
}

// setMetaHere is SetMeta as the leader of that term, which no other may carry out.
func (n *Node) setMetaHere(ctx context.Context, key string, prev, value []byte, term uint64) error {
	op, err := n.metaOp(key, prev, value)
	if err != nil {
		return err
	}
	res, err := n.proposeHere(ctx, op, term)
	if err != nil {
		return err
	}
	return res.Err
}

func (n *Node) metaOp(key string, prev, value []byte) (fsm.Op, error) {
	if len(key) > maxKey || len(value) > max(n.cfg.MaxValue, minMaxMeta) {
		return fsm.Op{}, notProposed(fmt.Errorf("metadata %q: %w", key, ErrTooLarge))
	}
	return fsm.Op{Meta: &fsm.Meta{
		Key: key, Value: value, Remove: value == nil, IfAbsent: prev == nil, IfIs: prev != nil, Prev: prev,
	}}, nil
}
