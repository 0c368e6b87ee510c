// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"math"
	"strconv"
	"time"
)

// set creates or replaces a file, or creates a directory.
func (t *Tree) set(op *Op, key string, now int64) (*Event, *Error) {
	if key == "/" {
		return nil, t.refuse(CodeRootReadOnly, "/")
	}
	if op.Refresh {
		return t.refresh(op, key, now)
	}
	// Most often this is right, and then the key was looked for only once.
	n := t.newNode(op, op.Value, now)
	old := t.keys.set(key, n)
	switch {
	case old == nil:
		if err := t.makeParents(key); err != nil {
			t.keys.remove(key)
			return nil, err
		}
	case old.Dir:
		t.keys.set(key, old)
		return nil, t.refuse(CodeNotFile, key)
	}
	t.expiry.changed(t.keys, key, old, n)
	e := t.replay.event()
	e.Action, e.Key, e.Node, e.Prev, e.Now = Set, key, n, old, now
	return t.record(e, nil), nil
}

// refresh is set for a new time to live only.
func (t *Tree) refresh(op *Op, key string, now int64) (*Event, *Error) {
	old, err := t.keys.find(key, t.index)
	if err != nil {
		return nil, err
	}
	if old.Dir {
		return nil, t.refuse(CodeNotFile, key)
	}
	n := t.newNode(op, old.Value, now)
	t.put(key, old, n)
	return t.record(&Event{Action: Set, Key: key, Node: n, Prev: old, Now: now, Refresh: true}, nil), nil
}

// create makes a file or a directory where nothing is.
func (t *Tree) create(op *Op, key string, now int64) (*Event, *Error) {
	if op.InOrder {
		// 20 digits, so that names sort as text.
		name := strconv.FormatUint(t.index+1, 10)
		key = join(key, "00000000000000000000"[len(name):]+name)
	}
	if key == "/" {
		return nil, t.refuse(CodeRootReadOnly, "/")
	}
	if t.keys.get(key) != nil {
		return nil, t.refuse(CodeNodeExist, key)
	}
	if err := t.makeParents(key); err != nil {
		return nil, err
	}
	n := t.newNode(op, op.Value, now)
	t.put(key, nil, n)
	return t.record(&Event{Action: Create, Key: key, Node: n, Now: now}, nil), nil
}

// update replaces the value and the time to live of a file, or a directory's time.
func (t *Tree) update(op *Op, key string, now int64) (*Event, *Error) {
	if key == "/" {
		return nil, t.refuse(CodeRootReadOnly, "/")
	}
	old, err := t.keys.find(key, t.index)
	if err != nil {
		return nil, err
	}
	if old.Dir && op.Value != "" {
		return nil, t.refuse(CodeNotFile, key)
	}
	return t.replace(Update, op, key, old, now), nil
}

// replace makes a new version of old, with the same creation.
func (t *Tree) replace(action Action, op *Op, key string, old *Node, now int64) *Event {
	n := &Node{
		Value:    op.Value,
		Created:  old.Created,
		Modified: t.index + 1,
		Expires:  op.expires(now),
		Dir:      old.Dir,
	}
	if op.Refresh {
		n.Value = old.Value
	}
	n.plain = isPlain(n.Value)
	t.put(key, old, n)
	return t.record(&Event{Action: action, Key: key, Node: n, Prev: old, Now: now, Refresh: op.Refresh}, nil)
}

// newNode returns a node that the next index creates.
func (t *Tree) newNode(op *Op, value string, now int64) *Node {
	if op.Dir {
		value = ""
	}
	return &Node{
		Value:    value,
		Created:  t.index + 1,
		Modified: t.index + 1,
		Expires:  op.expires(now),
		Dir:      op.Dir,
		plain:    isPlain(value),
	}
}

// makeParents makes the directories above key that are missing. It fails, having
// made none, if one of them is a file.
func (t *Tree) makeParents(key string) *Error {
	if parent(key) == t.dir {
		return nil // as for most keys: the one before was in it
	}
	top := parent(key) // the nearest one that is there
	for top != "/" {
		n := t.keys.get(top)
		if n != nil && !n.Dir {
			return t.refuse(CodeNotDir, top)
		}
		if n != nil {
			break
		}
		top = parent(top)
	}
	var n *Node // one for all, as they are equal
	for dir := parent(key); dir != top; dir = parent(dir) {
		if n == nil {
			n = &Node{Created: t.index + 1, Modified: t.index + 1, Dir: true}
		}
		t.keys.set(dir, n)
	}
	t.dir = parent(key)
	return nil
}

// expires returns when a node made by op at now ends, 0 if never.
func (op *Op) expires(now int64) int64 {
	if !op.HasTTL {
		return 0
	}
	if op.TTL > uint64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	ttl := int64(op.TTL) * int64(time.Second)
	if now > math.MaxInt64-ttl {
		return math.MaxInt64
	}
	return max(1, now+ttl) // 0 would be permanent
}
