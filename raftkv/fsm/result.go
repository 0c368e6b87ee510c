// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"confd/raftkv/tree"
)

// A Result on its way to the node that asked for the operation, version 1; text is a
// uvarint length and the bytes:
//
//	kind  1 byte
//
//	resultEvent: action 1 byte, flags 1 byte, now uvarint, key text unless sameKey, node,
//	             previous node if hasPrev
//	resultError: code uvarint, index uvarint, cause text
//
// A node is its flags (1 byte), created and modified as uvarint, expires as uvarint if it
// has one, and the value as text unless it is the operation's own.
const (
	resultNone  = iota // an operation of the metadata that was carried out
	resultEvent        // of the tree
	resultError        // *tree.Error
	resultMeta         // ErrMetaChanged
)

const (
	eventRefresh = 1 << iota
	eventSameKey // the key is the operation's
	eventHasPrev
)

const (
	nodeDir = 1 << iota
	nodeExpires
	nodeSameValue // the value is the operation's
)

// AppendResult appends the outcome r of op, for a node that has op, and returns the
// extended buffer. Values that are op's own are left out.
func AppendResult(dst []byte, op Op, r Result) []byte {
	var refusal *tree.Error
	switch {
	case errors.As(r.Err, &refusal):
		dst = binary.AppendUvarint(append(dst, resultError), uint64(refusal.Code))
		dst = binary.AppendUvarint(dst, refusal.Index)
		return appendText(dst, refusal.Cause)
	case r.Err != nil:
		return append(dst, resultMeta)
	case r.Event == nil:
		return append(dst, resultNone)
	}
	e := r.Event
	same := e.Key == op.Tree.Key
	dst = append(dst, resultEvent, byte(e.Action),
		flag(e.Refresh, eventRefresh)|flag(same, eventSameKey)|flag(e.Prev != nil, eventHasPrev))
	dst = binary.AppendUvarint(dst, uint64(e.Now))
	if !same {
		dst = appendText(dst, e.Key)
	}
	dst = appendNode(dst, e.Node, op.Tree.Value)
	if e.Prev != nil {
		dst = appendNode(dst, e.Prev, op.Tree.Value)
	}
	return dst
}

func appendNode(dst []byte, n *tree.Node, value string) []byte {
	same := n.Value == value
	dst = append(dst, flag(n.Dir, nodeDir)|flag(n.Expires != 0, nodeExpires)|flag(same, nodeSameValue))
	dst = binary.AppendUvarint(dst, n.Created)
	dst = binary.AppendUvarint(dst, n.Modified)
	if n.Expires != 0 {
		dst = binary.AppendUvarint(dst, uint64(n.Expires))
	}
	if !same {
		dst = appendText(dst, n.Value)
	}
	return dst
}

// ReadResult reads what AppendResult has appended for op, and returns the bytes after it.
// Nothing in the result refers to data. The error is ErrFormat.
func ReadResult(data []byte, op Op) (r Result, rest []byte, err error) {
	d := decoder{data: data}
	switch kind := d.byte(); kind {
	case resultNone:
	case resultEvent:
		if op.Tree == nil {
			d.fail("event of an operation that is not the tree's")
			break
		}
		r.Event = d.event(op.Tree)
	case resultError:
		r.Err = &tree.Error{Code: tree.Code(d.uvarint()), Index: d.uvarint(), Cause: d.text()}
	case resultMeta:
		r.Err = ErrMetaChanged
	default:
		d.fail("unknown result %d", kind)
	}
	if d.err != nil {
		return Result{}, nil, fmt.Errorf("reading a result: %w", d.err)
	}
	return r, d.data, nil
}

func (d *decoder) event(op *tree.Op) *tree.Event {
	e := &tree.Event{Action: tree.Action(d.byte()), Key: op.Key}
	flags := d.byte()
	e.Refresh = flags&eventRefresh != 0
	e.Now = int64(d.uvarint())
	if flags&eventSameKey == 0 {
		e.Key = d.text()
	}
	e.Node = d.node(op.Value)
	if flags&eventHasPrev != 0 {
		e.Prev = d.node(op.Value)
	}
	return e
}

func (d *decoder) node(value string) *tree.Node {
	flags := d.byte()
	n := &tree.Node{Dir: flags&nodeDir != 0, Created: d.uvarint(), Modified: d.uvarint()}
	if flags&nodeExpires != 0 {
		n.Expires = int64(d.uvarint())
	}
	if n.Value = value; flags&nodeSameValue == 0 {
		n.Value = d.text()
	}
	return n
}
