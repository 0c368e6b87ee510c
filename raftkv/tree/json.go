// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The fields of a node stand in the order key, value, dir, expiration, ttl, nodes,
// modifiedIndex, createdIndex. All but the value of a file are left out when empty.

// JSON returns the event as JSON, without a newline, the same bytes as etcd 3.4 writes.
// They are made once and shared: the caller must not change them. It may be called
// concurrently.
func (e *Event) JSON() []byte {
	if made := e.json.Load(); made != nil {
		return *made
	}
	made := appendEvent(nil, e, nil)
	if e.json.CompareAndSwap(nil, &made) {
		return made
	}
	return *e.json.Load()
}

// AppendEvent appends the event as JSON, without a newline, the same bytes as etcd 3.4
// writes. The first call writes to dst directly, as most events have one reader, who
// wrote it; later ones share what the second has made. It may be called concurrently.
func AppendEvent(dst []byte, e *Event) []byte {
	if e.json.Load() == nil && !e.told.Swap(true) {
		return appendEvent(dst, e, nil)
	}
	return append(dst, e.JSON()...)
}

// minWhole is the shortest value that AppendEventAround does not copy. A shorter one costs
// less to copy than to send by itself.
const minWhole = 32 << 10

// AppendEventAround is AppendEvent, but of values that are long and need no escape it calls
// whole, in their order, with where in the buffer they belong, and does not copy them.
func AppendEventAround(dst []byte, e *Event, whole func(at int, value string)) []byte {
	return appendEvent(dst, e, whole)
}

// Copied returns how many bytes of values AppendEventAround copies.
func (e *Event) Copied() int {
	n := 0
	for _, node := range [...]*Node{e.Node, e.Prev} {
		if node != nil && !node.whole() {
			n += len(node.Value)
		}
	}
	return n
}

// whole reports whether AppendEventAround does not copy the value.
func (n *Node) whole() bool { return n.plain && len(n.Value) >= minWhole }

func appendEvent(dst []byte, e *Event, whole func(int, string)) []byte {
	dst = append(dst, `{"action":"`...)
	dst = append(dst, e.Action.String()...)
	dst = append(dst, `","node":`...)
	gone := e.Action == Delete || e.Action == CompareAndDelete || e.Action == Expire
	dst = appendHead(dst, e.Key, e.Node, e.Now, !gone, whole)
	dst = appendTail(dst, e.Node)
	if e.Prev != nil {
		dst = append(dst, `,"prevNode":`...)
		dst = appendHead(dst, e.Key, e.Prev, e.Now, true, whole)
		dst = appendTail(dst, e.Prev)
	}
	return append(dst, '}')
}

// AppendError appends the error as JSON, without a newline.
func AppendError(dst []byte, e *Error) []byte {
	dst = append(dst, `{"errorCode":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, e.Code.Message())
	if e.Cause != "" {
		dst = append(dst, `,"cause":`...)
		dst = appendString(dst, e.Cause)
	}
	dst = append(dst, `,"index":`...)
	dst = strconv.AppendUint(dst, e.Index, 10)
	return append(dst, '}')
}

// AppendGet appends the answer to a get of key as JSON, without a newline: a file, or
// a directory with its children in byte order, all levels if recursive, hidden ones
// left out. now (Unix ns) is what the remaining TTLs are counted from. The error is
// Get's; dst is returned as it was.
func (v *View) AppendGet(dst []byte, key string, recursive bool, now int64) ([]byte, error) {
	return v.AppendGetIn(growing{}, dst, key, recursive, now)
}

// Room is where a listing gets a larger buffer from.
type Room interface {
	// Grow is told what there is, b, and returns a buffer to append to that has room for n
	// more bytes: b itself, a copy of it, or an empty one. Of an empty one, Room has kept
	// b, which comes before it.
	Grow(b []byte, n int) []byte
}

// growing is new memory, twice as much each time: append would make a large buffer a
// quarter larger, again and again.
type growing struct{}

func (growing) Grow(b []byte, n int) []byte { return slices.Grow(b, max(n, len(b))) }

// AppendGetIn is AppendGet for a listing that may be large: when dst is full, room has
// another one. What is returned is the last of them.
func (v *View) AppendGetIn(room Room, dst []byte, key string, recursive bool, now int64) ([]byte, error) {
	key = CleanKey(key)
	n, err := v.keys.find(key, v.index)
	if err != nil {
		return dst, err
	}
	if !n.Dir {
		return appendGotFile(dst, key, n, now), nil
	}
	dst = append(dst, `{"action":"get","node":`...)
	shown := key
	if key == "/" {
		shown = "" // the root has no key field
	}
	dst = appendHead(dst, shown, n, now, true, nil)
	l := lister{dst: dst, room: room, now: now, recursive: recursive, cursor: v.keys.cursor()}
	l.seek(join(key, ""))
	l.children(key)
	return append(appendTail(l.dst, n), '}'), nil
}

// AppendGetFile is AppendGet for a file whose value is no longer than most bytes, and for a key
// that is not there. For any other it reports false, and appends nothing.
func (v *View) AppendGetFile(dst []byte, key string, most int, now int64) ([]byte, bool, error) {
	key = CleanKey(key)
	n, err := v.keys.find(key, v.index)
	switch {
	case err != nil:
		return dst, true, err
	case n.Dir || len(n.Value) > most:
		return dst, false, nil
	}
	return appendGotFile(dst, key, n, now), true, nil
}

// appendGotFile appends the answer to a get of a file.
func appendGotFile(dst []byte, key string, n *Node, now int64) []byte {
	dst = append(dst, `{"action":"get","node":`...)
	dst = appendHead(dst, key, n, now, true, nil)
	return append(appendTail(dst, n), '}')
}

// nodeRoom is what the JSON of most nodes takes beside key and value.
const nodeRoom = 128

// A lister appends the nodes below a directory.
type lister struct {
	dst       []byte
	room      Room
	now       int64
	recursive bool
	cursor
}

// children appends the field nodes of dir if it has a visible child. The cursor must
// stand on the first key below dir, if there is one, and stands behind the last then.
func (l *lister) children(dir string) {
	none := len(l.dst)
	l.dst = append(l.dst, `"nodes":[`...)
	empty := true
	skip := len(join(dir, ""))
	for l.ok && under(l.key(), dir) {
		key := l.key()
		if i := strings.IndexByte(key[skip:], '/'); i >= 0 {
			l.seek(key[:skip+i] + "0") // below a child that is done
			continue
		}
		if key[skip:skip+1] == "_" {
			l.next()
			continue
		}
		l.child(key, l.node())
		empty = false
	}
	if empty {
		l.dst = l.dst[:none]
		return
	}
	l.dst[len(l.dst)-1] = ']' // was a comma
	l.dst = append(l.dst, ',')
}

// child appends the node at key and a comma, and moves the cursor to its next sibling
// or to what is below it.
func (l *lister) child(key string, n *Node) {
	need := len(key) + len(n.Value) + nodeRoom
	if !n.plain {
		need += len(n.Value) // for escapes
	}
	if cap(l.dst)-len(l.dst) < need {
		l.dst = l.room.Grow(l.dst, need)
	}
	if n.plain && n.Expires == 0 && !n.Dir {
		l.dst = appendFile(l.dst, key, n)
		l.next()
		return
	}
	l.dst = appendHead(l.dst, key, n, l.now, true, nil)
	l.next()
	if n.Dir && l.recursive && l.ok && strings.HasPrefix(l.key(), key) {
		after := l.key()
		switch b := after[len(key)]; {
		case b == '/':
			l.children(key)
		case b < '/':
			// Siblings such as "/a-b" stand between "/a" and "/a/x".
			l.seek(key + "/")
			l.children(key)
			l.seek(after)
		}
	}
	l.dst = appendTail(l.dst, n)
	l.dst = append(l.dst, ',')
}

// appendFile appends what most of a listing is, a file without a time to live whose value
// needs no escape, and a comma: the same as appendHead and appendTail, in fewer steps.
func appendFile(dst []byte, key string, n *Node) []byte {
	dst = append(dst, `{"key":`...)
	dst = appendString(dst, key)
	dst = append(dst, `,"value":"`...)
	dst = append(dst, n.Value...)
	dst = append(dst, `","modifiedIndex":`...)
	digits := len(dst)
	dst = strconv.AppendUint(dst, n.Modified, 10)
	end := len(dst)
	dst = append(dst, `,"createdIndex":`...)
	if n.Created == n.Modified {
		dst = append(dst, dst[digits:end]...)
	} else {
		dst = strconv.AppendUint(dst, n.Created, 10)
	}
	return append(dst, `},`...)
}

// appendHead appends the fields of a node before nodes, each followed by a comma. whole may be
// nil; see AppendEventAround.
func appendHead(dst []byte, key string, n *Node, now int64, withValue bool, whole func(int, string)) []byte {
	dst = append(dst, '{')
	if key != "" {
		dst = append(dst, `"key":`...)
		dst = appendString(dst, key)
		dst = append(dst, ',')
	}
	if n.Dir {
		dst = append(dst, `"dir":true,`...)
	} else if withValue {
		dst = append(dst, `"value":`...)
		dst = append(appendValue(dst, n, whole), ',')
	}
	if n.Expires == 0 {
		return dst
	}
	dst = append(dst, `"expiration":"`...)
	dst = time.Unix(0, n.Expires).UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `",`...)
	if ttl := secondsLeft(n.Expires, now); ttl != 0 {
		dst = append(dst, `"ttl":`...)
		dst = strconv.AppendInt(dst, ttl, 10)
		dst = append(dst, ',')
	}
	return dst
}

// appendValue appends the value of a file.
func appendValue(dst []byte, n *Node, whole func(int, string)) []byte {
	switch {
	case !n.plain:
		return appendString(dst, n.Value)
	case whole != nil && n.whole():
		dst = append(dst, '"')
		whole(len(dst), n.Value)
		return append(dst, '"')
	}
	return append(append(append(dst, '"'), n.Value...), '"')
}

// appendTail appends the fields after nodes, in place of the comma, and ends the node.
func appendTail(dst []byte, n *Node) []byte {
	if n.Modified != 0 {
		dst = append(dst, `"modifiedIndex":`...)
		dst = strconv.AppendUint(dst, n.Modified, 10)
		dst = append(dst, ',')
	}
	if n.Created != 0 {
		dst = append(dst, `"createdIndex":`...)
		dst = strconv.AppendUint(dst, n.Created, 10)
		dst = append(dst, ',')
	}
	dst[len(dst)-1] = '}'
	return dst
}

// secondsLeft returns the time from now to expires in seconds, rounded up.
func secondsLeft(expires, now int64) int64 {
	left := expires - now
	seconds := left / int64(time.Second)
	if left%int64(time.Second) > 0 {
		seconds++
	}
	return seconds
}
