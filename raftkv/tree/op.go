// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"strconv"
	"sync/atomic"
)

// An Action is what an operation did, and what it asks for.
type Action uint8

// The actions, in the order of their encoding in the log: append only.
const (
	Get Action = iota
	Set
	Create
	Update
	CompareAndSwap
	Delete
	CompareAndDelete
	Expire
)

var actionNames = [...]string{"get", "set", "create", "update", "compareAndSwap", "delete", "compareAndDelete", "expire"}

// String returns the action's name on the wire, as in "compareAndSwap".
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return strconv.Itoa(int(a))
}

// An Op is one operation that may change the tree.
type Op struct {
	Action Action // Set, Create, Update, CompareAndSwap, Delete or CompareAndDelete
	Key    string // clean: begins with "/", no empty component, no slash at the end but for the root "/"
	Value  string

	// TTL is the time to live in seconds, counted from the time given to Apply.
	// It holds only if HasTTL; without it the node is permanent.
	TTL    uint64
	HasTTL bool

	Dir       bool
	Recursive bool // Delete: with everything below; implies Dir
	InOrder   bool // Create: the key is a directory, the new child's name is the new index in 20 digits
	Refresh   bool // Set, Update, CompareAndSwap: keep the value and wake no watcher

	PrevValue string // CompareAndSwap, CompareAndDelete: "" is no condition
	PrevIndex uint64 // CompareAndSwap, CompareAndDelete: 0 is no condition
}

// An Event is a change of the tree, or the answer to a Get. It is immutable, and must
// not be copied.
type Event struct {
	Action Action
	Key    string
	Node   *Node // after; without a value for Delete, CompareAndDelete and Expire
	Prev   *Node // before; nil if there was none
	Now    int64 // Unix time in nanoseconds at which the remaining TTL of Node and Prev is told

	Refresh bool // watchers do not see it

	json atomic.Pointer[[]byte] // once made
	told atomic.Bool            // AppendEvent was called
}

// Index returns the index of the tree after the event.
func (e *Event) Index() uint64 { return e.Node.Modified }
