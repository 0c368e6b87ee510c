// Copyright 2026 The confd authors
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Restore replaces the whole state by a snapshot's and publishes it. All event
// watchers end, as with a cleared history; all Wait calls return. On error the tree is
// as before. It reads no further than the snapshot's end.
func (t *Tree) Restore(r io.Reader) error { return t.RestoreBeside(r, nil) }

// RestoreBeside is Restore, and takes less time where there are two processors: nodes are put in
// their places beside the reading of others. r is read by the caller's goroutine.
func (t *Tree) RestoreBeside(r io.Reader, beside Beside) error {
	frames := &frameReader{r: r}
	dec := decoder{r: frames, beside: beside}
	err := frames.open()
	if err == nil {
		err = dec.state()
	}
	if err != nil {
		return fmt.Errorf("restoring tree snapshot: %w", err)
	}

	t.dir = ""
	t.keys = dec.keys
	t.index = dec.index
	t.expiry = dec.expiry
	t.history = dec.history
	t.stats = dec.stats
	t.getsSuccess.Store(dec.getsSuccess)
	t.getsFail.Store(dec.getsFail)
	t.replaced()
	return nil
}

// Skip moves the index ahead by n, as if n things had happened that nobody can be told of:
// the history is empty then. It publishes that, with the same effect on watchers as Restore.
func (t *Tree) Skip(n uint64) {
	t.index += n
	t.history = history{}
	t.replaced()
}

// replaced publishes a state that did not come from events.
func (t *Tree) replaced() {
	clear(t.pending)
	t.pending = t.pending[:0]
	v := &View{
		keys:     t.keys.freeze(),
		index:    t.index,
		events:   t.history.events,
		restored: t.index,
		epoch:    t.view.Load().epoch + 1,
		stats:    t.stats,
	}
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	t.view.Store(v)
	t.hub.reset()
}

var errCorrupt = errors.New("corrupt contents")

// A decoder reads a snapshot into a state of its own. It trusts nothing: what it has
// read is a state that a tree can be in.
type decoder struct {
	r      *frameReader
	beside Beside // nil: one thing after the other
	err    error  // the first; all that is read after it is zero

	keys                  keymap
	index                 uint64
	expiry                expiries
	past                  []*Event // as far as it has been read
	history               history
	stats                 Stats
	getsSuccess, getsFail uint64
}

// state reads everything.
func (dec *decoder) state() error {
	dec.index = dec.uint()
	counters := dec.stats.replicated()
	dec.check(dec.uint() == uint64(len(counters)))
	for _, c := range counters {
		*c = dec.uint()
	}
	dec.nodes()
	dec.events()
	dec.getsSuccess = dec.uint()
	dec.getsFail = dec.uint()
	if dec.err != nil {
		return dec.err
	}
	switch _, err := dec.r.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return errCorrupt
	default:
		return err
	}
}

// check fails the decoder unless ok.
func (dec *decoder) check(ok bool) {
	if !ok && dec.err == nil {
		dec.err = errCorrupt
	}
}

// fail keeps an error of reading. The end is not expected anywhere.
func (dec *decoder) fail(err error) {
	if err == io.EOF {
		err = errCorrupt
	}
	if err != nil && dec.err == nil {
		dec.err = err
	}
}

func (dec *decoder) byte() byte {
	if dec.err != nil {
		return 0
	}
	b, err := dec.r.ReadByte()
	dec.fail(err)
	return b
}

func (dec *decoder) uint() uint64 {
	if dec.err != nil {
		return 0
	}
	if x, n := binary.Uvarint(dec.r.rest); n > 0 {
		dec.r.rest = dec.r.rest[n:]
		return x
	}
	x, err := binary.ReadUvarint(dec.r) // it goes on in the next frame, or is none
	dec.fail(err)
	return x
}

func (dec *decoder) int() int64 {
	if dec.err != nil {
		return 0
	}
	x, err := binary.ReadVarint(dec.r)
	dec.fail(err)
	return x
}

// string reads a string behind prefix. It grows as the bytes come, whatever length was
// announced.
func (dec *decoder) string(prefix string) string {
	n := dec.uint()
	if dec.err != nil {
		return ""
	}
	if n <= uint64(len(dec.r.rest)) {
		part := dec.r.rest[:n]
		dec.r.rest = dec.r.rest[n:]
		return prefix + string(part)
	}
	var b strings.Builder
	b.Grow(len(prefix) + int(min(n, maxFrame)))
	b.WriteString(prefix)
	for n > 0 {
		if len(dec.r.rest) == 0 {
			if err := dec.r.next(); err != nil {
				dec.fail(err)
				return ""
			}
		}
		part := dec.r.rest[:min(n, uint64(len(dec.r.rest)))]
		b.Write(part)
		dec.r.rest = dec.r.rest[len(part):]
		n -= uint64(len(part))
	}
	return b.String()
}

// nodes reads the keymap.
func (dec *decoder) nodes() {
	n := dec.uint()
	h, batch := newHandover(n, dec.beside)
	before := ""
	for ; n > 0 && dec.err == nil; n-- {
		shared := dec.uint()
		if dec.check(shared <= uint64(len(before))); dec.err != nil {
			break
		}
		key := dec.string(before[:shared])
		node := dec.node(dec.byte())
		if batch = append(batch, loading{key, node}); len(batch) == loadBatch {
			batch = h.give(batch)
			dec.check(batch != nil)
		}
		before = key
	}
	if dec.err == nil {
		h.give(batch)
	}
	dec.check(h.end())
	dec.keys, dec.expiry = h.keys, h.expiry
}

// A dirStack is, of directories in byte order, those that later keys may be in, each
// below or right after the one before it: "/a", "/a-b" and "/a-b/c" before "/a/x".
type dirStack []string

// holds reports whether the directory that key is in is there, and forgets those that
// are done. key is after all of them.
func (d *dirStack) holds(key string) bool {
	dirs := *d
	for len(dirs) > 0 && !mayHold(dirs[len(dirs)-1], key) {
		dirs = dirs[:len(dirs)-1]
	}
	*d = dirs
	dir := parent(key)
	if dir == "/" {
		return true
	}
	// All that are left are beginnings of key; so the length tells which one it is.
	for len(dirs) > 0 && len(dirs[len(dirs)-1]) > len(dir) {
		dirs = dirs[:len(dirs)-1]
	}
	return len(dirs) > 0 && len(dirs[len(dirs)-1]) == len(dir)
}

// mayHold reports whether key, which is after dir, is not after all that is below dir.
func mayHold(dir, key string) bool {
	return len(key) > len(dir) && key[len(dir)] <= '/' && key[:len(dir)] == dir
}

// node reads a node whose first byte has been read.
func (dec *decoder) node(flags byte) *Node {
	n := &Node{Dir: flags&nodeDir != 0}
	dec.check(flags&^(nodeDir|nodeExpires) == 0)
	n.Modified = dec.uint()
	n.Created = dec.uint()
	dec.check(0 < n.Created && n.Created <= n.Modified && n.Modified <= dec.index)
	if flags&nodeExpires != 0 {
		n.Expires = dec.int()
		dec.check(n.Expires > 0)
	}
	if !n.Dir {
		n.Value = dec.string("")
		n.plain = isPlain(n.Value)
	}
	return n
}

// events reads the history. It may hold more than ours would, and what is too much may be
// what a later event refers to.
func (dec *decoder) events() {
	n := dec.uint()
	dec.check(n <= historyLen && n <= dec.index)
	for ; n > 0 && dec.err == nil; n-- {
		e := dec.event(dec.index - n + 1)
		if dec.err == nil {
			dec.past = append(dec.past, e)
		}
	}
	for _, e := range dec.past {
		dec.history.add(e)
	}
	dec.past = nil
}

// event reads the event with that index.
func (dec *decoder) event(index uint64) *Event {
	e := &Event{Action: Action(dec.byte())}
	dec.check(Set <= e.Action && e.Action <= Expire)
	flags := dec.byte()
	dec.check(flags&^(eventRefresh|eventPrev) == 0)
	e.Refresh = flags&eventRefresh != 0
	e.Key = dec.string("")
	dec.check(isClean(e.Key) && e.Key != "/")
	e.Now = dec.int()

	if of := dec.byte(); of == nodeKnown {
		e.Node = dec.keys.get(e.Key)
		dec.check(e.Node != nil)
	} else {
		e.Node = dec.node(of)
	}
	if dec.err != nil {
		return nil
	}
	dec.check(e.Node.Modified == index)
	if flags&eventPrev == 0 {
		return e
	}
	if of := dec.byte(); of == nodeKnown {
		e.Prev = dec.known(dec.uint(), e.Key)
	} else {
		e.Prev = dec.node(of)
	}
	return e
}

// known returns the node of the event that was back events ago, at key.
func (dec *decoder) known(back uint64, key string) *Node {
	events := dec.past
	if dec.check(0 < back && back <= uint64(len(events))); dec.err != nil {
		return nil
	}
	e := events[uint64(len(events))-back]
	dec.check(e.Key == key)
	return e.Node
}
