// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import "strconv"

// compareAndSwap replaces a file if op's conditions hold.
func (t *Tree) compareAndSwap(op *Op, key string, now int64) (*Event, *Error) {
	if key == "/" {
		return nil, t.refuse(CodeRootReadOnly, "/")
	}
	old, err := t.compare(op, key)
	if err != nil {
		return nil, err
	}
	return t.replace(CompareAndSwap, op, key, old, now), nil
}

// compareAndDelete removes a file if op's conditions hold.
func (t *Tree) compareAndDelete(op *Op, key string, now int64) (*Event, *Error) {
	old, err := t.compare(op, key)
	if err != nil {
		return nil, err
	}
	return t.remove(CompareAndDelete, key, old, now), nil
}

// compare returns the file at key if op's conditions hold.
func (t *Tree) compare(op *Op, key string) (*Node, *Error) {
	n, err := t.keys.find(key, t.index)
	if err != nil {
		return nil, err
	}
	if key == "/" {
		return nil, t.refuse(CodeNotFile, "") // as etcd 3.4: the only one without a cause
	}
	if n.Dir {
		return nil, t.refuse(CodeNotFile, key)
	}
	cause := ""
	if op.PrevValue != "" && op.PrevValue != n.Value {
		cause = "[" + op.PrevValue + " != " + n.Value + "]"
	}
	if op.PrevIndex != 0 && op.PrevIndex != n.Modified {
		if cause != "" {
			cause += " "
		}
		cause += "[" + strconv.FormatUint(op.PrevIndex, 10) + " != " + strconv.FormatUint(n.Modified, 10) + "]"
	}
	if cause != "" {
		return nil, t.refuse(CodeCompareFailed, cause)
	}
	return n, nil
}
